"""Any image network of the families CLIP, SigLIP and MetaCLIP 2, frame by frame.

The families have a text tower beside that of the images, whose vectors ``transformers_text`` gives.
SigLIP 2 is of the family SigLIP, but for its NaFlex models.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from avca_pipeline.backbones import MediaSegment, Modality, Spec, defaults
from avca_pipeline.backbones._single_frames import SingleFrames
from avca_pipeline.media import Limits
from avca_pipeline.media.windows import Window
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.families import Task
from avca_pipeline.transformer_models.loading import build as build_tower
from avca_pipeline.transformer_models.pictures import Pictures
from avca_pipeline.transformer_models.settings import EncoderSettings, tower_of

CITATIONS = ("wolf2020transformers",)
MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 16, "cuda": 256}
published = defaults.published
pretraining_classes = defaults.pretraining_classes


class Settings(SingleFrames, EncoderSettings):
    """An image tower of the library transformers. Needs the extra ``transformers``."""

    TASK: ClassVar[Task] = "images"

    def cropped(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8, as the library prepares them."""
        return _pictures(self).prepared_together(pictures)


def spec(settings: Settings) -> Spec:
    """Returns what the chosen network takes."""
    pictures = _pictures(settings)
    shape = (1, pictures.height, pictures.width, 3)
    return Spec(shape, "uint8", timing=settings.timing)


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields single frames, ``(1, height, width, 3)`` uint8, as the library prepares them."""
    pictures = _pictures(settings)
    return settings.frame_windows(clip, limits, pictures.short_side, pictures.prepared)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the image tower and what its parameters are."""
    return build_tower(settings.folder, tower_of(settings, "images"), settings)


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, dim)`` float32 of length 1, in the space that the texts are in too."""
    pixels = _pictures(settings).normalised(data[:, 0])
    return tower_of(settings, "images").encode(network, pixels, num_valid[:, None] > 0)


def _pictures(settings: Settings) -> Pictures:
    return Pictures(settings.folder, tower_of(settings, "images").processor)
