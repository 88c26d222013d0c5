"""``features/<backbone>/<shard>.h5``: what a backbone saw in each clip of a shard.

All shards together are ``features/<backbone>.h5``, in the same format.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import feature_windows, stored_features
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.frames import frame
from avca_pipeline.artifacts.hdf5 import (
    atomic_write_hdf5,
    reading_hdf5,
    write_strings,
)
from avca_pipeline.artifacts.hdf5_members import member, numbers, strings
from avca_pipeline.artifacts.stored_features import StoredFeatures
from avca_pipeline.errors import FormatError, one_line

FORMAT_VERSION = 2
KIND = "features"
TIMES = ("window_s", "hop_s")
NOTES = ("gap_s", "num_jumps", "num_damaged", "tilt_deg")
AWAY_SUFFIX = ".away"
"""Ends the name of the list of files that were away when a shard was extracted."""
IMPORTED = "imported"
"""Stands for the backbone of features that were not made here."""


@dataclass(frozen=True, repr=False)
class Features:
    """Features of one backbone.

    Attributes:
        clip_ids: of the clips that have features, N of them.
        features: ``(clips, dim)`` float32, the mean over each clip's windows.
        num_windows: ``(clips,)``, how many windows that mean is over.
        is_padded: ``(clips,)``, true for a clip shorter than one window, which was padded.
        notes: what was done to each clip to decode it, by name, each ``(clips,)`` float64:
            ``gap_s``, seconds of silence or of a held picture where time stamps leave a gap;
            ``num_jumps`` of time stamps that were joined; ``num_damaged`` packets left out;
            ``tilt_deg``, an angle of display that is no quarter turn and was not applied. A name
            that is missing stands for zeros.
        rejected: clip id to reason, for clips that have none.
        attributes: backbone, weights (SHA-256 or ``random:<seed>``), preprocessing, versions.
        media: SHA-256 of the file that each clip's features were made from; empty where
            that is not known.
        window_s: length of a window in seconds; NaN where that is not known, or differs from clip
            to clip.
        hop_s: seconds from the beginning of a window to that of the next; NaN likewise.
        has_windows: whether the windows are kept beside their means.
        windows: those of all clips, in the order of the clips, where they were kept and asked for.
    """

    clip_ids: Sequence[str]
    features: np.ndarray
    num_windows: np.ndarray
    is_padded: np.ndarray
    notes: Mapping[str, np.ndarray] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    media: Sequence[str] = ()
    window_s: float = math.nan
    hop_s: float = math.nan
    has_windows: bool = False
    windows: FeatureWindows | None = None

    def __repr__(self) -> str:
        dim = self.features.shape[-1]
        hop = "" if math.isnan(self.hop_s) else f", a window every {self.hop_s:g} s"
        return (
            f"<features of {one_line(self.attributes.get('backbone', 'unknown'))}: "
            f"{len(self.clip_ids)} clips × {dim}, {len(self.rejected)} rejected{hop}>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns what can be written as JSON; the features of windows are left out."""
        times = {name: getattr(self, name) for name in TIMES}
        return {
            "clip_ids": list(self.clip_ids),
            "features": self.features.tolist(),
            "num_windows": self.num_windows.tolist(),
            "is_padded": self.is_padded.tolist(),
            "notes": {name: column.tolist() for name, column in self.notes.items()},
            "rejected": dict(self.rejected),
            "attributes": dict(self.attributes),
            "media": list(self.media),
            **{name: None if math.isnan(value) else value for name, value in times.items()},
        }

    def to_frame(self) -> Any:
        """Returns ``features`` as a data frame of pandas, a row for each clip id.

        Raises:
            PipelineError: pandas is not installed.
        """
        columns = [f"feature_{number}" for number in range(self.features.shape[-1])]
        return frame(self.features, columns, self.clip_ids)


def write(path: Path, value: Features, windows: Iterable[tuple[int, FeatureWindows]] = ()) -> None:
    """Writes a shard or all of them; `read` gives back the same.

    Args:
        path: of the file.
        value: what to write.
        windows: row of a clip and its windows, for each clip, where ``value`` has windows and they
            are not in memory.

    Raises:
        ValueError: these are not all windows.
    """
    with atomic_write_hdf5(path, KIND, FORMAT_VERSION) as file:
        for name, text in sorted(value.attributes.items()):
            file.attrs[name] = text
        for name in TIMES:
            file.attrs[name] = float(getattr(value, name))
        write_strings(file, "clip_id", value.clip_ids)
        _write_features(file, value.features)
        file["num_windows"] = value.num_windows.astype(np.int64)
        file["is_padded"] = value.is_padded.astype(bool)
        notes = file.create_group("notes")
        for name in NOTES:
            notes[name] = _note(value, name)
        if len(value.media):
            write_strings(file, "media_sha256", value.media)
        rejected = file.create_group("rejected")
        write_strings(rejected, "clip_id", list(value.rejected))
        write_strings(rejected, "reason", list(value.rejected.values()))
        if value.has_windows or value.windows is not None:
            parts = windows if value.windows is None else [(0, value.windows)]
            feature_windows.write(file, value.num_windows, value.features.shape[1], parts)


