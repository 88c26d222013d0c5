"""Packs windows of several clips into batches, has a device encode them, and sorts the results.

Batches always have the same size, and the last one is filled up: a network may round differently
for another size, and a clip's features must not depend on the clips that share its batches.

While one batch is filled, `BATCHES_ON_DEVICE` others are with the device: one that it works on and
one that waits for it, so that a GPU has its next batch at once. The memory in which a batch was
filled is used again after its result has arrived. That is the only moment at which the host waits
for the device, and by then the device has newer batches to work on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from avca_pipeline.backbones import AnyBackbone
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.decoding import log_fallbacks, prepares_on_device
from avca_pipeline.extraction.device_frames import DeviceFrames
from avca_pipeline.extraction.devices import (
    Device,
    PendingResult,
    check_precision,
    is_out_of_memory,
    open_device,
    set_precision,
)
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media.planes import Layout
from avca_pipeline.media.workers import (
    DecodedWindow,
    DecodePool,
    FinishedClip,
    RestartedClip,
)
from avca_pipeline.runtime.lazy import torch

logger = logging.getLogger(__name__)

BuiltNetwork: TypeAlias = "tuple[torch.nn.Module, str]"
"""A network and the SHA-256 of its weights, or ``random:<seed>``."""
BATCHES_ON_DEVICE = 2
NO_ROOM = (
    "the GPU's memory has no room for the network and one window; end what else uses this GPU, "
    "lower jobs_per_gpu, or run with --device cpu"
)


def encode_decoded(
    pool: DecodePool,
    clips: Sequence[EncodedClip],
    backbone: AnyBackbone,
    settings: WeightsSettings,
    *,
    cache: Path,
    device: str,
    keep_windows: bool = False,
    expected_weights: str = "",
    build: Callable[[WeightsSettings, Path], BuiltNetwork] | None = None,
    when_finished: Callable[[EncodedClip], None] = lambda clip: None,
) -> str:
    """Builds a backbone's network, encodes what decode workers deliver, and returns its weights.

    Args:
        pool: from `decoding.decode_pool`, started: only with the workers forked may a GPU be used.
        clips: those of the pool; they get their features, notes and reasons.
        backbone: the plugin.
        settings: of the plugin.
        cache: where downloaded weights are kept.
        device: ``cpu`` or ``cuda``.
        keep_windows: keep the features of each window beside their mean.
        expected_weights: SHA-256 or ``random:<seed>`` that the weights must have, where that is
            known.
        build: gives a network that is built already, in the place of the plugin's function.
        when_finished: is called with each clip that has been decoded to its end.

    Raises:
        PipelineError: the weights are missing, damaged, or not the expected ones.
    """
    check_precision(settings.precision, device)
    network, weights = (build or backbone.build)(settings, cache)
    if expected_weights and weights != expected_weights:
        raise PipelineError(
            f"weights: those of {settings.weights!r} are {weights}, and the network was trained on "
            f"features of {expected_weights}; give the weights that it was trained with"
        )
    encoder = Encoder(backbone, settings, network, open_device(device), keep_windows=keep_windows)
    encode_clips(pool.events(), clips, encoder, when_finished)
    return weights


def encode_clips(
    events: Iterator[DecodedWindow | RestartedClip | FinishedClip],
    clips: Sequence[EncodedClip],
    encoder: Encoder,
    when_finished: Callable[[EncodedClip], None] = lambda clip: None,
) -> None:
    """Encodes what decode workers deliver.

    Args:
        events: of a `DecodePool`; a job is an index into ``clips``.
        clips: get their features, notes and reasons.
        encoder: of the backbone.
        when_finished: is called with each clip that has been decoded to its end.
    """
    for event in events:
        clip = clips[event.job]
        if isinstance(event, DecodedWindow):
            encoder.add_window(clip, event.data, event.num_valid, event.start, event.layouts)
        elif isinstance(event, RestartedClip):
            clip.restart()
        else:
            clip.reason = clip.reason or event.reason
            clip.notes = event.notes
            when_finished(clip)
    encoder.flush()
    log_fallbacks(clips)


@dataclass
class _Batch:
    """Memory for one batch, and what is in it.

    Attributes:
        windows: ``(batch, …)`` on the host, or on the device where that prepares frames.
        num_valid: ``(batch,)``, how much of each window is no padding.
        owners: the clip of each window, and the attempt in which it was decoded.
        results: what the device will give back, each for as many windows as were encoded at once.
    """

    windows: torch.Tensor
    num_valid: torch.Tensor
    owners: list[tuple[EncodedClip, int]] = field(default_factory=list)
    results: list[PendingResult] = field(default_factory=list)


class Encoder:
    """Encodes windows of clips with one network on one device.

    Args:
        backbone: the plugin.
        settings: of the plugin.
        network: from the plugin's ``build``.
        device: runs the network.
        batch_size: windows in a batch; that of the backbone unless stated. It is halved where the
            device has no room, and changes features by no more than rounding.
        keep_windows: keep the features of each window beside their mean.
    """

    def __init__(
        self,
        backbone: AnyBackbone,
        settings: WeightsSettings,
        network: torch.nn.Module,
        device: Device,
        *,
        batch_size: int | None = None,
        keep_windows: bool = False,
    ) -> None:
        self.backbone, self.settings, self.device = backbone, settings, device
        self.keep_windows = keep_windows
        self.batch_size = self.capacity = batch_size or int(backbone.BATCH_WINDOWS[device.name])
        set_precision(settings.precision)
        try:
            self.network = network.to(device.name)
            on_device = prepares_on_device(settings)
            spec = backbone.spec(settings)
            self.frames = DeviceFrames(on_device, spec, device) if on_device else None
            # The first one is being filled. The others are on the device, the oldest next to it.
            self.batches = deque(self._new_batch() for _ in range(BATCHES_ON_DEVICE + 1))
        except torch.OutOfMemoryError as error:
            raise PipelineError(NO_ROOM) from error

    def add_window(
        self,
        clip: EncodedClip,
        window: np.ndarray,
        num_valid: int,
        start: float = 0.0,
        layouts: Sequence[Layout | None] = (),
    ) -> None:
        """Copies a window into the batch that is being filled, and starts the batch if it is full.

        Args:
            clip: to which the window belongs.
            window: in the backbone's shape and type, or as `planes.packed` gives it.
            num_valid: how much of it is no padding.
            start: of the window, see `Window`.
            layouts: of the frames, where the device is to prepare them.
        """
        batch = self.batches[0]
        row = len(batch.owners)
        if self.frames:
            self.frames.add(batch.windows[row], window, layouts)
        else:
            # NumPy copies on this thread. torch would spread the copy of each window over all
            # cores, and wait for threads that decode workers keep off them.
            batch.windows.numpy()[row] = window
        batch.num_valid.numpy()[row] = num_valid
        if not clip.num_decoded:
            clip.is_padded = num_valid < batch.windows.shape[1]
        clip.num_decoded += 1
        if self.keep_windows:
            clip.starts.append(start)
        batch.owners.append((clip, clip.attempt))
        if len(batch.owners) == self.batch_size:
            self._start_batch()

    def flush(self) -> None:
        """Starts the batch that is not full, and waits for all results."""
        if self.batches[0].owners:
            self._start_batch()
        for batch in self.batches:
            self._collect(batch)

    def _new_batch(self) -> _Batch:
        spec = self.backbone.spec(self.settings)
        dtype = getattr(torch, spec.window_dtype)
        shape = (self.capacity, *spec.window_shape)
        return _Batch(
            torch.zeros(shape, dtype=dtype, device=self.device.name)
            if self.frames
            else self.device.host_zeros(shape, dtype),
            self.device.host_zeros((self.capacity,), torch.int64),
        )

    def _start_batch(self) -> None:
        batch = self.batches[0]
        if self.frames:
            self.frames.flush()
        results = self._try_to_start(batch)
        while results is None:
            self._halve_batch_size()
            results = self._try_to_start(batch)
        batch.results = results
        self.batches.rotate(-1)
        self._collect(self.batches[0])  # the oldest one, whose memory is filled next

    def _try_to_start(self, batch: _Batch) -> list[PendingResult] | None:
        """Has a batch encoded, in parts where the size was halved; ``None`` if there is no room."""
        results = []
        try:
            for begin in range(0, len(batch.owners), self.batch_size):
                rows = slice(begin, begin + self.batch_size)
                inputs = batch.windows[rows], batch.num_valid[rows]
                results.append(self.device.start(self._encode, *inputs))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None
        return results

    def _encode(self, windows: torch.Tensor, num_valid: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            encoded = self.backbone.encode(self.settings, self.network, windows, num_valid)
        features: torch.Tensor = encoded.float()
        return features

    def _halve_batch_size(self) -> None:
        """Takes half as many windows at a time from now on, or fewer to have parts of one size."""
        size = self.batch_size
        if size == 1:
            raise PipelineError(NO_ROOM)
        sizes = range(1, size // 2 + 1)
        self.batch_size = max(part for part in sizes if self.capacity % part == 0)
        logger.info(
            f"the device has no room for a batch of {size} windows; going on with batches of "
            f"{self.batch_size}"
        )
        self.device.release_memory()

    def _collect(self, batch: _Batch) -> None:
        """Waits for a batch's results, gives each clip its rows, and empties the batch."""
        rows = [row for result in batch.results for row in result.wait().numpy()]
        # There are more rows than owners where the last batch was filled up.
        for row, (clip, attempt) in zip(rows, batch.owners, strict=False):
            clip.add_features(attempt, row, keep_window=self.keep_windows)
        batch.owners.clear()
        batch.results = []
