"""Any video network of the families VideoMAE, X-CLIP, VideoPrism, V-JEPA 2 and PE-AV.

A window is a number of frames at a steady rate, as many as the model was made for. X-CLIP,
VideoPrism and PE-AV have a text tower beside, whose vectors ``transformers_text`` gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from avca_pipeline.backbones import MediaSegment, Modality, Spec
from avca_pipeline.media import Limits
from avca_pipeline.media.video import frames, resizable
from avca_pipeline.media.windows import Window, covering_windows, stacked_blocks
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.families import family_names, tower
from avca_pipeline.transformer_models.loading import build as build_tower
from avca_pipeline.transformer_models.loading import num_frames
from avca_pipeline.transformer_models.pictures import Pictures
from avca_pipeline.transformer_models.repositories import look_up as look_up_model
from avca_pipeline.transformer_models.settings import EncoderSettings, tower_of

MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 2, "cuda": 16}
DEFAULT_FRAMES = 16


class Settings(EncoderSettings):
    """A video tower of the library transformers. Needs the extra ``transformers``."""

    rate_hz: int = Field(default=8, ge=1, le=120)
    """Number of frames in a second of video, of which windows are made."""

    def look_up(self, cache: Path) -> None:
        """Raises `PipelineError` unless there is such a model, and it encodes videos."""
        tower("video", self.model, look_up_model(self.model, self.revision, cache)[1])

    @classmethod
    def choices(cls) -> tuple[str, list[str]]:
        """Returns the families of models that encode video."""
        return "families of transformers", family_names("video")

    def shared_spaces(self, cache: Path) -> tuple[str | None, ...]:
        """Returns the space of the model's text tower, which random weights do not share."""
        return (None if self.is_random else self.space(cache, "video"),)


def spec(settings: Settings) -> Spec:
    """Returns what the chosen network takes."""
    pictures = _pictures(settings)
    return Spec((_length(settings), pictures.height, pictures.width, 3), "uint8")


def published(settings: Settings) -> None:
    """Returns nothing: the weights are the model's own, verified with its other files."""


def pretraining_classes(settings: Settings) -> tuple[str, ...] | None:
    """Returns what the user says: a model's files do not tell what it was trained on."""
    return settings.stated_classes()


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of ``(frames, height, width, 3)`` uint8 RGB, the last ending with the clip."""
    pictures, length = _pictures(settings), _length(settings)
    picked = frames(clip.path, settings.rate_hz, clip.start_s, clip.end_s, limits)
    bounded = resizable(picked, pictures.short_side, limits)
    prepared = (pictures.prepared(frame) for frame in bounded)
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
    chosen = tower_of(settings, "video")
    position = torch.arange(data.shape[1], device=data.device)
    is_valid = position < num_valid[:, None]
    last = (num_valid[:, None] - 1).clamp(min=0)
    window = torch.arange(len(data), device=data.device)[:, None]
    filled = data[window, torch.minimum(position, last)]
    pixels = _pictures(settings).normalised(filled).to(next(network.parameters()).dtype)
    vectors = chosen.vectors(network, pixels, is_valid | (position == 0)).float()
    return torch.nn.functional.normalize(vectors, dim=1) if chosen.is_unit else vectors


def _pictures(settings: Settings) -> Pictures:
    return Pictures(settings.folder, tower_of(settings, "video").processor)


def _length(settings: Settings) -> int:
    return num_frames(settings.folder, tower_of(settings, "video"), DEFAULT_FRAMES)
