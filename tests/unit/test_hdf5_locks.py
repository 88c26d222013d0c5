"""HDF5 files are read and written without HDF5's own locks, which some file systems refuse."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.features import Features
from avca_pipeline.published import layout
from avca_pipeline.text_embeddings import precomputed

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def our_features(folder: Path) -> tuple[Path, Callable[[], np.ndarray]]:
    path = folder / "own.h5"
    features.write(path, Features(["a", "b"], VALUES, np.ones(2, int), np.zeros(2, bool)))
    return path, lambda: features.read(path).features


def imported_features(folder: Path) -> tuple[Path, Callable[[], np.ndarray]]:
    path = folder / "audio" / "stage_1_train" / "one.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["data"] = VALUES
        file.create_dataset("video_urls", data=["a", "b"], dtype=h5py.string_dtype())
    return path, lambda: next(layout.read(folder, "audio"))[3]


def vectors(folder: Path) -> tuple[Path, Callable[[], np.ndarray]]:
    path = folder / "vectors.h5"
    with h5py.File(path, "w") as file:
        file["vectors"] = VALUES
        file.create_dataset("class_name", data=["a", "b"], dtype=h5py.string_dtype())
    return path, lambda: precomputed.vectors(precomputed.Settings(path=path), ["a", "b"])


@pytest.mark.parametrize("kind", [our_features, imported_features, vectors])
def test_reading_takes_no_lock(
    kind: Callable[[Path], tuple[Path, Callable[[], np.ndarray]]], tmp_path: Path
) -> None:
    """A lock that cannot be had, here because another has it, keeps nobody from reading."""
    path, read = kind(tmp_path)
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r")
        np.testing.assert_array_equal(read(), VALUES)
