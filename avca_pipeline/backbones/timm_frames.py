"""Any image network of the library timm, frame by frame.

Source: Wightman: PyTorch Image Models, https://github.com/huggingface/pytorch-image-models. Each
network has a paper of its own, which the library's page of the model names.

Network: by name; the default, ``mobilenetv3_small_100``, has 1.5 million parameters without its
classifier, 6 MB in fp32 (Howard et al.: Searching for MobileNetV3, ICCV 2019).

Input: single frames, two a second unless set otherwise, resized, cut out and normalised as the
library evaluates the chosen network.

Features: what the network gives to its classifier, 1,024 values for the default; a clip's features
are the mean over its frames.

Weights: the library's own, which it downloads and verifies; the log names their licence.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.backbones import MediaSegment, Modality, Spec
from avca_pipeline.backbones._single_frames import SingleFrames
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.library_names import is_written
from avca_pipeline.fetching.network_weights import freeze, load_weights, state_sha256
from avca_pipeline.fetching.weights import PUBLISHED, WeightsSettings
from avca_pipeline.media import Limits
from avca_pipeline.media.resizing import resized
from avca_pipeline.media.windows import Window
from avca_pipeline.nn.constants import constant
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.settings import nearest

logger = logging.getLogger(__name__)

CITATIONS = ("wightman2019timm",)
MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 16, "cuda": 256}

LABELLED_SETS = re.compile(r"(?<![a-z0-9])inw?(1k|12k|21k|22k)(?![a-z0-9])")
"""ImageNet's parts in timm's tags of weights; the "w" is the winter edition of the whole."""


class Settings(SingleFrames, WeightsSettings):
    """An image network of timm; ``weights: published`` has timm download and verify its own."""

    model: str = "mobilenetv3_small_100"
    """Name of the network in timm."""

    def look_up(self, cache: Path) -> None:
        """Raises `PipelineError` unless timm has such a model."""
        architecture = self.model.partition(".")[0]
        # Weights of a name with a tag are listed as 'name.tag'.
        tagged = [f"'{self.model}'"] if architecture != self.model else []
        registered = f"@register_model\ndef {architecture}("
        if not is_written("timm", "models/*.py", registered, *tagged):
            _pretrained_config(self.model)

    @classmethod
    def choices(cls) -> tuple[str, list[str]]:
        """Returns the names of the networks in timm."""
        import timm

        return "models of timm", timm.list_models()

    def cropped(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8, resized and cut."""
        config = _data_config(self.model)
        size = _resized(pictures.shape[2], pictures.shape[3], config)
        return _centres(resized(pictures, size, _mode(config)), config)


def spec(settings: Settings) -> Spec:
    """Returns what the chosen network takes."""
    _, height, width = _data_config(settings.model)["input_size"]
    return Spec((1, height, width, 3), "uint8", timing=settings.timing)


def published(settings: Settings) -> None:
    """Returns nothing: timm keeps its own table of addresses and checksums."""


