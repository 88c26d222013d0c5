"""The state of a clip that is being encoded, and the features file that finished clips make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.backbones import MediaSegment, Timing
from avca_pipeline.media.notes import Notes

NOT_FINITE = "damaged: its features are not finite"
NOTHING_DECODED = "nothing in segment"


@dataclass
class EncodedClip:
    """One clip between its media and its features.

    A clip whose decode worker dies is decoded again from its first window. Results of the first
    attempt may still be on the device at that moment; each result carries the number of its
    attempt, so that only those of the last one count.

    Attributes:
        clip_id: of the clip.
        media: the file and the stretch of it that the clip is.
        sha256: of the file.
        attempt: how many times decoding has begun anew.
        feature_sum: ``(dim,)`` float64, the sum of the features of all windows so far.
        windows: ``(dim,)`` float32 features of each window, where they are kept.
        starts: of the windows that have been decoded, see `Window`, where windows are kept.
        num_decoded: windows that have been decoded.
        num_encoded: windows whose features are part of the sum.
        is_padded: whether the clip is shorter than one window.
        notes: what was done to the clip to decode it.
        reason: why the clip has no features; empty if it has.
    """

    clip_id: str
    media: MediaSegment
    sha256: str = ""
    attempt: int = 0
    feature_sum: np.ndarray | None = None
    windows: list[np.ndarray] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    num_decoded: int = 0
    num_encoded: int = 0
    is_padded: bool = False
    notes: Notes = field(default_factory=Notes)
    reason: str = ""

    def restart(self) -> None:
        """Forgets all windows of the clip; results that are still to come will not count."""
        self.attempt += 1
        self.feature_sum, self.num_decoded, self.num_encoded = None, 0, 0
        self.windows.clear()
        self.starts.clear()

    def add_features(self, attempt: int, row: np.ndarray, *, keep_window: bool) -> None:
        """Adds the features of one window.

        Args:
            attempt: the attempt in which the window was decoded.
            row: ``(dim,)`` float32.
            keep_window: keep the row itself as well as the sum.
        """
        if attempt != self.attempt:
            return
        if not np.isfinite(row).all():
            self.reason = NOT_FINITE
            return
        row_float64 = row.astype(np.float64)
        if self.feature_sum is None:
            self.feature_sum = row_float64
        else:
            self.feature_sum = self.feature_sum + row_float64
        self.num_encoded += 1
        if keep_window:
            # A view would keep the whole batch in memory that the GPU copies to.
            self.windows.append(row.copy())


def as_features(
    clips: Sequence[EncodedClip],
    attributes: Mapping[str, str],
    timing: Timing | None,
    *,
    keep_windows: bool,
) -> Features:
    """Returns the features of a shard: the mean over each clip's windows, or why there is none.

    Args:
        clips: all clips of the shard.
        attributes: of the features file.
        timing: of the backbone's windows; windows are kept only where there is one.
        keep_windows: keep the windows as well.
    """
    for clip in clips:
        if not clip.reason and clip.feature_sum is None:
            clip.reason = NOTHING_DECODED
    usable = [clip for clip in clips if not clip.reason]
    means = [clip.feature_sum / clip.num_encoded for clip in usable if clip.feature_sum is not None]
    return Features(
        clip_ids=[clip.clip_id for clip in usable],
        features=np.array(means, np.float32).reshape(len(means), -1)
        if means
        else np.zeros((0, 0), np.float32),
        num_windows=np.array([clip.num_encoded for clip in usable], np.int64),
        is_padded=np.array([clip.is_padded for clip in usable], bool),
        notes={
            name: np.array([getattr(clip.notes, name) for clip in usable], np.float64)
            for name in features.NOTES
        },
        rejected={clip.clip_id: clip.reason for clip in clips if clip.reason},
        attributes=attributes,
        windows=windows_of(usable, timing) if timing and keep_windows else None,
        window_s=timing.window_s if timing else math.nan,
        hop_s=timing.hop_s if timing else math.nan,
        media=[clip.sha256 for clip in usable],
    )


def windows_of(clips: Sequence[EncodedClip], timing: Timing) -> FeatureWindows:
    """Returns the windows of clips, those of each clip behind those of the clip before.

    Args:
        clips: encoded with their windows kept.
        timing: of the backbone's windows.
    """
    values = [row for clip in clips for row in clip.windows]
    starts_s = [
        clip.notes.late_s + start / timing.rate_hz for clip in clips for start in clip.starts
    ]
    width = len(values[0]) if values else 0
    return FeatureWindows(
        np.array(values, np.float32).reshape(len(values), width), np.array(starts_s, np.float64)
    )
