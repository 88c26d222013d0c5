"""Any video network of the families VideoMAE, X-CLIP, VideoPrism, V-JEPA 2 and PE-AV.

A window is a number of frames at a steady rate, as many as the model was made for. X-CLIP,
VideoPrism and PE-AV have a text tower beside, whose vectors ``transformers_text`` gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing, defaults
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.media import Limits
from avca_pipeline.media.planes import each_prepared
from avca_pipeline.media.video import frames, resizable
from avca_pipeline.media.windows import Window, covering_windows, stacked_blocks
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.families import Task
from avca_pipeline.transformer_models.loading import build as build_tower
from avca_pipeline.transformer_models.loading import num_frames
from avca_pipeline.transformer_models.pictures import Pictures
from avca_pipeline.transformer_models.settings import EncoderSettings, tower_of

CITATIONS = ("wolf2020transformers",)
MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 2, "cuda": 16}
published = defaults.published
pretraining_classes = defaults.pretraining_classes
DEFAULT_FRAMES = 16


class Settings(FramesOn, EncoderSettings):
    """A video tower of the library transformers. Needs the extra ``transformers``."""

    TASK: ClassVar[Task] = "video"

    rate_hz: int = Field(default=8, ge=1, le=120)
    """Number of frames in a second of video, of which windows are made."""

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8, as the library prepares them."""
        return _pictures(self).prepared_together(pictures)


def spec(settings: Settings) -> Spec:
    """Returns what the chosen network takes."""
    pictures, length = _pictures(settings), _length(settings)
    timing = Timing.side_by_side(length, settings.rate_hz)
    return Spec((length, pictures.height, pictures.width, 3), "uint8", timing=timing)


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of ``(frames, height, width, 3)`` uint8 RGB, the last ending with the clip."""
    pictures, length = _pictures(settings), _length(settings)
    picked = frames(clip.path, settings.rate_hz, clip.start_s, clip.end_s, limits)
    bounded = resizable(picked, pictures.short_side, limits)
    prepared = each_prepared(bounded, pictures.prepared)
    return covering_windows(stacked_blocks(prepared, length), length)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the video tower and what its parameters are."""
    return build_tower(settings.folder, tower_of(settings, "video"), settings)


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, dim)`` float32, of length 1 where the texts' vectors are so.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, frames, height, width, 3)`` uint8.
        num_valid: ``(windows,)``; the last real frame stands for those behind it, which the
            networks that take a mask do not look at.
    """
    position = torch.arange(data.shape[1], device=data.device)
    is_valid = position < num_valid[:, None]
    last = (num_valid[:, None] - 1).clamp(min=0)
    window = torch.arange(len(data), device=data.device)[:, None]
    filled = data[window, torch.minimum(position, last)]
    pixels = _pictures(settings).normalised(filled)
    return tower_of(settings, "video").encode(network, pixels, is_valid | (position == 0))


def _pictures(settings: Settings) -> Pictures:
    return Pictures(settings.folder, tower_of(settings, "video").processor)


def _length(settings: Settings) -> int:
    return num_frames(settings.folder, tower_of(settings, "video"), DEFAULT_FRAMES)
