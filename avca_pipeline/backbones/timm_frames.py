"""Any image network of the timm library, frame by frame, averaged over time.

The modern choice beside the paper's backbones. Input size, mean, standard deviation,
interpolation and dimension are the library's own for the chosen network.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from avca_pipeline.backbones import ClipMedia
from avca_pipeline.errors import PipelineError
from avca_pipeline.lazy import torch
from avca_pipeline.media import Limits
from avca_pipeline.media.video import frames
from avca_pipeline.media.windows import Window, of_frames
from avca_pipeline.weights import WeightsSettings, fill

MODALITY = "video"
BATCH_WINDOWS = {"cpu": 16, "cuda": 256}


class Settings(WeightsSettings):
    """An image network of timm.

    Attributes:
        model: the library's name for it.
        rate_hz: frames looked at in a second of video.
    """

    model: str = "mobilenetv3_small_100"
    rate_hz: int = Field(default=2, ge=1, le=60)


def windows(settings: Settings, clip: ClipMedia, limits: Limits) -> Iterator[Window]:
    """Yields single frames, ``(1, height, width, 3)`` uint8 RGB, resized and cropped."""
    config = _data_config(settings.model)
    picked = frames(clip.path, settings.rate_hz, clip.start_s, clip.end_s, limits)
    return of_frames((_cropped(frame, config) for frame in picked), 1)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network without its classifier and what its parameters are."""
    import timm

    full = timm.create_model(settings.model, pretrained=False)
    network = timm.create_model(settings.model, pretrained=False, num_classes=0)
    unused = set(full.state_dict()) - set(network.state_dict())
    weights = fill(network, settings, cache, unused=unused)
    return network.eval(), weights


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, dim)`` features of single frames, pooled over the picture."""
    config = _data_config(settings.model)
    mean = data.new_tensor(config["mean"], dtype=torch.float32)
    std = data.new_tensor(config["std"], dtype=torch.float32)
    pixels = (data[:, 0].float() / 255.0 - mean) / std
    features: torch.Tensor = network(pixels.permute(0, 3, 1, 2))
    return features


def _data_config(model: str) -> dict[str, Any]:
    import timm
    from timm.data import resolve_data_config

    if not timm.is_model(model):
        raise PipelineError(
            f"backbones.timm_frames: timm has no model {model!r}; see timm.list_models()"
        )
    config: dict[str, Any] = resolve_data_config(vars(timm.get_pretrained_cfg(model)))
    return config


def _cropped(frame: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Returns the centre of a frame whose short side was resized to the network's input size."""
    _, height, width = config["input_size"]
    scale = max(height / frame.shape[0], width / frame.shape[1]) / config["crop_pct"]
    size = [
        max(side, round(length * scale))
        for side, length in zip((height, width), frame.shape, strict=False)
    ]
    image = torch.nn.functional.interpolate(
        torch.from_numpy(frame).permute(2, 0, 1)[None],
        size=size,
        mode="bicubic" if config["interpolation"] == "bicubic" else "bilinear",
        antialias=True,
    )
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return (
        image[0, :, top : top + height, left : left + width].permute(1, 2, 0).contiguous().numpy()
    )
