"""Frames that decode workers leave as planes: memory for them, and their way to the device.

Planes of several windows are collected in memory of the host until it is full or the batch is. Then
one transfer takes them to the device, where frames of one layout are converted and resized together
and copied into the batch, which is on the device from the beginning. What the host had to prepare
takes the same way. Several such memories take turns: work for the device lies ready while the host
fills the next one.
"""

from __future__ import annotations

import functools
from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np

from avca_pipeline.backbones import Spec
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.decoding import prepared_bytes
from avca_pipeline.extraction.devices import Device, PendingResult, is_out_of_memory
from avca_pipeline.media.planes import Layout, aligned, converted, num_bytes
from avca_pipeline.runtime.lazy import torch

COLLECTED_BYTES = 32 << 20
NUM_MEMORIES = 8
CONVERTED_BYTES = 8 << 20
"""Planes that are converted at a time: on their way they take some 30 times as much."""
NO_ROOM = (
    "the GPU's memory has no room for the network and a few frames; end what else uses this GPU, "
    "lower jobs_per_gpu, or leave frames_on out"
)


class DeviceFrames:
    """Takes frames to the device and has them prepared there.

    Args:
        settings: of the backbone.
        spec: of the backbone.
        device: prepares the frames.
    """

    def __init__(self, settings: FramesOn, spec: Spec, device: Device) -> None:
        self.settings, self.spec, self.device = settings, spec, device
        self.memory = device.host_zeros((COLLECTED_BYTES,), torch.uint8)
        self.used = 0
        # The oldest one first, with what says that the device has read it.
        self.in_use: deque[tuple[torch.Tensor, PendingResult]] = deque()
        # Where each window goes, and where its frames begin, with their layouts.
        self.collected: list[tuple[torch.Tensor, list[tuple[int, Layout | None]]]] = []

    def add(self, window: torch.Tensor, data: np.ndarray, layouts: Sequence[Layout | None]) -> None:
        """Copies a window's frames, and starts those before if there is no room for more.

        Args:
            window: ``window_shape`` on the device, which gets the frames.
            data: from `planes.packed`.
            layouts: likewise.
        """
        sizes = [aligned(self._size(layout)) for layout in layouts]
        total = sum(sizes)
        if self.used + total > len(self.memory):
            self.flush()
        if total > len(self.memory):
            self.memory = self.device.host_zeros((total,), torch.uint8)
        self.memory.numpy()[self.used : self.used + total] = data[:total]
        begins = self.used + np.cumsum([0, *sizes[:-1]])
        self.collected.append((window, list(zip(begins.tolist(), layouts, strict=True))))
        self.used += total

    def flush(self) -> None:
        """Has the device prepare the frames so far, and waits for a memory that is free."""
        if not self.collected:
            return
        prepare = functools.partial(self._prepare, self.collected)
        try:
            result = self.device.start(prepare, self.memory[: self.used])
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise PipelineError(NO_ROOM) from error
            raise
        self.in_use.append((self.memory, result))
        self.collected, self.used = [], 0
        if len(self.in_use) < NUM_MEMORIES:
            self.memory = self.device.host_zeros((COLLECTED_BYTES,), torch.uint8)
        else:
            self.memory, oldest = self.in_use.popleft()
            oldest.wait()

    def _size(self, layout: Layout | None) -> int:
        return num_bytes(layout.height, layout.width) if layout else prepared_bytes(self.spec)

    @torch.inference_mode()
    def _prepare(
        self,
        collected: list[tuple[torch.Tensor, list[tuple[int, Layout | None]]]],
        data: torch.Tensor,
    ) -> torch.Tensor:
        """Prepares frames; returns a byte that is there once they are."""
        alike = defaultdict[Layout | None, list[int]](list)
        for _, frames in collected:
            for begin, layout in frames:
                alike[layout].append(begin)
        prepared: dict[int, torch.Tensor] = {}
        for layout, begins in alike.items():
            size = self._size(layout)
            step = max(1, CONVERTED_BYTES // size)
            for first in range(0, len(begins), step):
                some = begins[first : first + step]
                stacked = torch.stack([data[begin : begin + size] for begin in some])
                prepared.update(zip(some, self._prepared(stacked, layout), strict=True))
        for window, frames in collected:
            window[: len(frames)] = torch.stack([prepared[begin] for begin, _ in frames])
        return data[:1]

    def _prepared(self, stacked: torch.Tensor, layout: Layout | None) -> torch.Tensor:
        if layout is not None:
            return self.settings.prepared(converted(stacked, layout))
        dtype = getattr(torch, self.spec.window_dtype)
        return stacked.view(dtype).reshape(len(stacked), *self.spec.window_shape[1:])
