"""SeLaVi's video network: R(2+1)D-18, trained on VGGSound without labels.

Papers: Asano, Patrick, Rupprecht, Vedaldi: Labelling unlabelled videos from scratch with
multi-modal self-supervision (NeurIPS 2020), for the training; Tran et al.: A Closer Look at
Spatiotemporal Convolutions for Action Recognition (CVPR 2018), for the network.

Network: 18 layers, in which each 3D convolution is one over space and then one over time; 31.3
million parameters, 125 MB in fp32; 154 GFLOP a window.

Input: windows of one second, 30 frames at 30 a second. The short side of a frame is resized to 112
and its centre of 112x112 is cut out; values are normalised by mean 0.45 and deviation 0.225.

Features: 512 values a window, pooled over time and picture; a clip's features are the mean over its
windows. They are the video half of the ``main`` features of the benchmark's paper.

Weights: one file for both networks, CC BY-NC 4.0; see `_selavi`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing, _selavi
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.media import Limits
from avca_pipeline.media.planes import each_prepared
from avca_pipeline.media.video import frame_count, frames, native_frames, resizable
from avca_pipeline.media.windows import Window, covering_windows, frame_windows, stacked_blocks
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("asano2020selavi", "tran2018r2plus1d")
MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 4, "cuda": 32}

RATE_HZ = 30
WINDOW_FRAMES = 30
CROP = 112
MEAN, STD = 0.45, 0.225


class Settings(FramesOn, _selavi.Settings):
    """SeLaVi's video network."""

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, 112, 112, 3)`` float32, see `cropped`."""
        return _centres(pictures)


def spec(settings: Settings) -> Spec:
    """Returns what the network takes; single precision, see `cropped`."""
    timing = Timing.side_by_side(WINDOW_FRAMES, RATE_HZ)
    if not settings.has_steady_hop:  # of frames at the file's own rate
        timing = Timing(1.0, math.nan, rate_hz=1)
    return Spec((WINDOW_FRAMES, CROP, CROP, 3), "float32", dim=512, timing=timing)


published = _selavi.published
pretraining_classes = _selavi.pretraining_classes


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of ``(30, 112, 112, 3)`` float32 RGB, 0 to 255.

    Differs from the published script, which puts another random clip in the place of one under
    two seconds: such a clip has one window, padded if it is under one second.
    """
    if settings.windows == "official-script":
        return _official(clip, limits)
    picked = frames(clip.path, RATE_HZ, clip.start_s, clip.end_s, limits)
    cropping = each_prepared(resizable(picked, CROP, limits), cropped)
    return covering_windows(stacked_blocks(cropping, WINDOW_FRAMES), WINDOW_FRAMES)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network without its classifier and what its parameters are."""
    from torchvision.models.video import r2plus1d_18

    network = r2plus1d_18(weights=None)
    network.fc = torch.nn.Identity()
    weights = _selavi.fill_part(network, settings, cache, MODALITY)
    return network.to(memory_format=torch.channels_last_3d), weights


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, 512)`` features, averaged over time and picture, float32.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, 30, 112, 112, 3)`` from `windows`.
        num_valid: ``(windows,)``; frames behind that are zero, mean grey, after normalisation.
    """
    is_real = torch.arange(data.shape[1], device=data.device) < num_valid[:, None]
    pixels = normalised(data) * is_real[:, :, None, None, None]
    dtype = next(network.parameters()).dtype
    features: torch.Tensor = network(pixels.to(dtype).permute(0, 4, 1, 2, 3))
    return features.float()


def cropped(frame: np.ndarray) -> np.ndarray:
    """Returns ``(112, 112, 3)`` float32: the short side resized to 112, then the centre.

    Without antialiasing. The published transform converts to floats before it interpolates;
    rounded back to bytes the pixels would be off by up to half a level. Its normalisation, which
    comes first there, commutes with both.
    """
    return _centres(torch.from_numpy(frame).permute(2, 0, 1)[None])[0].contiguous().numpy()


def _centres(pictures: torch.Tensor) -> torch.Tensor:
    """Returns ``(frames, 112, 112, 3)`` float32 of ``(frames, 3, …)`` uint8."""
    height, width = pictures.shape[2:]
    scale = CROP / min(height, width)
    size = [CROP if side == min(height, width) else int(side * scale) for side in (height, width)]
    images = torch.nn.functional.interpolate(
        pictures.float(), size=size, mode="bilinear", align_corners=False
    )
    top, left = (-(-(side - CROP) // 2) for side in size)
    return images[:, :, top : top + CROP, left : left + CROP].permute(0, 2, 3, 1)


def normalised(data: torch.Tensor) -> torch.Tensor:
    """Returns 0 to 255 as the network's input values."""
    return (data / 255.0 - MEAN) / STD


def official_picks(start: int, fps: float) -> np.ndarray:
    """Returns the numbers of the 30 frames in the published script's window from ``start`` on."""
    return start + np.linspace(0, fps - 1, WINDOW_FRAMES).astype(int)


def _official(clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields the published script's windows, which overlap, holding no more than one of them."""
    count, fps = frame_count(clip.path, clip.start_s, clip.end_s, limits)
    todo = deque(official_picks(start, fps) for start in _selavi.official_starts(count, fps) or [0])
    held: dict[int, np.ndarray] = {}
    has_yielded = False
    native = native_frames(clip.path, clip.start_s, clip.end_s, limits)
    for number, crop in enumerate(each_prepared(resizable(native, CROP, limits), cropped)):
        held[number] = crop
        while todo and todo[0][-1] <= number:
            picks = todo.popleft()
            yield Window(np.stack([held[pick] for pick in picks]), WINDOW_FRAMES, picks[0] / fps)
            has_yielded = True
        first = todo[0][0] if todo else number + 1
        held = {pick: value for pick, value in held.items() if pick >= first}
        if not todo:
            return
    if not has_yielded:
        yield from frame_windows((held[pick] for pick in todo[0] if pick in held), WINDOW_FRAMES)
