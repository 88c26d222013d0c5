"""Where batches are encoded: a CPU, which encodes at once, or a GPU, which works in the background.

On a GPU three things happen at the same time: the host fills the next batch, the upload stream
copies a batch that is full, and the compute stream runs the network on the batch before. Inputs
and results lie in pinned memory, the only kind that a GPU copies while the host goes on. A result
is read after an event that was recorded behind its own copy, never by waiting for the stream, on
which later batches are queued already.

Nothing here touches a GPU until a `CudaDevice` is made. Decode workers are forked before that,
because a process that is forked from one with a CUDA context inherits memory that it cannot use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime.lazy import torch

Encode = Callable[..., "torch.Tensor"]
"""Computes ``(windows, dim)`` features from a batch's tensors on the device."""


class PendingResult(Protocol):
    """Features that a device has been asked for."""

    def wait(self) -> torch.Tensor:
        """Returns ``(windows, dim)`` on the host, as soon as this batch is done.

        Batches that were started later may still be on their way.
        """


class Device(Protocol):
    """What runs a network."""

    name: str
    """``cpu`` or ``cuda``."""

    def host_zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Returns memory of the host in which a batch is filled."""

    def start(self, encode: Encode, *inputs: torch.Tensor) -> PendingResult:
        """Has a batch encoded.

        Args:
            encode: computes the features.
            *inputs: arguments of ``encode``, from `host_zeros`. They must not be changed before
                the result has been waited for.

        Raises:
            torch.OutOfMemoryError: the device has no room for a batch of this size.
        """

    def release_memory(self) -> None:
        """Gives back the memory that the device holds for reuse, after it has run out."""


@dataclass(frozen=True)
class FinishedResult:
    """Features that are there already."""

    values: torch.Tensor

    def wait(self) -> torch.Tensor:
        """Returns the features."""
        return self.values


class CpuDevice:
    """Encodes a batch at once, in the memory in which it was filled."""

    name = "cpu"

    def host_zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Returns ordinary memory."""
        return torch.zeros(tuple(shape), dtype=dtype)

    def start(self, encode: Encode, *inputs: torch.Tensor) -> PendingResult:
        """Encodes a batch."""
        return FinishedResult(encode(*inputs))

    def release_memory(self) -> None:
        """Does nothing: what is freed goes back to the system."""


@dataclass(frozen=True)
class CudaResult:
    """Features that a GPU copies into pinned memory, and the event behind that copy."""

    values: torch.Tensor
    copied: torch.cuda.Event

    def wait(self) -> torch.Tensor:
        """Waits for this batch's event and returns the features."""
        self.copied.synchronize()
        return self.values


class CudaDevice:
    """Encodes batches on the GPU that CUDA shows first."""

    name = "cuda"

    def __init__(self) -> None:
        self.uploads = torch.cuda.Stream()

    def host_zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Returns pinned memory."""
        return torch.zeros(tuple(shape), dtype=dtype, pin_memory=True)

    def start(self, encode: Encode, *inputs: torch.Tensor) -> PendingResult:
        """Queues the copy of a batch, its network, and the copy of its result; waits for none."""
        compute = torch.cuda.current_stream()
        with torch.cuda.stream(self.uploads):
            uploaded = [tensor.to("cuda", non_blocking=True) for tensor in inputs]
        compute.wait_stream(self.uploads)
        for tensor in uploaded:
            tensor.record_stream(compute)  # its memory is not reused before compute is done with it
        values = self.compute(encode, uploaded)
        on_host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        on_host.copy_(values, non_blocking=True)
        # Blocking: the host sleeps while it waits, and leaves its core to a decode worker.
        copied = torch.cuda.Event(blocking=True)
        copied.record()
        return CudaResult(on_host, copied)

    def compute(self, encode: Encode, uploaded: Sequence[torch.Tensor]) -> torch.Tensor:
        """Queues the network on tensors of the GPU; a subclass may measure it."""
        return encode(*uploaded)

    def release_memory(self) -> None:
        """Gives cached blocks back to the driver, so that smaller ones can be cut."""
        torch.cuda.empty_cache()


def open_device(name: str) -> Device:
    """Returns the device that is called ``cpu`` or ``cuda``; the latter starts CUDA."""
    return CudaDevice() if name == "cuda" else CpuDevice()


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether a device, or a library on it, has found no room."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "_STATUS_ALLOC_FAILED" in str(error)
    )


def check_precision(precision: str, device: str) -> None:
    """Raises `PipelineError` where a device can at best emulate a precision.

    GPUs have bf16 from compute capability 8.0 on (Ampere). torch emulates it on older ones, slower
    than fp32.
    """
    if precision != "bf16":
        return
    has_bf16: Any = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device == "cuda"
        else torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    if not has_bf16:
        raise PipelineError(
            f"precision: bf16: this {device} has no instructions for it; use fp32 or another device"
        )


def set_precision(precision: str) -> None:
    """Allows a GPU to round the factors of products to tf32 only where the settings ask for it."""
    # torch allows tf32 in convolutions unless told otherwise.
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
