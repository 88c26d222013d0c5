"""What backbones have in common that encode single frames: which frames, and in which colours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from avca_pipeline.backbones import MediaSegment
from avca_pipeline.errors import abbreviated
from avca_pipeline.media import Limits
from avca_pipeline.media.video import frames, spread_frames
from avca_pipeline.settings import PluginSettings, refusal

ALL: Final = "all"
MIDDLE: Final = "middle"
RGB: Final = "rgb"
MAX_FRAMES = 1000


def _choice_of_frames(value: Any) -> Any:
    """Returns a choice with a number in quotation marks as a number, as every key takes it."""
    if value in (ALL, MIDDLE):
        return value
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError, ValueError):
            if 1 <= (number := int(value)) <= MAX_FRAMES and number == float(value):
                return number
    raise refusal(
        f"expected all, middle or a whole number from 1 to {MAX_FRAMES}, found {abbreviated(value)}"
    )


class SingleFrames(PluginSettings):
    """Which frames of a clip are encoded, and in which colours."""

    rate_hz: int = Field(default=2, ge=1, le=60)
    """Number of frames that are encoded for each second of video, with ``frames: all``."""
    # Defaults are left out of recipes: features from before there were these keys stay good.
    frames: Annotated[
        Annotated[int, Field(ge=1, le=MAX_FRAMES)] | Literal["all", "middle"],
        BeforeValidator(_choice_of_frames),
    ] = Field(default=ALL, exclude_if=lambda value: value == ALL)
    """Which frames are encoded. ``all``: those at the rate ``rate_hz``. A number: so many, from the
    middles of as many equal parts of the clip. ``middle``: the frame in the middle alone.
    """
    colour: Literal["rgb", "bgr", "bgr-negative"] = Field(
        default=RGB, exclude_if=lambda value: value == RGB
    )
    """In which order the network is given the colours. ``rgb`` is right for every network here; the
    others reproduce the published features of ClipClap: ``bgr`` those of VGGSound and ActivityNet,
    ``bgr-negative``, in which a value v is (256 - v) mod 256, those of UCF101.
    """

    def picked(self, clip: MediaSegment, limits: Limits) -> Iterator[np.ndarray]:
        """Yields the frames, ``(height, width, 3)`` uint8, in the chosen colours.

        Raises:
            MediaError: why the clip has no frames.
        """
        if self.frames == ALL:
            chosen = frames(clip.path, self.rate_hz, clip.start_s, clip.end_s, limits)
        else:
            count = 1 if self.frames == MIDDLE else int(self.frames)
            chosen = spread_frames(clip.path, count, clip.start_s, clip.end_s, limits)
        return map(self._coloured, chosen)

    def _coloured(self, frame: np.ndarray) -> np.ndarray:
        if self.colour == RGB:
            return frame
        bgr = np.ascontiguousarray(frame[:, :, ::-1])
        # Of a byte, the negative wraps around: 0 stays 0, 1 becomes 255.
        return bgr if self.colour == "bgr" else np.negative(bgr)
