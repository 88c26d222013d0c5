"""Devices that measure how long they are idle between the first batch and the last."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from avca_pipeline.extraction.devices import CpuDevice, CudaDevice, Encode, PendingResult


class CpuWithClock(CpuDevice):
    """A CPU; its time is the host's."""

    def __init__(self) -> None:
        self.intervals_s: list[tuple[float, float]] = []

    def start(self, encode: Encode, *inputs: torch.Tensor) -> PendingResult:
        """Encodes a batch and notes when it began and ended."""
        began_s = time.perf_counter()
        result = super().start(encode, *inputs)
        self.intervals_s.append((began_s, time.perf_counter()))
        return result

    def reset(self) -> None:
        """Forgets all batches so far."""
        self.intervals_s.clear()

    def idle_share(self) -> float:
        """Returns the share of the time in which no batch was worked on."""
        return _idle_share(self.intervals_s)


class CudaWithClock(CudaDevice):
    """A GPU, with an event before and after each batch's network."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def compute(self, encode: Encode, uploaded: Sequence[torch.Tensor]) -> torch.Tensor:
        """Queues a batch between two events."""
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        values = super().compute(encode, uploaded)
        after.record()
        self.events.append((before, after))
        return values

    def reset(self) -> None:
        """Forgets all batches so far."""
        self.events.clear()

    def idle_share(self) -> float:
        """Returns the share of the time in which no batch was worked on, by the GPU's clock."""
        torch.cuda.synchronize()
        first = self.events[0][0]
        return _idle_share(
            [
                (first.elapsed_time(before), first.elapsed_time(after))
                for before, after in self.events
            ]
        )


def device_with_clock(name: str) -> CpuWithClock | CudaWithClock:
    """Returns the device that is called ``cpu`` or ``cuda``."""
    return CudaWithClock() if name == "cuda" else CpuWithClock()


def _idle_share(intervals: Sequence[tuple[float, float]]) -> float:
    """Returns the share between the first beginning and the last end that is in no interval."""
    busy = sum(end - begin for begin, end in intervals)
    return 1.0 - busy / (intervals[-1][1] - intervals[0][0])
