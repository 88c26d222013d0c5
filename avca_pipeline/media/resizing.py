"""Resizing with antialiasing on any device, to the bit as torch resizes bytes on a CPU.

There torch resizes along rows, rounds to bytes, and then along columns. Weights are whole numbers
of 16 bit: a float is scaled by as high a power of two as fits. On other devices torch has no such
function. Here the same sums are products of matrices. Each weight is split into two bytes, so that
all sums in single precision are exact, in tf32 as well, and their order does not matter.
"""

from __future__ import annotations

import functools

import numpy as np

from avca_pipeline.runtime.lazy import torch

RADIUS = {"bilinear": 1.0, "bicubic": 2.0}
CUBIC = -0.5
MAX_SHIFT = 22


def resized(pictures: torch.Tensor, size: tuple[int, int], mode: str) -> torch.Tensor:
    """Returns ``(frames, 3, *size)`` uint8, with antialiasing.

    Args:
        pictures: ``(frames, 3, height, width)`` uint8.
        size: height and width to get.
        mode: ``bilinear`` or ``bicubic``.
    """
    for axis in (3, 2):
        length, wanted = pictures.shape[axis], size[axis - 2]
        if length == wanted:
            continue
        high, low, shift = _on_device(length, wanted, mode, pictures.device)
        values = pictures.float()
        if axis == 3:
            sums = ((values @ high.T).int() << 8) + (values @ low.T).int()
        else:
            sums = ((high @ values).int() << 8) + (low @ values).int()
        pictures = (sums + (1 << (shift - 1)) >> shift).clamp_(0, 255).to(torch.uint8)
    return pictures


@functools.lru_cache(maxsize=64)
def _on_device(
    length: int, wanted: int, mode: str, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Returns the high and the low bytes of weights on a device, and by how much sums are scaled.

    Args:
        length: of what is resized.
        wanted: length to get.
        mode: ``bilinear`` or ``bicubic``.
        device: that resizes.
    """
    whole, shift = weights(length, wanted, mode)
    with torch.inference_mode(False):  # so that they may be used inside and outside of that mode
        high, low = (
            torch.tensor(part, dtype=torch.float32, device=device)
            for part in (whole >> 8, whole & 0xFF)
        )
    return high, low, shift


def weights(length: int, wanted: int, mode: str) -> tuple[np.ndarray, int]:
    """Returns ``(wanted, length)`` whole numbers, and the power of two by which they are scaled."""
    scale = length / wanted
    stretch = max(scale, 1.0)
    radius = RADIUS[mode] * stretch
    centres = scale * (np.arange(wanted) + 0.5)[:, None]
    places = np.arange(length)
    is_near = (places >= (centres - radius + 0.5).astype(int)) & (
        places < (centres + radius + 0.5).astype(int)
    )
    values = _filter(np.abs(places - centres + 0.5) / stretch, mode) * is_near
    values /= values.sum(axis=1, keepdims=True)
    most = values.max()
    shift = 0
    while shift < MAX_SHIFT and int(0.5 + most * 2 ** (shift + 1)) < 1 << 15:
        shift += 1
    whole: np.ndarray = np.trunc(values * 2**shift + np.copysign(0.5, values)).astype(int)
    return whole, shift


def _filter(distance: np.ndarray, mode: str) -> np.ndarray:
    if mode == "bilinear":
        return (1 - distance).clip(min=0)
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * CUBIC
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
