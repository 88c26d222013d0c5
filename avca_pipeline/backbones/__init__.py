"""Plugins: frozen encoders of one modality.

A backbone is one file here with

``MODALITY``
    ``"video"`` or ``"audio"``;
``Settings``
    a `WeightsSettings` with whatever else changes its features;
``spec(settings) -> Spec``
    what its network takes;
``published(settings) -> Published | None``
    the weights that ``weights: published`` stands for;
``pretraining_classes(settings) -> tuple[str, ...] | None``
    the classes that its pretraining saw with labels, for the leakage audit: none for random or
    self-supervised weights, ``None`` where nobody knows;
``windows(settings, clip, limits) -> Iterator[Window]``
    decodes a clip into the network's inputs, streaming, on one core of the CPU;
``build(settings, cache) -> (torch.nn.Module, str)``
    the network with its parameters, in eval mode, and what the parameters are;
``encode(settings, network, data, num_valid) -> torch.Tensor``
    ``(windows, dim)`` features of a batch of windows on the network's device, float32;
``BATCH_WINDOWS``
    how many windows fill a batch on a CPU and on a GPU;
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MediaSegment:
    """Where a backbone finds a clip: a file and the stretch of it, in seconds."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Spec:
    """What a backbone's network takes.

    Attributes:
        window_shape: of one window, time first.
        window_dtype: NumPy's name for the type of its elements.
    """

    window_shape: tuple[int, ...]
    window_dtype: str