def read(path: Path, *, with_windows: bool = False, most_bytes: float = math.inf) -> Features:
    """Reads a shard or all of them.

    Args:
        path: of the file.
        with_windows: read also the windows, if they were kept, all into memory.
        most_bytes: larger features stay in the file, as `StoredFeatures` in the place of the array.

    Raises:
        FormatError: not a whole features file of this version, or one with NaN or infinity in it.
    """
    with reading_hdf5(path, KIND, FORMAT_VERSION) as file:
        own = ("kind", "format_version", *TIMES)
        rejected = member(file, "rejected")
        notes = member(file, "notes")
        value = Features(
            clip_ids=strings(file, "clip_id"),
            features=_features(path, file, most_bytes),
            num_windows=numbers(file, "num_windows"),
            is_padded=numbers(file, "is_padded"),
            notes={name: numbers(notes, name) for name in notes},
            rejected=dict(
                zip(strings(rejected, "clip_id"), strings(rejected, "reason"), strict=True)
            ),
            attributes={k: str(v) for k, v in file.attrs.items() if k not in own},
            media=strings(file, "media_sha256") if "media_sha256" in file else (),
            window_s=float(file.attrs["window_s"]),
            hop_s=float(file.attrs["hop_s"]),
            has_windows=feature_windows.WINDOWS in file,
        )
        if value.has_windows:
            feature_windows.check(path, file, value.num_windows)
    if len(value.features.shape) != 2 or len(value.features) != len(value.clip_ids):
        raise FormatError(
            f"{path}: {len(value.clip_ids)} clips but features {value.features.shape}"
        )
    columns = {"num_windows": value.num_windows, "is_padded": value.is_padded, **value.notes}
    for name, column in columns.items():
        if column.shape != (len(value.clip_ids),):
            raise FormatError(f"{path}: {len(value.clip_ids)} clips but {name} {column.shape}")
    if not _are_finite(value.features):
        raise FormatError(f"{path}: has features that are not finite; delete it and extract again")
    if value.has_windows and with_windows:
        with feature_windows.opened(path) as stored:
            value = replace(value, windows=stored.read(range(len(value.clip_ids))))
    return value


def _write_features(file: Any, rows: Any) -> None:
    """Writes an array, or what yields the blocks of one, which is then never in memory whole."""
    table = file.create_dataset(None, rows.shape, np.float32)
    first = 0
    for block in [rows] if isinstance(rows, np.ndarray) else rows.blocks():
        table[first : first + len(block)] = np.asarray(block, np.float32)
        first += len(block)
    file["features"] = table


def _features(path: Path, file: Any, most_bytes: float) -> Any:
    dataset = member(file, "features")
    is_large = getattr(dataset, "nbytes", 0) > most_bytes
    stored = stored_features.of_dataset(path, dataset) if is_large else None
    return numbers(file, "features") if stored is None else stored


def _are_finite(values: np.ndarray | StoredFeatures) -> bool:
    if isinstance(values, StoredFeatures):
        return all(np.isfinite(block).all() for block in values.blocks())
    return bool(np.isfinite(values).all())


def of_clips(value: Features, clip_ids: Container[str]) -> Features:
    """Returns the rows of some clips, in their order, with their windows if these are in memory.

    Args:
        value: features of more clips.
        clip_ids: which to keep; what is rejected stays.
    """
    rows = np.array([row for row, clip in enumerate(value.clip_ids) if clip in clip_ids], np.int64)
    windows = value.windows
    if windows is not None:
        begins = np.concatenate([[0], np.cumsum(value.num_windows)])
        kept = np.concatenate(
            [np.zeros(0, np.int64), *(np.arange(begins[row], begins[row + 1]) for row in rows)]
        )
        windows = FeatureWindows(windows.values[kept], windows.starts_s[kept])
    return replace(
        value,
        clip_ids=[value.clip_ids[row] for row in rows],
        features=value.features[rows],
        num_windows=value.num_windows[rows],
        is_padded=value.is_padded[rows],
        notes={name: column[rows] for name, column in value.notes.items()},
        media=[value.media[row] for row in rows] if value.media else (),
        has_windows=windows is not None,
        windows=windows,
    )


def _note(value: Features, name: str) -> np.ndarray:
    """Returns a column of notes, zeros if it is missing."""
    column = value.notes.get(name)
    return np.zeros(len(value.clip_ids)) if column is None else column.astype(np.float64)


def check(path: Path) -> None:
    """Raises `FormatError` unless the file can be opened and has this release's version."""
    with reading_hdf5(path, KIND, FORMAT_VERSION):
        pass
