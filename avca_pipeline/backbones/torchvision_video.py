"""Any video network of the library torchvision.

Source: https://pytorch.org/vision/stable/models.html#video-classification, which names the paper
and the training data of each network.

Network: by name; the default, ``r2plus1d_18``, has 31.3 million parameters without its classifier,
125 MB in fp32 (Tran et al.: A Closer Look at Spatiotemporal Convolutions for Action Recognition,
CVPR 2018), and was trained on the 400 actions of Kinetics.

Input: windows of 16 frames at 15 a second unless set otherwise, side by side, the last one ending
with the clip. Frames are resized, cut out and normalised as the library evaluates the network.

Features: what the network gives to its classifier, 512 values for the default; a clip's features
are the mean over its windows.

Weights: the library's own, BSD 3-clause; licences of the training data apart.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.library_names import is_written
from avca_pipeline.fetching.network_weights import load_weights
from avca_pipeline.fetching.weights import PUBLISHED, PublishedWeights, WeightsSettings
from avca_pipeline.media import Limits
from avca_pipeline.media.planes import each_prepared
from avca_pipeline.media.video import frames, resizable
from avca_pipeline.media.windows import Window, covering_windows, stacked_blocks
from avca_pipeline.nn.constants import constant
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.settings import nearest

CITATIONS = ("torchvision2016",)
MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 4, "cuda": 32}


class Settings(FramesOn, WeightsSettings):
    """A video network of torchvision."""

    model: str = "r2plus1d_18"
    """Name of the network in torchvision."""
    weights_enum: str = "DEFAULT"
    """Which of torchvision's weights for this network. ``weights: published`` downloads them, and
    their preprocessing is used with any weights.
    """
    rate_hz: int = Field(default=15, ge=1, le=120)
    """Number of frames that are decoded for each second of video; torchvision evaluated its weights
    at 15.
    """
    window_frames: int = Field(default=16, ge=1, le=256)
    """Number of frames in a window."""

    def look_up(self, cache: Path) -> None:
        """Raises `PipelineError` unless torchvision has such a network and such weights."""
        defined = f"\ndef {self.model}(*, weights"
        is_known = is_written("torchvision", "models/video/*.py", defined)
        if not is_known or self.weights_enum != "DEFAULT":
            _enum(self)

    @classmethod
    def choices(cls) -> tuple[str, list[str]]:
        """Returns the names of the video networks in torchvision."""
        return "models of torchvision", _model_names()

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8."""
        return _centres(_preset(self), pictures)


def spec(settings: Settings) -> Spec:
    """Returns what the chosen network takes."""
    crop = _preset(settings).crop_size
    timing = Timing.side_by_side(settings.window_frames, settings.rate_hz)
    return Spec((settings.window_frames, crop[0], crop[-1], 3), "uint8", timing=timing)


def published(settings: Settings) -> PublishedWeights:
    """Returns the library's weights, whose file names hold the beginning of their SHA-256."""
    url = _enum(settings).url
    prefix = url.rsplit("-", 1)[-1].removesuffix(".pth")
    return PublishedWeights(
        url, "BSD 3-clause, of torchvision; that of the training data apart", prefix
    )


def pretraining_classes(settings: Settings) -> tuple[str, ...] | None:
    """Returns the classes of the library's weights, by its own list."""
    if settings.weights == PUBLISHED:
        return tuple(_enum(settings).meta["categories"])
    return settings.stated_classes()


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of ``(frames, height, width, 3)`` uint8 RGB, the last ending with the clip."""
    preset, length = _preset(settings), settings.window_frames
    picked = frames(clip.path, settings.rate_hz, clip.start_s, clip.end_s, limits)
    bounded = resizable(picked, max(preset.resize_size), limits)
    crops = each_prepared(bounded, functools.partial(_cropped, preset))
    return covering_windows(stacked_blocks(crops, length), length)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network with its last layer left out and what its parameters are."""
    network = _library().get_model(settings.model, weights=None)
    name = [name for name, _ in network.named_children()][-1]
    assert name in ("fc", "head", "classifier"), name
    setattr(network, name, torch.nn.Identity())
    weights = load_weights(
        network,
        settings,
        cache,
        published=published(settings),
        unused=lambda key: key.startswith(f"{name}."),
    )
    return network, weights


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, dim)`` float32 features, before the classifier.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, frames, height, width, 3)`` uint8.
        num_valid: ``(windows,)``; frames behind that are zero after normalisation.
    """
    preset = _preset(settings)
    mean, std = (constant(tuple(v), data.device) for v in (preset.mean, preset.std))
    is_real = torch.arange(data.shape[1], device=data.device) < num_valid[:, None]
    pixels = (data.float() / 255.0 - mean) / std * is_real[:, :, None, None, None]
    dtype = next(network.parameters()).dtype
    features: torch.Tensor = network(pixels.to(dtype).permute(0, 4, 1, 2, 3))
    return features.float()


def _library() -> Any:
    import torchvision

    return torchvision.models


def _model_names() -> list[str]:
    import torchvision.models.video

    names: list[str] = _library().list_models(module=torchvision.models.video)
    return names


@functools.lru_cache(maxsize=8)
def _enum_of(model: str, name: str) -> Any:
    models = _model_names()
    if model not in models:
        raise PipelineError(
            f"torchvision_video.model: torchvision has no video network {model!r}; "
            f"{nearest(model, models)}"
        )
    enum = _library().get_model_weights(model)
    if name not in enum.__members__:
        raise PipelineError(
            f"torchvision_video.weights_enum: {model} has no weights {name!r}; "
            f"{nearest(name, enum.__members__)}"
        )
    return enum[name]


def _enum(settings: Settings) -> Any:
    return _enum_of(settings.model, settings.weights_enum)


@functools.lru_cache(maxsize=8)
def _preset_of(model: str, name: str) -> Any:
    return _enum_of(model, name).transforms()


def _preset(settings: Settings) -> Any:
    """Returns the library's preprocessing; its sizes, mean and deviation are what is used of it."""
    return _preset_of(settings.model, settings.weights_enum)


def _cropped(preset: Any, frame: np.ndarray) -> np.ndarray:
    """Returns the uint8 centre of a frame, resized as the library's preprocessing does."""
    picture = torch.from_numpy(frame).permute(2, 0, 1)[None]
    centre: np.ndarray = _centres(preset, picture)[0].contiguous().numpy()
    return centre


def _centres(preset: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Returns ``(frames, height, width, 3)`` uint8 of ``(frames, 3, …)``."""
    from torchvision.transforms import functional

    images = functional.resize(pictures, preset.resize_size, preset.interpolation, antialias=False)
    centres: torch.Tensor = functional.center_crop(images, preset.crop_size).permute(0, 2, 3, 1)
    return centres
