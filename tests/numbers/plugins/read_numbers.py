"""A backbone for tests: a clip is a text file with a window a line, and its features stand there.

A line is a number and how much of the window is real, or what happens to the decoder: ``reject``
with a reason, ``late`` with seconds, or ``die once``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from avca_pipeline.backbones import MediaSegment, Spec, Timing
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import Limits, MediaError, notes
from avca_pipeline.media.windows import Window

MODALITY = "video"
BATCH_WINDOWS = {"cpu": 4, "cuda": 4}


class Settings(WeightsSettings):
    """Any number.

    Attributes:
        factor: of every feature.
        is_timed: say where windows are in time.
    """

    factor: float = 1.0
    is_timed: bool = True


def spec(settings: Settings) -> Spec:
    """Returns windows of two numbers."""
    return Spec((2,), "float64", timing=Timing(0.5, 0.25, 4) if settings.is_timed else None)


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields a window for each line of the segment, whose unit is lines."""
    lines = clip.path.read_text().splitlines()
    end = len(lines) if clip.end_s is None else int(clip.end_s)
    start = 0
    for line in lines[int(clip.start_s or 0) : end]:
        what, *rest = line.split()
        if what == "reject":
            raise MediaError(" ".join(rest))
        if what == "late":
            notes.current().late_s = float(rest[0])
            continue
        if what == "die":
            died = clip.path.with_suffix(".died")
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            continue
        valid = int(rest[0]) if rest else 2
        yield Window(np.array([float(what), 0.0]), valid, start)
        start += 1


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns a network that does nothing."""
    return torch.nn.Identity(), "random:0"


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, 2)``: the number, and how much of the window is real."""
    assert data.shape == (4, 2)  # batches are always full
    return torch.stack([settings.factor * data[:, 0], num_valid.double()], dim=1).float()
