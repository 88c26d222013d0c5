"""Windows whose frames the device prepares, next to those that the host prepares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from avca_pipeline.backbones import AnyBackbone, MediaSegment
from avca_pipeline.extraction.decoding import bytes_of_planes, prepares_on_device
from avca_pipeline.extraction.device_frames import DeviceFrames
from avca_pipeline.extraction.devices import open_device
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import Limits
from avca_pipeline.media.planes import keeping_planes, packed

LIMITS = Limits(8192 * 4320, 3600.0)


def pairs(
    backbone: AnyBackbone, settings: WeightsSettings, path: Path, device: str = "cpu"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the frames of each window of a clip, from the device and from the host.

    Args:
        backbone: of video.
        settings: with ``frames_on: device``.
        path: of the clip.
        device: ``cpu`` or ``cuda``.
    """
    spec, clip = backbone.spec(settings), MediaSegment(path)
    on_device = prepares_on_device(settings)
    assert on_device is not None
    frames = DeviceFrames(on_device, spec, open_device(device))
    room = np.empty(bytes_of_planes(spec), np.uint8)
    dtype = getattr(torch, spec.window_dtype)
    of_host = list(backbone.windows(settings, clip, LIMITS))
    of_device = keeping_planes(lambda clip: backbone.windows(settings, clip, LIMITS), clip)
    for window, expected in zip(of_device, of_host, strict=True):
        data = torch.zeros(spec.window_shape, dtype=dtype, device=device)
        frames.add(data, room, packed(window, room))
        frames.flush()
        assert window.num_valid == expected.num_valid
        valid = slice(window.num_valid)
        yield data[valid].cpu().numpy(), expected.data[valid]
