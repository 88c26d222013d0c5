"""Constants of preprocessing in the memory of a device, copied there once.

A constant that is made anew for each batch is copied from ordinary memory of the host, and for such
a copy the host waits until the GPU has done everything that it was asked for before.
"""

from __future__ import annotations

import functools

from avca_pipeline.runtime.lazy import torch


@functools.lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Returns ``(values,)`` float32 on a device, the same tensor at each call."""
    with torch.inference_mode(False):  # so that it may be used inside and outside of that mode
        return torch.tensor(values, dtype=torch.float32, device=device)
