"""Frames of a clip at a steady rate, picked by time stamp."""

from __future__ import annotations

import collections
import contextlib
import functools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.media import Limits, MediaError, hardware, notes
from avca_pipeline.media.container import opened
from avca_pipeline.media.orientation import upright
from avca_pipeline.media.planes import stored
from avca_pipeline.media.skipping import LeftOut
from avca_pipeline.media.ticks import Covered, at_positions, nearest, pick
from avca_pipeline.media.timeline import Track

# A picture held for so much longer than it was to last counts as a gap.
GAP_S = 0.1
MAX_DECODED_PIXELS = 2**26


def frames(
    path: Path, rate_hz: int, start: float | None, end: float | None, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields the clip's frames at ``rate_hz`` as ``(height, width, 3)`` uint8 RGB, upright.

    A frame is shown until the next one begins, whatever the rate of the file: slow and variable
    rates repeat frames, fast ones skip some. For a whole file these are the frames that
    libavfilter's ``fps`` filter picks, but for AVI files with B-frames: AVI stores no time stamps,
    and those that FFmpeg makes up for it are in disorder. Where the picture begins later than the
    clip there is none, see `timeline`. Consecutive repeats are the same array. Non-square pixels
    are not stretched: the backbones' published preprocessing resizes the stored pixels.

    A picture that no tick shows, and that no other picture of the file refers to, is not decoded,
    see `skipping`.

    Args:
        path: a media file.
        rate_hz: frames per second to yield.
        start: where the clip begins, in seconds of the media; ``None`` for its beginning.
        end: where it ends; ``None`` for its end.
        limits: beyond which the clip is refused.

    Raises:
        MediaError: no video, damaged or cut off, over the limits, or nothing between the times.
    """
    with _video(path, limits) as track:
        begin_s = start or 0.0
        track.new_covered = functools.partial(Covered, rate_hz, begin_s)
        timed = _noting_late(_timed(track, begin_s, end, limits), begin_s, rate_hz)
        last = None if end is None else nearest((end - begin_s) * rate_hz)
        picked = pick(timed, rate_hz, begin_s, last, lambda: track.repeated_until_s)
        yield from _arrays(picked, rate_hz, limits)
        track.check_damage()


def resizable(
    picked: Iterable[np.ndarray], short_side: int, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields frames, of which none has too many pixels once its short side is resized.

    Raises:
        MediaError: a frame so thin that it would be blown up beyond the limit.
    """
    for frame in picked:
        height, width = frame.shape[:2]
        scale = short_side / min(height, width)
        if scale > 1 and scale * scale * height * width > limits.max_pixels:
            raise MediaError(
                f"too large: {width}x{height} pixels, resized {width * scale:.0f}x"
                f"{height * scale:.0f}"
            )
        yield frame


def native_frames(
    path: Path, start: float | None, end: float | None, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields every frame of a clip once, as `frames` does, whatever the rate of the file."""
    with _video(path, limits) as track:
        rate = _rate(track.stream)
        timed = _noting_late(_inside(track, start, end, limits), start or 0.0, rate)
        inside = (frame for frame, _, _ in timed)
        yield from _arrays(inside, math.ceil(_rate(track.stream)), limits)
        track.check_damage()


def spread_frames(
    path: Path, count: int, start: float | None, end: float | None, limits: Limits
) -> Iterator[tuple[np.ndarray, float]]:
    """Yields ``count`` frames of a clip, one from the middle of each of as many equal parts.

    Beside each frame stands when it begins, in seconds after the beginning of the clip; a frame
    that is on show when the clip begins does so at 0. Of ``n`` frames, the first of which is frame
    0, these are the frames ``(2i + 1) n // 2 count``; a single one is frame ``n // 2``. A clip of
    fewer frames repeats some. Frames that are not yielded are decoded, which shows damage, but not
    converted. Other arguments and errors are those of `frames`.
    """
    num_frames, _ = frame_count(path, start, end, limits)
    positions = [(2 * part + 1) * num_frames // (2 * count) for part in range(count)]
    begins_s: collections.deque[float] = collections.deque()
    with _video(path, limits) as track:

        def chosen() -> Iterator[Any]:
            inside = _inside(track, start, end, limits)
            for frame, time_s, _ in at_positions(inside, positions):
                begins_s.append(max(0.0, time_s - (start or 0.0)))
                yield frame

        for array in _arrays(chosen(), count, limits):
            yield array, begins_s.popleft()
        track.check_damage()


def frame_count(
    path: Path, start: float | None, end: float | None, limits: Limits
) -> tuple[int, float]:
    """Returns how many frames `native_frames` yields, without decoding, and how many a second."""
    with _video(path, limits) as track:
        rate = float(_rate(track.stream))
        begin_s, half = start or 0.0, 0.5 / rate
        times_s = (track.begins_s(packet) for packet in track.shown_packets())
        count = sum(
            time_s is None
            or ((start is None or time_s > begin_s - half) and (end is None or time_s < end - half))
            for time_s in times_s
        )
    return count, rate


def claimed_count(path: Path, rate_hz: int, limits: Limits) -> int:
    """Returns how many frames the header of an AVI file of that rate counts; 0 for other files.

    Other rates are resampled, and other headers count what they have.
    """
    with open(path, "rb") as file:
        beginning = file.read(12)
    if beginning[:4] != b"RIFF" or beginning[8:] != b"AVI ":
        return 0
    with _video(path, limits) as track:
        return int(track.stream.frames) if track.stream.average_rate == rate_hz else 0


@contextlib.contextmanager
def _video(path: Path, limits: Limits) -> Iterator[Track]:
    """Opens a file and yields its best video stream."""
    with opened(path, hardware.accelerator(path)) as container:
        track = Track(path, "video", container)
        track.prepare = functools.partial(_prepare, limits=limits)
        track.prepare(track.stream)
        yield track


def _prepare(stream: Any, limits: Limits) -> None:
    stream.thread_type = "NONE"  # decode workers are the unit of parallelism
    check_pixels(stream.codec_context.width, stream.codec_context.height, limits)
    # Frames may grow on the way; the decoder itself refuses to make room for monsters.
    most = max(limits.max_pixels, MAX_DECODED_PIXELS)
    stream.codec_context.options = {"max_pixels": str(most)}


def _rate(stream: Any) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raises `MediaError` for frames over the limit, before anything is allocated for them."""
    if width * height > limits.max_pixels:
        raise MediaError(f"too large: {width}x{height} pixels")


def _timed(
    track: Track, begin_s: float, end_s: float | None, limits: Limits
) -> Iterator[tuple[Any, float, float]]:
    """Yields ``(frame, time, duration)`` on the file's line, from the frame on show on."""
    unit, usual_s = float(track.stream.time_base), float(1 / _rate(track.stream))
    next_s: float | None = None
    for frame, decoded_s in track.decoded(begin_s):
        expected_s = 0.0 if next_s is None else next_s  # without a time, it is the file's first
        time_s = expected_s if decoded_s is None else decoded_s
        duration_s = frame.duration * unit if frame.duration else usual_s
        if next_s is not None:
            stated_s = max(next_s, begin_s, track.repeated_until_s)
            if time_s > stated_s + GAP_S:
                notes.current().gap_s += time_s - stated_s
        next_s = time_s + duration_s
        if next_s - begin_s > limits.max_duration_s:
            raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
        if not isinstance(frame, LeftOut):
            yield frame, time_s, duration_s
    track.check_arrived(begin_s, end_s)


def _inside(
    track: Track, start: float | None, end: float | None, limits: Limits
) -> Iterator[tuple[Any, float, float]]:
    """Yields every frame of a clip once, as it is decoded, with its time and duration."""
    begin_s, half = start or 0.0, 0.5 / float(_rate(track.stream))
    for timed in _timed(track, begin_s, end, limits):
        _, time_s, _ = timed
        if (start is None or time_s > begin_s - half) and (end is None or time_s < end - half):
            yield timed


def _noting_late(
    timed: Iterator[tuple[Any, float, float]], begin_s: float, rate_hz: float | Fraction
) -> Iterator[tuple[Any, float, float]]:
    """Yields what it is given, and notes how many ticks of the clip are before the first frame."""
    for first in timed:
        ticks = max(0, nearest(float((first[1] - begin_s) * rate_hz)))
        notes.current().late_s = float(ticks / rate_hz)
        yield first
        break
    yield from timed


def _arrays(picked: Iterable[Any], rate_hz: int, limits: Limits) -> Iterator[Any]:
    from av.sidedata.sidedata import Type
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames: a new scaler each time costs half again
    source: Any = None
    array: Any = None
    count = 0
    for frame in picked:
        if frame is not source:
            check_pixels(frame.width, frame.height, limits)
            side_data = frame.side_data.get(Type.DISPLAYMATRIX) if len(frame.side_data) else None
            matrix = None if side_data is None else bytes(side_data)
            source, array = frame, stored(frame, matrix, is_from_gpu=hardware.is_in_use())
            if array is None:
                # Threads of the scaler cost more than they save: decode workers are the unit here.
                rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                # Without a turn it is a view, whose rows may be padded.
                array = rgb if matrix is None else np.ascontiguousarray(upright(rgb, matrix))
        count += 1
        if count > limits.max_duration_s * rate_hz:
            raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
        yield array
    if not count:
        raise MediaError("nothing in segment: no video frame in it")
