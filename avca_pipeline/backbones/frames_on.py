"""The key ``frames_on``, which backbones of video share: the host or the device prepares frames."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from avca_pipeline.runtime.lazy import torch
from avca_pipeline.settings import PluginSettings


class FramesOn(PluginSettings):
    """Where frames are prepared."""

    # The default is left out of recipes: features from before there was this key stay good.
    frames_on: Literal["cpu", "device"] = Field(
        default="cpu", exclude_if=lambda value: value == "cpu"
    )
    """Where the colours of frames are converted and frames are resized. ``device`` leaves it to the
    GPU, where that has time and the cores of the CPU have none. It changes values of pixels, of 0
    to 255, by at most 1, and is therefore part of what features were made with.
    """

    @property
    def is_on_device(self) -> bool:
        """Whether the device prepares frames."""
        return self.frames_on == "device"

    @property
    def overflow(self) -> str:
        """Returns the key that asks for an overflow of bytes, which a level more or less changes.

        Most backbones have none.
        """
        return ""

    @model_validator(mode="after")
    def _no_overflow_on_device(self) -> Self:
        if self.is_on_device and self.overflow:
            raise ValueError(
                f"frames_on is device, which is up to one level off, but {self.overflow} repeats "
                "an overflow, which makes 255 levels of one; leave frames_on out"
            )
        return self

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, …)``, what the windows of the backbone hold of each frame.

        Args:
            pictures: ``(frames, 3, height, width)`` uint8 RGB, on any device.
        """
        raise NotImplementedError
