"""Where frames belong of which a file does not say it well enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
        found = self.first + round((sample - self.first) / self.step) * self.step
        return found if abs(found - sample) <= self.slack else sample


class Slots:
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
