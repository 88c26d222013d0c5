"""Features over time, as they stand in a features file: those of each window of each clip.

Windows of all clips stand below each other, those of one clip in order; a clip is the rows from
one offset to the next. No more is read of them than is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts.hdf5_members import member, numbers, strings
from avca_pipeline.errors import FormatError

WINDOWS, STARTS, OFFSETS = "windows", "window_starts_s", "offsets"


@dataclass(frozen=True, repr=False)
class FeatureWindows:
    """Windows of some clips, those of each clip behind those of the clip before.

    Attributes:
        values: ``(windows, dim)`` float32.
        starts_s: ``(windows,)`` float64, where each begins, in seconds after the beginning of its
            clip.
    """

    values: np.ndarray
    starts_s: np.ndarray

    def __repr__(self) -> str:
        return f"<{len(self.values)} windows × {self.values.shape[-1]}>"


class StoredWindows:
    """The windows in a features file that is open.

    Attributes:
        path: of the file.
        clip_ids: of the clips, in the order of the file.
        lengths: ``(clips,)`` int64, how many windows each clip has.
        hop_s: seconds from the beginning of a window to that of the next; NaN where that differs
            from clip to clip.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self._values, self._starts_s = member(file, WINDOWS), member(file, STARTS)
        self._offsets = numbers(file, OFFSETS)
        self.clip_ids = strings(file, "clip_id")
        self.lengths = np.diff(self._offsets)
        self.hop_s = float(file.attrs["hop_s"])

    def read(self, clips: Iterable[int]) -> FeatureWindows:
        """Returns the windows of clips, in the order of the clips.

        Args:
            clips: their rows in the features file; a clip may be asked for more than once.

        Raises:
            FormatError: the file cannot be read, or has windows that are not finite.
        """
        ranges = [slice(self._offsets[row], self._offsets[row + 1]) for row in clips]
        width = self._values.shape[1]
        try:
            values = [np.zeros((0, width), np.float32), *(self._values[rows] for rows in ranges)]
            starts_s = [np.zeros(0), *(self._starts_s[rows] for rows in ranges)]
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read ({error})") from error
        found = FeatureWindows(np.concatenate(values), np.concatenate(starts_s))
        if not np.isfinite(found.values).all():
            raise FormatError(
                f"{self.path}: has windows that are not finite; delete it and extract again"
            )
        return found


class WindowsInMemory:
    """Windows that are in no file, to be read as those of one are.

    Args:
        clips: the windows of each clip.
        hop_s: seconds from the beginning of a window to that of the next; NaN where that differs
            from clip to clip.

    Attributes:
        lengths: ``(clips,)`` int64, how many windows each clip has.
        hop_s: see above.
    """

    def __init__(self, clips: Sequence[FeatureWindows], hop_s: float) -> None:
        self._clips = clips
        self.lengths = np.array([len(clip.values) for clip in clips], np.int64)
        self.hop_s = hop_s

    def read(self, clips: Iterable[int]) -> FeatureWindows:
        """Returns the windows of clips, in the order of the clips.

        Args:
            clips: their numbers, at least one; a clip may be asked for more than once.
        """
        asked = [self._clips[number] for number in clips]
        return FeatureWindows(
            np.concatenate([clip.values for clip in asked]),
            np.concatenate([clip.starts_s for clip in asked]),
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[StoredWindows]:
    """Yields the windows in a features file that `features.read` has found whole.

    Raises:
        FormatError: they were not kept.
    """
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        if WINDOWS not in file:
            raise FormatError(
                f"{path}: has no windows but their means alone; set keep_windows: true for these "
                "features in the config"
            )
        yield StoredWindows(path, file)


def check(path: Path, file: Any, num_windows: np.ndarray) -> None:
    """Raises `FormatError` unless the windows in a features file are those of its clips.

    Args:
        path: of the file.
        file: the same, open.
        num_windows: ``(clips,)``, how many there must be of each clip.
    """
    offsets = numbers(file, OFFSETS)
    values, starts_s = member(file, WINDOWS), member(file, STARTS)
    total = int(num_windows.sum())
    is_whole = (
        np.array_equal(offsets, np.concatenate([[0], np.cumsum(num_windows)]))
        and values.ndim == 2
        and (len(values), starts_s.shape) == (total, (total,))
    )
    if not is_whole:
        raise FormatError(
            f"{path}: {total} windows but windows {values.shape}, {STARTS} {starts_s.shape}"
        )


def write(
    file: Any, num_windows: np.ndarray, width: int, parts: Iterable[tuple[int, FeatureWindows]]
) -> None:
    """Writes the windows of all clips into a features file.

    Args:
        file: the file, open.
        num_windows: ``(clips,)``.
        width: of the features.
        parts: row of a first clip, and the windows of this clip and of those behind it.

    Raises:
        ValueError: the parts are not all windows.
    """
    offsets = np.concatenate([[0], np.cumsum(num_windows)]).astype(np.int64)
    file[OFFSETS] = offsets
    values = file.create_dataset(WINDOWS, (int(offsets[-1]), width), np.float32)
    starts_s = file.create_dataset(STARTS, (int(offsets[-1]),), np.float64)
    num_written = 0
    for row, part in parts:
        rows = slice(offsets[row], offsets[row] + len(part.values))
        values[rows], starts_s[rows] = part.values, part.starts_s
        num_written += len(part.values)
    if num_written != len(values):
        raise ValueError(f"{num_written} windows to write, and the clips have {len(values)}")


def of_file(path: Path, rows: Iterable[int]) -> Iterator[tuple[int, FeatureWindows]]:
    """Yields the windows of each clip of a file, with its row among the clips that are wanted.

    Args:
        path: of a file that `features.read` has found whole.
        rows: of its clips.
    """
    with opened(path) as stored:
        for number, row in enumerate(rows):
            yield int(row), stored.read([number])
