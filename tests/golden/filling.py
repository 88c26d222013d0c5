"""The rule by which the golden data's networks were filled, so that no weights need storing."""

from __future__ import annotations

import math

import numpy as np


def filled(
    name: str, shape: tuple[int, ...], seed: int, position: int, gain: float = 1.0
) -> np.ndarray:
    """Returns the values of entry number ``position`` of a state dict."""
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    normal = np.random.default_rng([seed, position]).standard_normal(shape, dtype=np.float32)
    if kind == "running_var":
        return np.float32(1) + np.float32(0.25) * np.abs(normal)
    if kind == "running_mean":
        return np.float32(0.1) * normal
    if kind == "bias":
        return np.float32(0.05) * normal
    if kind == "weight" and len(shape) == 1:
        return np.float32(1) + np.float32(0.1) * normal
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else shape[0]
    return normal * np.float32(gain / np.sqrt(fan_in))
