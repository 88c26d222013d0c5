"""Folders of features as the published code reads them.

``<features>/{audio,video}/<stage>/<class>.h5`` holds ``data`` ``(clips, dim)`` and
``video_urls``, the clips' names, once for each published stage; ``stage_2_train`` repeats what
the three folders of stage 1 have.

Features over time, as the published code of TCaF reads them, are in ``<class>.pkl``: a dict with
``features``, an array ``(windows, dim)`` for each clip, and ``video_names``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import in_child
from avca_pipeline.artifacts.hdf5_members import numbers, strings
from avca_pipeline.artifacts.pickled_arrays import read_pickle
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.published.lists import STAGE_2_TRAIN, STAGES

FOLDERS = (*STAGES.values(), STAGE_2_TRAIN)


def stage_folders(path: Path, modality: str) -> list[Path]:
    """Returns the folders of the stages that are there, those of single partitions first.

    Raises:
        PipelineError: there is none.
    """
    candidates = [path / modality / stage for stage in FOLDERS]
    folders = [folder for folder in candidates if folder.is_dir()]
    if not folders:
        raise PipelineError(
            f"{path / modality}: no folder of features in it, such as {FOLDERS[0]}; "
            "path must be the folder that audio/ and video/ are in"
        )
    return folders


def read(path: Path, modality: str) -> Iterator[tuple[Path, str, list[str], np.ndarray]]:
    """Yields for each file its path, its class, the clips in it and their ``(clips, dim)`` float32.

    Raises:
        PipelineError: there are no features, or a file is damaged.
    """
    files = _files(path, modality, "*.h5")
    if not files:
        raise PipelineError(
            f"{path / modality}: no features (<stage>/<class>.h5) in it; set keep_windows: true in "
            "imported.* if these are features over time (<stage>/<class>.pkl)"
        )
    for file, (clip_ids, data) in zip(files, in_child.read_each(files, _read_class), strict=True):
        yield file, file.stem, clip_ids, data


def read_windows(
    path: Path, modality: str
) -> Iterator[tuple[Path, str, list[str], list[np.ndarray]]]:
    """Yields for each file its path, its class, the clips in it and ``(windows, dim)`` of each.

    Raises:
        PipelineError: there are no features over time, or a file is damaged.
    """
    files = _files(path, modality, "*.pkl")
    if not files:
        raise PipelineError(
            f"{path / modality}: no features over time (<stage>/<class>.pkl) in it; leave "
            "keep_windows out of imported.* if these are means"
        )
    found = in_child.read_each(files, _read_class_over_time)
    for file, (clip_ids, windows) in zip(files, found, strict=True):
        yield file, file.stem, clip_ids, windows


def _files(path: Path, modality: str, pattern: str) -> list[Path]:
    """Returns the files of all classes, stage by stage."""
    return [
        file for folder in stage_folders(path, modality) for file in sorted(folder.glob(pattern))
    ]


def _read_class_over_time(path: Path) -> tuple[list[str], list[np.ndarray]]:
    windows, clip_ids = read_pickle(path, "features", "video_names")
    if len(windows) != len(clip_ids):
        raise FormatError(f"{path}: {len(clip_ids)} video_names but {len(windows)} features")
    for clip_id, values in zip(clip_ids, windows, strict=True):
        if values.ndim != 2 or not values.size:
            raise FormatError(f"{path}: features of {clip_id!r} are {values.shape}, not windows")
    with np.errstate(over="ignore"):
        windows = [np.asarray(values, np.float32) for values in windows]
    if not all(np.isfinite(values).all() for values in windows):
        raise FormatError(f"{path}: has features that are not finite")
    return clip_ids, windows


def _read_class(path: Path) -> tuple[list[str], np.ndarray]:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        clip_ids, data = strings(file, "video_urls"), numbers(file, "data")
    if data.ndim != 2 or len(data) != len(clip_ids):
        raise FormatError(f"{path}: {len(clip_ids)} clips but data {data.shape}")
    with np.errstate(over="ignore"):
        data = np.asarray(data, np.float32)
    if not np.isfinite(data).all():
        raise FormatError(f"{path}: has features that are not finite")
    return clip_ids, data
