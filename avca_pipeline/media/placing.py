"""Places frames for which the file states no exact time."""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# By this much and more, a time stamp is right at once.
SURE_S = 0.1
# A deviation below that is right if the time stamps of so much sound, or most of them, have it.
PERSISTS_S = 0.2
MIN_SHARE = 0.75
MAX_AHEAD = 100  # frames, however short they are


@dataclass(frozen=True)
class Grid:
    """Where frames of sound begin: all are of one length.

    Attributes:
        first: the sample, from the beginning of the line on, with which one of them begins.
        step: samples in a frame.
        slack: by how many samples the format's clock may be wrong.
    """

    first: int
    step: int
    slack: float

    def nearest(self, sample: int) -> int:
        """Returns the beginning of a frame if one is near enough, or else the sample itself."""
        beginning = self.first + round((sample - self.first) / self.step) * self.step
        return beginning if abs(beginning - sample) <= self.slack else sample


class AviPictureTimes:
    """The times of AVI's pictures, which has none: they are shown as they come out of the decoder.

    FFmpeg makes time stamps up for them, in a wrong order where there are B-frames, and the first
    one as many packets late as the decoder takes before it gives out a picture.

    Args:
        context: the decoder.
        delay: how many packets that are; ``None`` to count them, from the file's beginning on.
    """

    def __init__(self, context: Any, delay: int | None) -> None:
        self.context, self.delay = context, delay
        self.depth = context.has_b_frames
        self.num_sent = 0
        self.newest: int | None = None
        self.last: int | None = None

    def sent(self, packet: Any | None) -> None:
        """Remembers a packet that was decoded; ``None`` at the end gets out what is left."""
        if packet is not None:
            self.newest = packet.dts
            self.num_sent += 1

    def next(self) -> int | None:
        """Returns the time stamp of the picture that has just come out."""
        if self.delay is None:
            self.delay = self.num_sent - 1
        if self.context.has_b_frames > self.depth:  # the decoder has found out that it needs more
            self.delay += self.context.has_b_frames - self.depth
            self.depth = self.context.has_b_frames
        if self.newest is not None:
            stamp = self.newest - self.delay
            self.last = stamp if self.last is None else max(self.last + 1, stamp)
        return self.last


class Lookahead:
    """Frames with their times, of which the next ones can be looked at before they come."""

    def __init__(self, frames: Iterator[tuple[Any, float | None]]) -> None:
        self.frames = frames
        self.peeked: deque[tuple[Any, float | None]] = deque()

    def __iter__(self) -> Iterator[tuple[Any, float | None]]:
        return self

    def __next__(self) -> tuple[Any, float | None]:
        return self.peeked.popleft() if self.peeked else next(self.frames)

    def peek(self) -> Iterator[tuple[Any, float | None]]:
        """Yields the frames that will come, without taking them."""
        yield from list(self.peeked)
        for item in self.frames:
            self.peeked.append(item)
            yield item


def persistent_place(
    place: int,
    stated: int,
    frame: Any,
    lookahead: Lookahead,
    begin_s: float,
    rate_hz: int,
    jitter: int,
) -> int:
    """Returns the place of a frame whose stated beginning is not the end of the frame before.

    That the time stamps go on deviating says that something is missing, or that something
    overlaps; one that the next ones contradict is inaccurate.

    Args:
        place: the sample where the frame before has ended.
        stated: where the frame begins by its time stamp.
        frame: from PyAV.
        lookahead: the frames behind it.
        begin_s: the time of sample 0.
        rate_hz: samples per second.
        jitter: how many samples a time stamp may be wrong.
    """
    deviations, expected = [stated - place], float(place)
    if abs(stated - place) >= SURE_S * rate_hz:
        return stated
    expected += frame.samples * rate_hz / (frame.sample_rate or rate_hz)
    for later, time_s in itertools.islice(lookahead.peek(), MAX_AHEAD):
        if expected - place >= PERSISTS_S * rate_hz:
            break
        if time_s is not None:
            deviation = round((time_s - begin_s) * rate_hz - expected)
            if abs(deviation) >= SURE_S * rate_hz:  # something else begins there
                break
            deviations.append(deviation)
        expected += later.samples * rate_hz / (later.sample_rate or rate_hz)
    size, sign = abs(stated - place), 1 if stated > place else -1
    sizes = [sign * deviation for deviation in deviations]
    if min(sizes) > max(jitter, size - jitter):
        return stated
    if sum(each > jitter for each in sizes) < MIN_SHARE * len(sizes):
        return place
    return place + sign * round(statistics.median(sizes))
