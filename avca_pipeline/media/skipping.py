"""Pictures that nobody is shown and from which no other picture is decoded are not decoded either.

In H.264 a picture says whether others refer to it. A decoder can be asked to leave out those to
which none does. Other codecs do not say so in a way that can be relied on: in HEVC the mark counts
within one temporal layer alone.

As soon as a file turns out to be damaged, or unusual, all of it is decoded, and frames are those of
decoding everything. Two things differ: damage in a picture that is left out is not noticed, and
pictures that refer to a mended one may have been shown before it came out as damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

IsCovered: TypeAlias = Callable[[float], bool]

CODECS = ("h264",)
FROM_NONE, FROM_UNREFERENCED = "DEFAULT", "NONREF"


@dataclass(frozen=True)
class LeftOut:
    """Stands for a picture that was not decoded.

    Attributes:
        pts: when it would be shown, in units of the stream's time base.
        duration: likewise, for how long; 0 where that is not known.
    """

    pts: int
    duration: int


class DecodeAgain(Exception):
    """Says that pictures were left out of a file of which all must be decoded."""


class Skipping:
    """Tells a decoder, packet by packet, whether it may leave out the picture.

    It may not before the first picture has come out. Where anything is unusual, nothing may be left
    out of the file: a decoder mends damage with what it has decoded last, fields of interlaced
    pictures may be in packets of their own, and time stamps that go back say nothing about which
    picture is shown.

    Args:
        context: of the decoder.
        is_covered: says of the times of packets, in their order, whether nobody is shown what is in
            them; ``None`` where that is not known.
        begins_s: gives the time of a packet that has a time stamp.
    """

    def __init__(
        self, context: Any, is_covered: IsCovered | None, begins_s: Callable[[Any], float | None]
    ) -> None:
        self.context, self.is_covered, self.begins_s = context, is_covered, begins_s
        self.is_possible = is_covered is not None and context.name in CODECS
        self.may_begin = self.has_begun = False
        self.from_what = FROM_NONE
        self.newest = -(2**63)  # time stamp of a picture
        self.waiting: dict[int, LeftOut] = {}  # by time stamp; some are decoded all the same

    def send(self, packet: Any | None) -> None:
        """Gets the decoder ready for a packet, or for the end.

        Raises:
            DecodeAgain: the packet is damaged.
        """
        if not self.is_possible:
            return
        self._leave_out(FROM_NONE)
        if packet is not None and packet.is_corrupt:
            self.stop()
        elif packet is not None and packet.pts is not None and not packet.is_discard:
            self._may_leave_out(packet)

    def stop(self) -> None:
        """Has everything decoded from here on.

        Raises:
            DecodeAgain: something was left out already.
        """
        self.is_possible = False
        if self.has_begun:
            raise DecodeAgain

    def shown_before(self, frame: Any) -> Iterator[LeftOut]:
        """Yields what was left out before a decoded picture, in the order of display.

        Raises:
            DecodeAgain: the picture is unusual.
        """
        if not self.is_possible:
            return
        is_in_order = frame.pts is not None and frame.pts >= self.newest
        if not is_in_order or frame.interlaced_frame or frame.is_corrupt:
            self.stop()
            return
        self.may_begin, self.newest = True, frame.pts
        for stamp in sorted(stamp for stamp in self.waiting if stamp <= frame.pts):
            left_out = self.waiting.pop(stamp)
            if stamp < frame.pts:
                yield left_out

    def _may_leave_out(self, packet: Any) -> None:
        time_s = self.begins_s(packet)
        assert self.is_covered is not None
        assert time_s is not None
        if self.is_covered(time_s) and self.may_begin:
            self.has_begun = True
            self.waiting[packet.pts] = LeftOut(packet.pts, packet.duration or 0)
            self._leave_out(FROM_UNREFERENCED)

    def _leave_out(self, from_what: str) -> None:
        if from_what != self.from_what:
            self.context.skip_frame = self.from_what = from_what
