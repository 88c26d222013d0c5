"""Frames of a clip at a steady rate, picked by time stamp."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
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


def frames(
    path: Path, rate_hz: int, start: float | None, end: float | None, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields the clip's frames at ``rate_hz`` as ``(height, width, 3)`` uint8 RGB, upright.

    A frame is shown until the next one begins, whatever the rate of the file: slow and variable
    rates repeat frames, fast ones skip some. For a whole file these are the frames that
    libavfilter's ``fps`` filter picks, but for AVI files that have the rate already: those are
    passed through, because AVI stores no time stamps and the ones made up for MPEG-4 have a gap
    after the first frame. Consecutive repeats are the same array. Non-square pixels are not
    stretched: the backbones' published preprocessing resizes the stored pixels.

    Args:
        path: a media file.
        rate_hz: frames per second to yield.
        start: where the clip begins, in seconds of the media; ``None`` for its beginning.
        end: where it ends; ``None`` for its end.
        limits: beyond which the clip is refused.

    Raises:
        MediaError: no video, damaged or cut off, over the limits, or nothing between the times.
    """
    with _video(path, limits) as (container, stream):
        is_whole = start is None and end is None
        timed = _timed(container, stream, start, limits, is_whole=is_whole)
        if is_whole and container.format.name == "avi" and stream.average_rate == rate_hz:
            picked: Iterator[Any] = (frame for frame, _, _ in timed)
        else:
            origin_s = 0.0 if is_whole else start_s(container) + (start or 0.0)
            last = None if end is None else _round((end - (start or 0.0)) * rate_hz)
            picked = pick(timed, rate_hz, origin_s, last, from_zero=not is_whole)
        yield from _arrays(picked, rate_hz, limits)


def native_frames(
    path: Path, start: float | None, end: float | None, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields every frame of a clip once, as `frames` does, whatever the rate of the file."""
    with _video(path, limits) as (container, stream):
        timed = _timed(container, stream, start, limits, is_whole=start is None and end is None)
        begin_s = start_s(container) + (start or 0.0)
        half = 0.5 / float(_rate(stream))
        inside = (
            frame
            for frame, time_s, _ in timed
            if start is None or time_s > begin_s - half
            if end is None or time_s < begin_s + end - (start or 0.0) - half
        )
        yield from _arrays(inside, math.ceil(_rate(stream)), limits)


def frame_count(
    path: Path, start: float | None, end: float | None, limits: Limits
) -> tuple[int, float]:
    """Returns how many frames a clip has, without decoding it, and how many in a second."""
    with _video(path, limits) as (container, stream):
        count = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
        rate = float(_rate(stream))
    last = count if end is None else min(count, round(end * rate))
    return max(0, last - round((start or 0.0) * rate)), rate


def pick(
    timed: Iterable[tuple[Any, float, float]],
    rate_hz: int,
    origin_s: float,
    last: int | None,
    *,
    from_zero: bool,
) -> Iterator[Any]:
    """Yields the frame on show at each tick of a clock of ``rate_hz`` that starts at ``origin_s``.

    Pure arithmetic. A frame's time is rounded to the nearest tick, halves away from zero; of
    several frames at one tick the last one counts; the final frame lasts for its duration.

    Args:
        timed: ``(frame, time stamp, duration)`` in seconds, in the order of display.
        rate_hz: ticks per second.
        origin_s: the time stamp of tick 0.
        last: the tick before which to stop; ``None`` for the end of the frames.
        from_zero: begin at tick 0 (a segment), not at the first frame's tick (a whole file).
    """
    current, end_s = None, 0.0
    tick: int | None = 0 if from_zero else None
    emitted = False
    for frame, time_s, duration_s in timed:
        begins = _round((time_s - origin_s) * rate_hz)
        if tick is None:
            tick = begins
        while current is not None and tick < begins and (last is None or tick < last):
            yield current
            emitted, tick = True, tick + 1
        if last is not None and begins >= last:
            break
        current, end_s = frame, time_s + duration_s
    stop = _round((end_s - origin_s) * rate_hz)
    if last is not None:  # a segment that outlasts its media ends with the media
        stop = min(last, stop)
    while current is not None and tick is not None and tick < stop:
        yield current
        emitted, tick = True, tick + 1
    if current is not None and not emitted and not from_zero:
        yield current  # a clip of one short frame still has that frame


@contextlib.contextmanager
def _video(path: Path, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """Opens a file and yields it with its best video stream."""
    with opened(path) as container:
        stream = best_stream(container, "video")
        if stream is None:
            raise MediaError("no video stream")
        stream.thread_type = "NONE"  # decode workers are the unit of parallelism
        check_pixels(stream.codec_context.width, stream.codec_context.height, limits)
        yield container, stream


def _rate(stream: Any) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raises `MediaError` for frames over the limit, before anything is allocated for them."""
    if width * height > limits.max_pixels:
        raise MediaError(f"too large: {width}x{height} pixels")


def _timed(
    container: Any, stream: Any, start: float | None, limits: Limits, *, is_whole: bool
) -> Iterator[tuple[Any, float, float]]:
    """Yields ``(frame, time stamp, duration)`` from the last keyframe before ``start`` on."""
    begin_s = start_s(container) + (start or 0.0)
    if start:
        seek(container, stream, begin_s)
    rate = _rate(stream)
    count, next_s, retried = 0, None, not start
    iterator = decoded(container, stream, after_seek=bool(start))
    while (frame := next(iterator, None)) is not None:
        time_s = frame.time if frame.pts is not None else next_s
        time_s = begin_s if time_s is None else time_s
        if not retried and time_s > begin_s + 0.5 / rate:
            # Some containers have no usable index and seek too far: read from the beginning.
            container.seek(0, backward=True)
            iterator, retried = decoded(container, stream, after_seek=False), True
            continue
        retried = True
        duration = frame.duration * frame.time_base if frame.duration else 1 / rate
        next_s = time_s + float(duration)
        if next_s - begin_s > limits.max_duration_s:
            raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
        count += 1
        yield frame, time_s, float(duration)
    if is_whole and count < MIN_SHARE_OF_ANNOUNCED * stream.frames:
        raise MediaError(f"truncated: {count} of {stream.frames} frames")


def _arrays(picked: Iterable[Any], rate_hz: int, limits: Limits) -> Iterator[np.ndarray]:
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames: a new scaler each time costs half again
    source, array, count = None, None, 0
    for frame in picked:
        if frame is not source:
            check_pixels(frame.width, frame.height, limits)
            rgb = reformatter.reformat(frame, format="rgb24").to_ndarray()
            source, array = frame, np.ascontiguousarray(np.rot90(rgb, _quarter_turns(frame)))
        assert array is not None
        count += 1
        if count > limits.max_duration_s * rate_hz:
            raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
        yield array
    if not count:
        raise MediaError("nothing in segment: no video frame in it")


def _quarter_turns(frame: Any) -> int:
    """Returns how many quarter turns counter-clockwise bring the stored picture upright."""
    return round(frame.rotation / 90) % 4


def _round(value: float) -> int:
    """Rounds halves away from zero, as libavfilter does; 1e-9 absorbs what float division adds."""
    return int(math.copysign(math.floor(abs(value) + 0.5 + 1e-9), value))
