"""Plugins: frozen encoders of one modality.

A backbone is one file here with

``MODALITY``
    ``"video"`` or ``"audio"``;
``Settings``
    a `WeightsSettings` with whatever else changes its features;
``windows(settings, clip, limits) -> Iterator[Window]``
    decodes a clip into the network's inputs, streaming, on the CPU;
``build(settings, cache) -> (torch.nn.Module, str)``
    the network with its parameters, in eval mode, and what the parameters are;
``encode(settings, network, data, num_valid) -> torch.Tensor``
    ``(windows, dim)`` features of a batch of windows on the network's device, float32;
``BATCH_WINDOWS``
    how many windows fill a batch on a CPU and on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClipMedia:
    """Where a backbone finds a clip: a file and the stretch of it, in seconds."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None
