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
    """The times of AVI's pictures, which has none: the n-th one shown takes the n-th packet's.

    FFmpeg makes time stamps up for them, with gaps and in a wrong order where there are B-frames.
    """

    def __init__(self, context: Any, delay: int | None) -> None:
        self.context, self.delay = context, delay
        self.depth = context.has_b_frames
        self.stamps: list[int] = []
        self.last = -1

    def sent(self, packet: Any | None) -> None:
        """Remembers a packet that was decoded; ``None`` at the end gets out what is left."""
        if packet is not None:
            self.stamps.append(packet.dts)

    def next(self) -> int | None:
        """Returns the time stamp of the picture that has just come out."""
        newest = len(self.stamps) - 1
        if self.delay is None:
            self.delay = newest
        if self.context.has_b_frames > self.depth:
            self.delay += self.context.has_b_frames - self.depth
        self.depth = self.context.has_b_frames
        self.last = min(max(self.last + 1, newest - self.delay), newest)
        return self.stamps[self.last] if self.stamps else None
