"""A video over time: its features in stretches, each as long as a window of a backbone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avca_pipeline.backbones import Timing
from avca_pipeline.extraction.encoded_clip import EncodedClip


@dataclass(frozen=True)
class Stretch:
    """A part of a video.

    Attributes:
        start_s: where it begins, in seconds after the beginning of the file.
        end_s: where it ends; ``None`` for the end of the video.
        features: modality to the mean of its windows there, ``(dim,)`` float32.
        rows: modality to the numbers of these windows among those of the video.
    """

    start_s: float
    end_s: float | None
    features: Mapping[str, np.ndarray]
    rows: Mapping[str, np.ndarray]


def stretches(
    clips: Mapping[str, EncodedClip], timings: Mapping[str, Timing], length_s: float | None = None
) -> list[Stretch]:
    """Returns the stretches of a video, in their order; none is empty.

    They are the windows of the modality that has fewer of them, each with the features of its own
    window alone. The other modality has the mean of its windows that lie inside by half or more;
    where none does, the one that overlaps most, or is nearest.

    Args:
        clips: modality to the encoded video, with its windows.
        timings: modality to where its windows are in time.
        length_s: of the whole file, if that is known. No stretch ends later.
    """
    coarse = min(clips, key=lambda modality: len(clips[modality].windows))
    media = clips[coarse].media
    begins = {
        modality: (media.start_s or 0.0)
        + clip.notes.late_s
        + np.array(clip.starts) / timings[modality].rate_hz
        for modality, clip in clips.items()
    }
    ends = {
        modality: _ends(starts_s, timings[modality].window_s, media.end_s, length_s)
        for modality, starts_s in begins.items()
    }
    found = []
    for number, (from_s, to_s) in enumerate(zip(begins[coarse], ends[coarse], strict=True)):
        if to_s <= from_s:
            continue
        means, rows = {}, {}
        for modality, clip in clips.items():
            rows[modality] = (
                np.array([number])
                if modality == coarse
                else _inside(begins[modality], ends[modality], from_s, to_s)
            )
            windows = np.array([clip.windows[row] for row in rows[modality]], np.float64)
            means[modality] = windows.mean(axis=0).astype(np.float32)
        until_s = None if math.isinf(to_s) else float(to_s)
        found.append(Stretch(float(from_s), until_s, means, rows))
    return found


def _inside(begins_s: np.ndarray, ends_s: np.ndarray, from_s: float, to_s: float) -> np.ndarray:
    """Returns the rows of the windows that lie inside a stretch by half or more, at least one."""
    # Negative where a window does not touch the stretch: the gap between them.
    overlap_s = np.minimum(ends_s, to_s) - np.maximum(begins_s, from_s)
    rows = np.flatnonzero((overlap_s > 0) & (overlap_s >= (ends_s - begins_s) / 2))
    return rows if len(rows) else np.array([overlap_s.argmax()])


def _ends(
    begins_s: np.ndarray, window_s: float, end_s: float | None, length_s: float | None
) -> np.ndarray:
    """Returns where windows end, at the latest with the stretch asked for and with the file.

    Without a length of their own they end where the next one begins.
    """
    ends_s = np.append(begins_s[1:], math.inf) if math.isnan(window_s) else begins_s + window_s
    ends_s = np.minimum(ends_s, math.inf if end_s is None else end_s)
    # A file may be longer than it says: what begins later was still found in it.
    known_s = math.inf if length_s is None else length_s
    return np.where(begins_s < known_s, np.minimum(ends_s, known_s), ends_s)