def pretraining_classes(settings: Settings) -> tuple[str, ...] | None:
    """Returns ImageNet's classes, by the library's list, for weights that have seen them."""
    if settings.weights != PUBLISHED:
        return settings.stated_classes()
    from timm.data.imagenet_info import ImageNetInfo

    # A tag such as "in12k_ft_in1k_384" names every labelled set that the weights have seen.
    subsets = LABELLED_SETS.findall(_pretrained_config(settings.model).tag or "")
    if not subsets:
        return settings.stated_classes()
    names = {"1k": "imagenet-1k", "12k": "imagenet-12k", "21k": "imagenet-21k-goog"}
    names["22k"] = "imagenet-22k"
    labels = [
        text for subset in subsets for text in ImageNetInfo(names[subset]).label_descriptions()
    ]
    return tuple(sorted({name for text in labels for name in text.split(", ")}))


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields single frames, ``(1, height, width, 3)`` uint8, resized and cropped."""
    config = _data_config(settings.model)
    short_side = math.ceil(max(config["input_size"][1:]) / config["crop_pct"])
    return settings.frame_windows(clip, limits, short_side, lambda frame: _cropped(frame, config))


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network without its classifier and what its parameters are."""
    import timm

    if settings.weights == PUBLISHED:
        return _pretrained(settings, cache)
    network = timm.create_model(settings.model, pretrained=False, num_classes=0)
    with torch.device("meta"):
        full = timm.create_model(settings.model, pretrained=False)
    classifier = set(full.state_dict()) - set(network.state_dict())
    return network, load_weights(network, settings, cache, unused=classifier.__contains__)


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, dim)`` features of single frames, pooled over the picture, float32."""
    config = _data_config(settings.model)
    mean, std = (constant(tuple(config[name]), data.device) for name in ("mean", "std"))
    pixels = (data[:, 0].float() / 255.0 - mean) / std
    dtype = next(network.parameters()).dtype
    features: torch.Tensor = network(pixels.to(dtype).permute(0, 3, 1, 2))
    return features.float()


def _pretrained(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns a network with the weights that timm itself finds, verifies and loads."""
    import timm

    config = _pretrained_config(settings.model)
    logger.info(f"{settings.model}: licence: {config.license or 'not stated by timm'}")
    try:
        network = timm.create_model(
            settings.model, pretrained=True, num_classes=0, cache_dir=str(cache.expanduser())
        )
    except Exception as error:  # each of the hosts that timm asks has errors of its own
        raise PipelineError(
            f"backbones.timm_frames: timm could not load the weights of {settings.model!r} "
            f"({type(error).__name__}); give weights: a local file, or try again"
        ) from error
    weights = state_sha256(network)
    return freeze(network, settings), weights


def _pretrained_config(model: str) -> Any:
    import timm

    if not timm.is_model(model):
        raise PipelineError(
            f"timm_frames.model: timm has no model {model!r}; {nearest(model, timm.list_models())}"
        )
    try:
        return timm.get_pretrained_cfg(model)
    except RuntimeError as error:
        architecture, _, tag = model.partition(".")
        tagged = timm.list_pretrained(f"{architecture}.*")
        raise PipelineError(
            f"timm_frames.model: timm has no weights {tag!r} of {architecture}; "
            f"{nearest(model, tagged)}"
        ) from error


def _data_config(model: str) -> dict[str, Any]:
    from timm.data.config import resolve_data_config

    config: dict[str, Any] = resolve_data_config(vars(_pretrained_config(model)))
    return config


def _cropped(frame: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Returns the centre of a frame, resized as the library's own preprocessing does."""
    images = torch.nn.functional.interpolate(
        torch.from_numpy(frame).permute(2, 0, 1)[None],
        size=_resized(frame.shape[0], frame.shape[1], config),
        mode=_mode(config),
        antialias=True,
    )
    return _centres(images, config)[0].contiguous().numpy()


def _mode(config: dict[str, Any]) -> str:
    return "bicubic" if config["interpolation"] == "bicubic" else "bilinear"


def _centres(images: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    """Returns the centres ``(frames, height, width, 3)`` of ``(frames, 3, …)``."""
    _, height, width = config["input_size"]
    top, left = round((images.shape[2] - height) / 2), round((images.shape[3] - width) / 2)
    return images[:, :, top : top + height, left : left + width].permute(0, 2, 3, 1)


def _resized(height: int, width: int, config: dict[str, Any]) -> tuple[int, int]:
    """Returns the size that a frame gets before its centre is cut out."""
    least = [math.floor(side / config["crop_pct"]) for side in config["input_size"][1:]]
    if config["crop_mode"] == "squash":
        return least[0], least[1]
    if least[0] != least[1]:
        ratio = min(height / least[0], width / least[1])
        return max(least[0], round(height / ratio)), max(least[1], round(width / ratio))
    short = min(height, width)
    return int(least[0] * height / short), int(least[0] * width / short)
