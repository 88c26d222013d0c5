"""C3D, Tran et al.: Learning Spatiotemporal Features with 3D Convolutional Networks (ICCV 2015).

The video backbone of the paper's ``cls`` features: fc7 after ReLU of the network trained on
Sports-1M, averaged over non-overlapping windows of 16 frames at 25 frames a second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from avca_pipeline.backbones import ClipMedia
from avca_pipeline.lazy import torch
from avca_pipeline.media import Limits
from avca_pipeline.media.video import frames
from avca_pipeline.media.windows import Window, of_frames
from avca_pipeline.weights import WeightsSettings, fill

MODALITY = "video"
BATCH_WINDOWS = {"cpu": 8, "cuda": 64}

RATE_HZ = 25
WINDOW_FRAMES = 16
RESIZE = (128, 171)
CROP = 112
CROP_TOP, CROP_LEFT = 8, 30

# Mean colour of Sports-1M in the order in which Caffe, and so the published weights, read frames.
MEAN_BGR = (90.0, 98.0, 102.0)


class Settings(WeightsSettings):
    """C3D.

    Attributes:
        preprocessing: ``sports1m``, what the network was trained on: values 0 to 255 in the
            order blue, green, red, less their mean over the training set.
    """

    preprocessing: Literal["sports1m"] = "sports1m"


def windows(settings: Settings, clip: ClipMedia, limits: Limits) -> Iterator[Window]:
    """Yields windows of ``(16, 112, 112, 3)`` uint8 RGB; frames behind the clip's end are zero."""
    picked = frames(clip.path, RATE_HZ, clip.start_s, clip.end_s, limits)
    return of_frames(_cropped(picked), WINDOW_FRAMES)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network up to fc7 and what its parameters are.

    The published state dict has the names of these layers, and fc8, which is not used.
    """
    with torch.device("meta"):  # the default initialisation of 78 M parameters would be overwritten
        network = torch.nn.Sequential(OrderedDict(_layers()))
    network = network.to_empty(device="cpu")
    weights = fill(network, settings, cache, unused=("fc8.weight", "fc8.bias"))
    # The fastest layout on CPUs and GPUs alike; torch's annotations do not know the argument.
    network.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network, weights


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns fc7 after ReLU.

    Padding frames become zero after normalisation, that is mean grey, as in the published script.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, 16, 112, 112, 3)`` uint8 RGB.
        num_valid: ``(windows,)``, how many frames of each are no padding.

    Returns:
        ``(windows, 4096)`` float32.
    """
    pixels = data.flip(-1).float() - data.new_tensor(MEAN_BGR, dtype=torch.float32)
    is_real = torch.arange(WINDOW_FRAMES, device=data.device) < num_valid[:, None]
    pixels = pixels * is_real[:, :, None, None, None]
    # (windows, frames, height, width, channels) in memory is channels-last of what follows.
    features: torch.Tensor = network(pixels.permute(0, 4, 1, 2, 3))
    return features


def _cropped(picked: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields ``(112, 112, 3)`` uint8: frames resized to 128x171 with antialiasing, centre crop."""
    source, crop = None, np.zeros(0, np.uint8)
    for frame in picked:
        if frame is not source:
            image = torch.from_numpy(frame).permute(2, 0, 1)[None]
            image = torch.nn.functional.interpolate(
                image, size=RESIZE, mode="bilinear", antialias=True
            )
            image = image[0, :, CROP_TOP : CROP_TOP + CROP, CROP_LEFT : CROP_LEFT + CROP]
            source, crop = frame, image.permute(1, 2, 0).contiguous().numpy()
        yield crop


def _layers() -> Iterator[tuple[str, torch.nn.Module]]:
    nn = torch.nn
    channels = 3
    for block, names, width in (
        (1, ("1",), 64),
        (2, ("2",), 128),
        (3, ("3a", "3b"), 256),
        (4, ("4a", "4b"), 512),
        (5, ("5a", "5b"), 512),
    ):
        for name in names:
            yield f"conv{name}", nn.Conv3d(channels, width, 3, padding=1)
            yield f"relu{name}", nn.ReLU(inplace=True)
            channels = width
        size = (1 if block == 1 else 2, 2, 2)
        padding = (0, 1, 1) if block == 5 else (0, 0, 0)
        yield f"pool{block}", nn.MaxPool3d(size, stride=size, padding=padding)
    yield "flatten", nn.Flatten()
    yield "fc6", nn.Linear(8192, 4096)
    yield "relu6", nn.ReLU(inplace=True)
    yield "fc7", nn.Linear(4096, 4096)
    yield "relu7", nn.ReLU(inplace=True)
