"""Samples of a clip: mono, at a backbone's rate, in blocks, whatever the file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

# Sample formats whose 16-bit values are worked out here, many frames at a time.
DIRECT = ("s16", "s16p", "flt", "fltp")
GATHERED_S = 0.5


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
    begin_s = start_s(container) + (start or 0.0)
    if start:
        seek(container, stream, begin_s)
    rate_hz = stream.codec_context.sample_rate
    wanted = None if end is None else round((end - (start or 0.0)) * rate_hz)
    received, taken = 0, 0
    position: int | None = 0 if not start else None  # of the next sample, relative to the segment
    for time_s, block in _gathered(decoded(container, stream, after_seek=bool(start)), rate_hz):
        if position is None:
            position = 0 if time_s is None else round((time_s - begin_s) * rate_hz)
        received += block.shape[1]
        kept = block[:, max(0, -position) :]
        position += block.shape[1]
        kept = kept if wanted is None else kept[:, : wanted - taken]
        taken += kept.shape[1]
        if kept.shape[1]:
            # Exactly the mean over channels of samples divided by 32768.
            yield kept.sum(axis=0, dtype=np.float64) / (len(kept) * 32768.0)
        if wanted is not None and taken >= wanted:
            return
    if start is None and end is None and stream.frames:
        announced = float((stream.duration or 0) * stream.time_base) * rate_hz
        if received < MIN_SHARE_OF_ANNOUNCED * announced:
            raise MediaError(f"truncated: {received} of {announced:.0f} audio samples")


def _gathered(frames: Iterator[Any], rate_hz: int) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yields the time stamp and the 16-bit samples, ``(channels, samples)``, of half seconds.

    Frames of compressed sound are short, and arithmetic on each would cost more than decoding.
    """
    first: Any = None
    held: list[np.ndarray] = []
    time_s, length = None, 0
    convert = _to_16_bit()
    for frame in frames:
        first = first or frame
        if (frame.sample_rate, frame.format.name, frame.layout.nb_channels) != (
            first.sample_rate, first.format.name, first.layout.nb_channels
        ):  # fmt: skip
            raise MediaError("damaged: the audio format changes within the file")
        if not held:
            time_s = frame.time if frame.pts is not None else None
        held.append(frame.to_ndarray() if frame.format.name in DIRECT else convert(frame))
        length += frame.samples
        if length >= GATHERED_S * rate_hz:
            yield time_s, _channels(held, first)
            held, length = [], 0
    if held:
        yield time_s, _channels(held, first)


def _channels(held: list[np.ndarray], frame: Any) -> np.ndarray:
    samples = np.concatenate(held, axis=1)
    if frame.format.name in ("flt", "s16"):  # interleaved
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.float32:
        # What FFmpeg's own conversion does: nearest, halves to even, and clipped.
        samples = np.rint(samples * np.float32(32768)).clip(-32768, 32767)
    return samples


def _to_16_bit() -> Callable[[Any], np.ndarray]:
    """Returns a conversion of frames in any other format by FFmpeg."""
    import av

    resampler = av.AudioResampler(format="s16p")
    return lambda frame: np.concatenate(
        [part.to_ndarray() for part in resampler.resample(frame)], axis=1
    )
