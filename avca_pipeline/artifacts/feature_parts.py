"""Reads a features file in parts, where all features of a backbone would not fit into memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts.features import FORMAT_VERSION, KIND
from avca_pipeline.artifacts.hdf5 import reading_hdf5
from avca_pipeline.artifacts.hdf5_members import (
    decoded,
    member,
    strings,
    table_of_numbers,
    table_of_strings,
)
from avca_pipeline.errors import FormatError

CLIPS_IN_MEMORY = 16_384


class FeatureParts:
    """A features file that is open.

    Attributes:
        num_clips: that have features.
        dim: of the features.
        backbone: as the file states it.
        rejected: clip id to reason, for clips that have none.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self._path = path
        self._clip_ids = table_of_strings(file, "clip_id")
        self._features = table_of_numbers(file, "features")
        self.num_clips = int(self._clip_ids.size)
        shape = self._features.shape
        if len(shape) != 2 or shape[0] != self.num_clips:
            raise FormatError(f"{path}: {self.num_clips} clips but features {shape}")
        self.dim = int(shape[1])
        self.backbone = str(file.attrs.get("backbone", ""))
        lost = member(file, "rejected")
        known: dict[str, str] = {}  # Each reason once, however many clips have it.
        self.rejected = {
            clip_id: known.setdefault(reason, reason)
            for clip_id, reason in zip(
                strings(lost, "clip_id"), strings(lost, "reason"), strict=True
            )
        }

    def clip_ids(self) -> Iterator[str]:
        """Yields the ids of the clips in the order of the file."""
        for rows in self._parts():
            yield from decoded(self._clip_ids[rows])

    def features(self) -> Iterator[np.ndarray]:
        """Yields the features in the order of the file: ``(some clips, dim)`` float32 each.

        Raises:
            FormatError: some are not finite.
        """
        for rows in self._parts():
            part = np.asarray(self._features[rows], np.float32)
            if not np.isfinite(part).all():
                raise FormatError(
                    f"{self._path}: has features that are not finite; delete it and extract again"
                )
            yield part

    def _parts(self) -> Iterator[slice]:
        for begin in range(0, self.num_clips, CLIPS_IN_MEMORY):
            yield slice(begin, min(begin + CLIPS_IN_MEMORY, self.num_clips))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[FeatureParts]:
    """Yields a features file, after comparing all of it with its SHA-256.

    Raises:
        FormatError: as `features.read`.
    """
    with reading_hdf5(path, KIND, FORMAT_VERSION) as file:
        yield FeatureParts(path, file)


def stored_clip_ids(path: Path) -> Iterator[str]:
    """Yields the ids of the clips in a features file that `opened` has found whole."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        yield from FeatureParts(path, file).clip_ids()
