"""Samples of a clip: mono, at a backbone's rate, in blocks, whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.media import Limits, MediaError
from avca_pipeline.media.container import (
    MIN_SHARE_OF_ANNOUNCED,
    best_stream,
    decoded,
    opened,
    seek,
    start_s,
)
from avca_pipeline.media.resample import resampled


def mono_blocks(
    path: Path, rate_hz: int, start: float | None, end: float | None, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields the clip's sound as float64 blocks in [-1, 1], one channel, at ``rate_hz``.

    Decoded to 16 bit at the file's own rate and layout, divided by 32768, averaged over channels
    and only then resampled, as VGGish's published front end does. (FFmpeg's own mixing to mono
    would be 3 dB too loud for stereo.) Blocks have any length.

    Args:
        path: a media file.
        rate_hz: samples per second to yield.
        start: where the clip begins, in seconds of the media; ``None`` for its beginning.
        end: where it ends; ``None`` for its end.
        limits: beyond which the clip is refused.

    Raises:
        MediaError: no audio, damaged or cut off, over the limits, or nothing between the times.
    """
    with opened(path) as container:
        stream = best_stream(container, "audio")
        if stream is None:
            raise MediaError("no audio stream")
        native_hz = stream.codec_context.sample_rate
        if not native_hz:
            raise MediaError("damaged: audio without a sample rate")
        count = 0
        for block in resampled(_native(container, stream, start, end), native_hz, rate_hz):
            count += len(block)
            if count > limits.max_duration_s * rate_hz:
                raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
            yield block
        if not count:
            raise MediaError("nothing in segment: no audio sample in it")


def _native(
    container: Any, stream: Any, start: float | None, end: float | None
) -> Iterator[np.ndarray]:
    """Yields mono float64 blocks at the file's own rate, trimmed to the segment by time stamp."""
    import av

    begin_s = start_s(container) + (start or 0.0)
    if start:
        seek(container, stream, begin_s)
    resampler = av.AudioResampler(format="s16p")
    wanted = (
        None if end is None else round((end - (start or 0.0)) * stream.codec_context.sample_rate)
    )
    received, taken = 0, 0
    position: int | None = 0 if not start else None  # of the next sample, relative to the segment
    for frame in decoded(container, stream, after_seek=bool(start)):
        if position is None:
            time_s = frame.time if frame.pts is not None else begin_s
            position = round((time_s - begin_s) * frame.sample_rate)
        try:
            converted = resampler.resample(frame)
        except ValueError as error:
            raise MediaError("damaged: the audio format changes within the file") from error
        for part in converted:
            mono = (part.to_ndarray().astype(np.float64) / 32768.0).mean(axis=0)
            received += len(mono)
            mono, position = mono[max(0, -position) :], position + len(mono)
            mono = mono if wanted is None else mono[: wanted - taken]
            taken += len(mono)
            if len(mono):
                yield mono
        if wanted is not None and taken >= wanted:
            return
    if start is None and end is None and stream.frames:
        announced = (
            float((stream.duration or 0) * stream.time_base) * stream.codec_context.sample_rate
        )
        if received < MIN_SHARE_OF_ANNOUNCED * announced:
            raise MediaError(f"truncated: {received} of {announced:.0f} audio samples")
