"""Decode workers for the clips of a backbone, and how much memory they share with this process."""

from __future__ import annotations

import functools
import logging
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from avca_pipeline.backbones import AnyBackbone, Spec
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import Limits
from avca_pipeline.media.decode_worker import rejecting
from avca_pipeline.media.hardware import by_hardware_first
from avca_pipeline.media.planes import MAX_BYTES, aligned, keeping_planes
from avca_pipeline.media.workers import DecodePool

logger = logging.getLogger(__name__)

BATCHES_DECODED_AHEAD = 2
SHARED_BYTES = 2 << 30
"""Of memory for planes that workers share, unless two windows for each of them are more."""


def decode_pool(
    backbone: AnyBackbone,
    settings: WeightsSettings,
    clips: Sequence[EncodedClip],
    limits: Limits,
    *,
    device: str,
    num_workers: int,
    rejects_unreadable: bool = False,
) -> DecodePool:
    """Returns decode workers for clips, with room for the windows of a few batches.

    With ``rejects_unreadable``, a clip whose disk is in trouble is rejected. A stage ends instead,
    because its result is kept, and the next run can try again.
    """
    spec = backbone.spec(settings)
    windows = functools.partial(backbone.windows, settings, limits=limits)
    shape: tuple[int, ...] = spec.window_shape
    dtype, num_slots = spec.window_dtype, BATCHES_DECODED_AHEAD * backbone.BATCH_WINDOWS[device]
    if prepares_on_device(settings):
        if device == "cuda":
            windows = functools.partial(by_hardware_first, windows)
        windows = functools.partial(keeping_planes, windows)
        shape, dtype = (bytes_of_planes(spec),), "uint8"
        num_slots = min(num_slots, SHARED_BYTES // shape[0])
    return DecodePool(
        functools.partial(rejecting, windows) if rejects_unreadable else windows,
        [clip.media for clip in clips],
        shape,
        dtype,
        num_workers=num_workers,
        num_slots=num_slots,
    )


def prepares_on_device(settings: WeightsSettings) -> FramesOn | None:
    """Returns the settings if the device is to prepare frames."""
    return settings if isinstance(settings, FramesOn) and settings.is_on_device else None


def bytes_of_planes(spec: Spec) -> int:
    """Returns the size of memory that takes any window of planes, or of what the host prepared.

    The system gives a page of it only when it is used: small frames take little.
    """
    return spec.window_shape[0] * max(aligned(MAX_BYTES), aligned(prepared_bytes(spec)))


def prepared_bytes(spec: Spec) -> int:
    """Returns the size of what a window holds of one frame."""
    return math.prod(spec.window_shape[1:]) * np.dtype(spec.window_dtype).itemsize


def log_fallbacks(clips: Sequence[EncodedClip]) -> None:
    """Logs how many clips the CPU had to decode or prepare in the place of the device, and why."""
    for what, reasons in (
        ("decoded", [clip.notes.decoded_on_cpu for clip in clips]),
        ("prepared frames of", [clip.notes.on_host for clip in clips]),
    ):
        counts = Counter(reason for reason in reasons if reason)
        why = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
        if why:
            logger.info(f"frames_on: device: the CPU has {what} {counts.total()} clips ({why})")
