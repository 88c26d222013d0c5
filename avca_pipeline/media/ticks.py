"""Which frames a clock of steady ticks shows. Pure arithmetic on the times of frames."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def pick(
    timed: Iterable[tuple[Any, float, float]],
    rate_hz: int,
    origin_s: float,
    last: int | None,
    repeated_until_s: Callable[[], float] = lambda: 0.0,
) -> Iterator[Any]:
    """Yields the frame on show at each tick of a clock of ``rate_hz`` that starts at ``origin_s``.

    Pure arithmetic. A frame's time is rounded to the nearest tick, halves away from zero; of
    several frames at one tick the last one counts; the final frame lasts for its duration. Nothing
    is yielded for the ticks before the first frame.

    Args:
        timed: ``(frame, time stamp, duration)`` in seconds, in the order of display.
        rate_hz: ticks per second.
        origin_s: the time stamp of tick 0.
        last: the tick before which to stop; ``None`` for the end of the frames.
        repeated_until_s: says after the last frame until when it is shown at least.
    """
    current, end_s = None, 0.0
    tick = 0
    emitted = False
    for frame, time_s, duration_s in timed:
        begins = nearest((time_s - origin_s) * rate_hz)
        if current is None:
            tick = max(0, begins)
        while current is not None and tick < begins and (last is None or tick < last):
            yield current
            emitted, tick = True, tick + 1
        if last is not None and begins >= last:
            break
        current, end_s = frame, time_s + duration_s
    end_s = max(end_s, repeated_until_s())
    stop = nearest((end_s - origin_s) * rate_hz)
    if last is not None:  # a segment that outlasts its media ends with the media
        stop = min(last, stop)
    while current is not None and tick < stop:
        yield current
        emitted, tick = True, tick + 1
    if current is not None and not emitted and last is None and end_s > origin_s:
        yield current  # a clip of one short frame still has that frame


def at_positions(items: Iterable[Any], positions: Iterable[int]) -> Iterator[Any]:
    """Yields what stands at ascending positions, and the last item for those behind it.

    All items are looked at, also those behind the last position.
    """
    waiting = collections.deque(positions)
    item = None
    for position, item in enumerate(items):
        while waiting and waiting[0] == position:
            yield item
            waiting.popleft()
    if item is not None:
        yield from itertools.repeat(item, len(waiting))


def nearest(value: float) -> int:
    """Rounds halves away from zero, as libavfilter does; 1e-9 absorbs what float division adds."""
    return int(math.copysign(math.floor(abs(value) + 0.5 + 1e-9), value))


class Covered:
    """Says of frames, in the order of decoding, which are never shown by `pick`.

    That is a frame with the same tick as a later one. Of those that are decoded after it nothing is
    known yet, so that not all frames that are never shown are found.

    Args:
        rate_hz: ticks per second.
        origin_s: the time stamp of tick 0.
    """

    def __init__(self, rate_hz: int, origin_s: float) -> None:
        self.rate_hz, self.origin_s = rate_hz, origin_s
        self.latest_s: dict[int, float] = {}  # of the frames of each tick so far

    def __call__(self, time_s: float) -> bool:
        """Returns whether a frame with this time stamp is covered, and remembers it."""
        # What begins before the clip is shown at its beginning, if nothing later is.
        tick = max(0, nearest((time_s - self.origin_s) * self.rate_hz))
        if time_s < self.latest_s.get(tick, -math.inf):
            return True
        self.latest_s[tick] = time_s
        return False
