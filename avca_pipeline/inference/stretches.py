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
        features: modality to the mean of the windows that overlap it, ``(dim,)`` float32.
    """

    start_s: float
    end_s: float | None
    features: Mapping[str, np.ndarray]


def stretches(clips: Mapping[str, EncodedClip], timings: Mapping[str, Timing]) -> list[Stretch]:
    """Returns the stretches of a video, in their order.

    They are the windows of the modality that has fewer of them. In each one, a modality has the
    mean of its windows that overlap it; where none does, the one that begins next to it.

    Args:
        clips: modality to the encoded video, with its windows.
        timings: modality to where its windows are in time.
    """
    begins = {
        modality: clip.notes.late_s + np.array(clip.starts) / timings[modality].rate_hz
        for modality, clip in clips.items()
    }
    ends = {
        modality: _ends(starts_s, timings[modality].window_s)
        for modality, starts_s in begins.items()
    }
    coarse = min(clips, key=lambda modality: len(begins[modality]))
    media = clips[coarse].media
    offset_s = media.start_s or 0.0
    found = []
    for start_s, end_s in zip(begins[coarse], ends[coarse], strict=True):
        means = {}
        for modality, clip in clips.items():
            overlaps = (begins[modality] < end_s) & (ends[modality] > start_s)
            rows = np.flatnonzero(overlaps)
            if not len(rows):
                rows = np.array([np.abs(begins[modality] - start_s).argmin()])
            windows = np.array([clip.windows[row] for row in rows], np.float64)
            means[modality] = windows.mean(axis=0).astype(np.float32)
        end = min(offset_s + end_s, math.inf if media.end_s is None else media.end_s)
        found.append(
            Stretch(float(offset_s + start_s), None if math.isinf(end) else float(end), means)
        )
    return found


def _ends(starts_s: np.ndarray, window_s: float) -> np.ndarray:
    """Returns where windows end: after their length, or else where the next one begins."""
    if math.isnan(window_s):
        return np.append(starts_s[1:], math.inf)
    return starts_s + window_s
