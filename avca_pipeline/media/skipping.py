"""Pictures that nobody is shown and from which no other picture is decoded are not decoded either.

In H.264 a picture says whether others refer to it. A decoder can be asked to leave out those to
which none does. Other codecs do not say so in a way that can be relied on: in HEVC the mark counts
within one temporal layer alone.
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


class Skipping:
    """Tells a decoder, packet by packet, whether it may leave out the picture.

    It may not before the first picture has shown that pictures are no fields, nor after damage, nor
    after a picture whose time stamp is before that of the one shown before it.

    Args:
        context: of the decoder.
        is_covered: says of the times of packets, in their order, whether nobody is shown what is in
            them; ``None`` where that is not known.
    """

    def __init__(self, context: Any, is_covered: IsCovered | None) -> None:
        self.context, self.is_covered = context, is_covered
        self.is_possible = is_covered is not None and context.name in CODECS
        self.may_begin = False
        self.from_what = FROM_NONE
        self.newest = -(2**63)  # time stamp of a picture
        self.waiting: dict[int, LeftOut] = {}  # by time stamp; some are decoded all the same

    def send(self, packet: Any | None, time_s: float | None) -> None:
        """Gets the decoder ready for a packet.

        Args:
            packet: what is decoded next; ``None`` for the end.
            time_s: of what is in it.
        """
        if not self.is_possible:
            return
        self._leave_out(FROM_NONE)
        if packet is None or packet.pts is None or time_s is None or packet.is_discard:
            return
        assert self.is_covered is not None
        if self.is_covered(time_s) and self.may_begin:
            self.waiting[packet.pts] = LeftOut(packet.pts, packet.duration or 0)
            self._leave_out(FROM_UNREFERENCED)

    def stop(self) -> None:
        """Has everything decoded from here on."""
        self.is_possible = False
        self._leave_out(FROM_NONE)

    def shown_before(self, frame: Any) -> Iterator[LeftOut]:
        """Yields what was left out before a decoded picture, in the order of display."""
        if not self.is_possible:
            return
        if frame.interlaced_frame or frame.pts is None or frame.pts < self.newest:
            self.stop()
            return
        self.may_begin, self.newest = True, frame.pts
        for stamp in sorted(stamp for stamp in self.waiting if stamp <= frame.pts):
            left_out = self.waiting.pop(stamp)
            if stamp < frame.pts:
                yield left_out

    def _leave_out(self, from_what: str) -> None:
        if from_what != self.from_what:
            self.context.skip_frame = self.from_what = from_what
