"""All of decoding: what a file holds, its frames by time stamp, its samples, windows of both."""

from __future__ import annotations

from dataclasses import dataclass

from avca_pipeline.errors import PipelineError


class MediaError(PipelineError):
    """Why one clip cannot be used: becomes a row of a rejection table, never a crash.

    The text before the first colon is one of a few fixed reasons, what follows it is detail:
    ``missing file``, ``empty file``, ``not a media file``, ``no video stream``,
    ``no audio stream``, ``damaged``, ``truncated``, ``too large``, ``too long``,
    ``nothing in segment``, ``download failed``, ``private``, ``removed``, ``blocked``,
    ``odd address``, ``cannot be read``, ``cannot be unpacked``, ``decoder died``.
    """


@dataclass(frozen=True)
class Limits:
    """What a clip may cost at most.

    Attributes:
        max_pixels: of one frame.
        max_duration_s: of one clip.
    """

    max_pixels: int
    max_duration_s: float
