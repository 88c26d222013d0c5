"""Puts packets whose time stamps restart or jump on one line."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

TS_DISCONT = 0x0200  # FFmpeg's flag of formats whose time stamps may jump

# ffmpeg's own thresholds.
BACK_S = 0.1
FORWARD_S = 10.0
# A stream that joins a jump this close to where it would go on at once, goes on at once.
CLOSE_S = 0.1


def may_jump(container: Any) -> bool:
    """Returns whether time stamps in files of this format may jump by design."""
    return bool(int(container.format.flags) & TS_DISCONT)


def measured_s(container: Any, streams: list[Any], start_s: float) -> float | None:
    """Reads all of a file and returns its duration without its jumps."""
    import av

    clock = Clock(forward=True)
    with contextlib.suppress(av.FFmpegError):  # what ends in damage ends there
        for packet in container.demux(streams):
            clock.place(packet)
    return None if clock.end_s is None else clock.end_s - start_s


@dataclass
class _Stream:
    unit_s: float  # of its time stamps
    part: int = 0
    shift_s: float = 0.0
    latest_s: float | None = None
    end_s: float = 0.0


class Clock:
    """Where each stream is on the line, and by how much its time stamps are shifted.

    Between two jumps is a part. Streams enter a part at packets of their own, and what the first
    one finds out about its shift holds for the others, so that they stay in step.

    Args:
        forward: whether leaps forward count as jumps, too.
    """

    def __init__(self, *, forward: bool) -> None:
        self.forward = forward
        self.streams: dict[int, _Stream] = {}
        self.shifts_s: list[float] = [0.0]
        self.end_s: float | None = None  # of the latest packet of all streams

    def place(self, packet: Any) -> bool:
        """Moves a packet's time stamps to the line; returns whether its stream has jumped there."""
        if packet.dts is None and packet.pts is None:
            return False
        stream = self.streams.get(packet.stream_index)
        if stream is None:
            stream = _Stream(float(packet.time_base))  # slow, and always the same
            self.streams[packet.stream_index] = stream
        unit_s, has_jumped = stream.unit_s, False
        # Times of display would go back and forth where there are B-frames. What an edit list hides
        # may lie behind what is shown next.
        if packet.dts is not None and not packet.is_discard:
            stamp_s = packet.dts * unit_s
            has_jumped = self._is_jump(stream, stamp_s + stream.shift_s)
            if has_jumped:
                self._enter_next_part(stream, stamp_s)
            stream.latest_s = stamp_s + stream.shift_s
            stream.end_s = stream.latest_s + (packet.duration or 0) * unit_s
            if self.end_s is None or stream.end_s > self.end_s:
                self.end_s = stream.end_s
        if stream.shift_s:
            shift = round(stream.shift_s / unit_s)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        return has_jumped

    def _is_jump(self, stream: _Stream, time_s: float) -> bool:
        if stream.latest_s is None or self.end_s is None:
            return False
        if time_s < stream.latest_s - BACK_S:
            return True
        # A stream that falls silent while another goes on has a gap and no jump.
        return self.forward and time_s > self.end_s + FORWARD_S

    def _enter_next_part(self, stream: _Stream, stamp_s: float) -> None:
        stream.part += 1
        at_once_s = stream.end_s - stamp_s
        if stream.part == len(self.shifts_s):
            self.shifts_s.append(at_once_s)
        shared_s = self.shifts_s[stream.part]
        if abs(at_once_s - shared_s) > FORWARD_S:  # the other stream's jump was another one
            self.shifts_s[stream.part] = shared_s = at_once_s
        stream.shift_s = at_once_s if abs(at_once_s - shared_s) <= CLOSE_S else shared_s
