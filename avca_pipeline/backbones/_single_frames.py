"""What backbones have in common that encode single frames: which frames, and in which colours."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from avca_pipeline.backbones import MediaSegment, Timing
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.errors import abbreviated
from avca_pipeline.media import Limits
from avca_pipeline.media.planes import StoredFrame, each_prepared
from avca_pipeline.media.video import frames, resizable, spread_frames
from avca_pipeline.media.windows import Window
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.settings import refusal

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


class SingleFrames(FramesOn):
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

    @property
    def has_steady_hop(self) -> bool:
        """Whether frames are equally far apart in all clips."""
        return self.frames == ALL

    @property
    def timing(self) -> Timing:
        """Returns where frames are in time: each stands for the time until the next one."""
        if self.has_steady_hop:
            return Timing.side_by_side(1, self.rate_hz)
        return Timing(math.nan, math.nan, rate_hz=1)

    def picked(self, clip: MediaSegment, limits: Limits) -> Iterator[tuple[Any, float]]:
        """Yields the frames, ``(height, width, 3)`` uint8, in the chosen colours, and their starts.

        Raises:
            MediaError: why the clip has no frames.
        """
        if self.frames == ALL:
            steady = frames(clip.path, self.rate_hz, clip.start_s, clip.end_s, limits)
            yield from ((self._coloured(frame), number) for number, frame in enumerate(steady))
        else:
            count = 1 if self.frames == MIDDLE else int(self.frames)
            spread = spread_frames(clip.path, count, clip.start_s, clip.end_s, limits)
            yield from ((self._coloured(frame), begin_s) for frame, begin_s in spread)

    def frame_windows(
        self,
        clip: MediaSegment,
        limits: Limits,
        short_side: int,
        prepared: Callable[[np.ndarray], np.ndarray],
    ) -> Iterator[Window]:
        """Yields a window for each frame, ``(1, height, width, 3)``.

        Args:
            clip: the file, and the stretch of it.
            limits: what a clip may cost.
            short_side: of the frames before anything is cut off.
            prepared: resizes and cuts a frame.

        Raises:
            MediaError: why the clip has no frames.
        """
        for frame, start in self.picked(clip, limits):
            for window in each_prepared(resizable([frame], short_side, limits), prepared):
                yield Window(np.stack([window]), 1, start)

    @property
    def overflow(self) -> str:
        """Returns the key that asks for an overflow of bytes."""
        return "colour" if self.colour == "bgr-negative" else ""

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8 in the chosen colours."""
        return self.cropped(pictures if self.colour == RGB else pictures.flip(1))

    def cropped(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8, resized and cut.

        Args:
            pictures: ``(frames, 3, height, width)`` uint8.
        """
        raise NotImplementedError

    def _coloured(self, frame: np.ndarray | StoredFrame) -> np.ndarray | StoredFrame:
        if self.colour == RGB or isinstance(frame, StoredFrame):
            return frame
        bgr = np.ascontiguousarray(frame[:, :, ::-1])
        # Of a byte, the negative wraps around: 0 stays 0, 1 becomes 255.
        return bgr if self.colour == "bgr" else np.negative(bgr)
