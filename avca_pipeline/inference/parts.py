"""What is classified: a whole video, or a stretch of one, with its features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.extraction.encoded_clip import NOTHING_DECODED, EncodedClip, windows_of
from avca_pipeline.inference.stretches import Stretch, stretches
from avca_pipeline.inference.video_features import Encoded
from avca_pipeline.media.container import probe


@dataclass(frozen=True)
class Part:
    """A video or a stretch of it.

    Attributes:
        video: as it was asked for.
        start_s: beginning of the stretch in seconds; ``None`` for that of the video.
        end_s: its end; ``None`` for that of the video.
        features: modality to the mean of its windows, ``(dim,)`` float32; empty if it cannot be
            used.
        windows: modality to its windows, where they were kept.
        hops_s: modality to the seconds from the beginning of a window to that of the next.
        reason: why it cannot be used; empty if it can.
    """

    video: str
    start_s: float | None
    end_s: float | None
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    windows: Mapping[str, FeatureWindows] = field(default_factory=dict)
    hops_s: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


def whole_parts(encoded: Encoded) -> list[Part]:
    """Returns each video as a whole."""
    parts = []
    for clips, part in _videos(encoded):
        means = {
            modality: np.asarray(clip.feature_sum / clip.num_encoded, np.float32)
            for modality, clip in clips.items()
            if clip.feature_sum is not None and not part.reason
        }
        windows = {
            modality: windows_of([clip], encoded.timings[modality])
            for modality, clip in clips.items()
            if clip.windows and not part.reason
        }
        place = part.video, part.start_s, part.end_s
        parts.append(Part(*place, means, windows, _hops_s(encoded), part.reason))
    return parts


def parts_over_time(encoded: Encoded) -> list[Part]:
    """Returns each stretch of each video, see `stretches`; a video that cannot be used is one part.

    Args:
        encoded: with windows.
    """
    parts = []
    for clips, part in _videos(encoded):
        if part.reason:
            parts.append(part)
            continue
        length_s = probe(next(iter(clips.values())).media.path).duration_s
        for stretch in stretches(clips, encoded.timings, length_s):
            parts.append(
                Part(
                    part.video,
                    stretch.start_s,
                    stretch.end_s,
                    stretch.features,
                    _windows_of_stretch(encoded, clips, stretch),
                    _hops_s(encoded),
                )
            )
    return parts


def _videos(encoded: Encoded) -> Iterator[tuple[dict[str, EncodedClip], Part]]:
    """Yields modality to each encoded video, and the video as a part without features."""
    for of_modality in zip(*encoded.clips.values(), strict=True):
        first = of_modality[0]
        reasons = (
            clip.reason or ("" if clip.num_encoded else NOTHING_DECODED) for clip in of_modality
        )
        reason = next(filter(None, reasons), "")
        part = Part(first.clip_id, first.media.start_s, first.media.end_s, reason=reason)
        yield dict(zip(encoded.clips, of_modality, strict=True)), part


def _windows_of_stretch(
    encoded: Encoded, clips: Mapping[str, EncodedClip], stretch: Stretch
) -> dict[str, FeatureWindows]:
    found = {}
    for modality, clip in clips.items():
        windows, rows = windows_of([clip], encoded.timings[modality]), stretch.rows[modality]
        # Of a window that begins before the stretch, what is outside does not count.
        begins_s = stretch.start_s - (clip.media.start_s or 0.0)
        starts_s = np.maximum(windows.starts_s[rows] - begins_s, 0.0)
        found[modality] = FeatureWindows(windows.values[rows], starts_s)
    return found


def _hops_s(encoded: Encoded) -> dict[str, float]:
    return {modality: timing.hop_s for modality, timing in encoded.timings.items()}
