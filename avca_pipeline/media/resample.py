"""Resampling of a stream: by torchaudio, and as the published VGGish front end did it.

The front end calls resampy's ``kaiser_best``. That is a windowed sinc read from a table with
linear interpolation, and its step through the table is truncated to a whole number, which other
resamplers do not do: torchaudio's kernel with the same parameters is 89 dB away at 44.1 kHz but
only 46 dB at 48 kHz, soxr 30 to 37 dB. The same arithmetic, written as matrix products of
strided samples, agrees to rounding and needs no just-in-time compiler.

Networks whose front end was never published get sound from torchaudio.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from avca_pipeline.runtime.lazy import torch

NUM_ZEROS = 50
TABLE_STEPS = 8192
ROLLOFF = 0.9173473712608761
KAISER_BETA = 12.984585247040012

# Beyond this the phases of an odd rate (44,099 Hz) no longer fit into a sensible kernel.
MAX_KERNEL_ELEMENTS = 8_000_000
# Beyond this the matrix of steps that are taken together, of which a very low rate needs many.
MAX_MATRIX_ELEMENTS = 24_000_000
BLOCK_S = 2.0

# Steps and phases of one matrix product. NumPy's OpenBLAS starts threads for products of more
# multiplications than this; decode workers are the unit of parallelism.
PRODUCT_STEPS = 16
PRODUCT_PHASES = 16
MAX_MULTIPLICATIONS = 1 << 18

# torchaudio's name for resampy's kaiser_best; its own default passes more of what is mirrored.
KAISER_BEST: dict[str, Any] = {
    "resampling_method": "sinc_interp_kaiser", "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596, "beta": 14.769656459379492,
}  # fmt: skip

Resampler: TypeAlias = Callable[[Iterator[np.ndarray], int, int], Iterator[np.ndarray]]
"""Yields float64 blocks at the second rate from blocks at the first; memory does not grow."""


def resampled(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Yields float64 blocks at ``to_hz`` from blocks at ``from_hz`` as VGGish's front end does.

    The result is that of resampling the whole signal at once, whatever the blocks. The usual
    rates are reproduced exactly; a rate whose ratio needs more phases than fit into memory goes
    through soxr.
    """
    up, down = _ratio(from_hz, to_hz)
    if up == down or not _fits(up, down, _reach(up, down)):
        yield from blocks if up == down else _by_soxr(blocks, from_hz, to_hz)
        return
    yield from _streamed(blocks, from_hz, to_hz, _convolution(up, down))


def resampled_by_torchaudio(
    blocks: Iterator[np.ndarray], from_hz: int, to_hz: int
) -> Iterator[np.ndarray]:
    """Yields float64 blocks at ``to_hz`` from blocks at ``from_hz``, see `resampled`."""
    up, down = _ratio(from_hz, to_hz)
    if up == down or not _fits(up, down, _torchaudio_reach(up, down)):
        yield from blocks if up == down else _by_soxr(blocks, from_hz, to_hz)
        return
    yield from _streamed(blocks, from_hz, to_hz, _convolution_of_torchaudio(up, down))


class Convolution:
    """A strided convolution, as matrix products of a kernel's bands without the zeros beside them.

    From 48 to 16 kHz a step gives one sample. So many steps are taken together that what a band
    depends on ends before what it depends on in the next step: a product would copy what overlaps.

    Args:
        kernel: ``(up, down + 2 * reach)``: the weights of the ``up`` samples of a step on its
            ``down`` samples and on ``reach`` samples before and after them.
        down: samples from one step to the next.

    Attributes:
        reach: as above.
        num_in: samples that a product of each band stands for.
        num_out: samples that come out for them.
    """

    def __init__(self, kernel: np.ndarray, down: int) -> None:
        up, size = kernel.shape
        self.reach = (size - down) // 2
        together = _steps_together(up, down, self.reach)
        self.step, self.num_phases = together * down, together * up
        num_bands = -(-self.num_phases // PRODUCT_PHASES)
        phases = np.zeros((num_bands * PRODUCT_PHASES, size - down + self.step))
        for step in range(together):
            columns = slice(step * down, step * down + size)
            phases[step * up : (step + 1) * up, columns] = kernel
        self.bands = [_band(phases, begin) for begin in range(0, len(phases), PRODUCT_PHASES)]
        largest = max(weights.size for _, _, weights in self.bands)
        self.steps = max(1, min(PRODUCT_STEPS, MAX_MULTIPLICATIONS // largest))
        self.num_in, self.num_out = self.steps * self.step, self.steps * self.num_phases

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Returns ``n · num_out`` samples of ``n · num_in + 2 · reach``."""
        num = (len(samples) - 2 * self.reach) // self.num_in
        out = np.empty((num, self.steps, len(self.bands) * PRODUCT_PHASES))
        strides = tuple(8 * each for each in (self.num_in, self.step, 1))
        for rows, first, weights in self.bands:
            shape = (num, self.steps, len(weights))
            seen = np.ndarray(shape, np.float64, samples, 8 * first, strides)
            np.matmul(seen, weights, out=out[:, :, rows])
        return out[:, :, : self.num_phases].reshape(-1)


def _band(kernel: np.ndarray, begin: int) -> tuple[slice, int, np.ndarray]:
    """Returns the phases of a band, its first column, and its weights ``(samples, phases)``."""
    rows = slice(begin, begin + PRODUCT_PHASES)
    columns = np.flatnonzero(kernel[rows].any(axis=0))
    weights = kernel[rows, columns[0] : columns[-1] + 1]
    return rows, int(columns[0]), np.ascontiguousarray(weights.T)


@functools.lru_cache(maxsize=8)
def _convolution(up: int, down: int) -> Convolution:
    return Convolution(_kernel(up, down), down)


@functools.lru_cache(maxsize=8)
def _convolution_of_torchaudio(up: int, down: int) -> Convolution:
    from torchaudio.transforms import Resample

    kernel = Resample(down, up, dtype=torch.float64, **KAISER_BEST).kernel[:, 0].numpy()
    margin = (down + 2 * _torchaudio_reach(up, down) - kernel.shape[1]) // 2
    return Convolution(np.pad(kernel, ((0, 0), (margin, margin))), down)


def _torchaudio_reach(up: int, down: int) -> int:
    """Returns how many samples before and after a step its samples may depend on: whole steps."""
    zeros, rolloff = KAISER_BEST["lowpass_filter_width"], KAISER_BEST["rolloff"]
    steps: float = zeros / (min(up, down) * rolloff)
    return math.ceil(steps) * down


def _streamed(
    blocks: Iterator[np.ndarray], from_hz: int, to_hz: int, convolution: Convolution
) -> Iterator[np.ndarray]:
    """Yields what a convolution makes of a stream.

    Products begin at fixed samples of the stream and always have the same size. So the order in
    which they add up, and with it the last bit, does not depend on where blocks begin and end.
    """
    reach, num_in, num_out = convolution.reach, convolution.num_in, convolution.num_out
    least = max(BLOCK_S * from_hz, num_in + reach)
    held = [np.zeros(reach)]
    received = sent = num_held = 0
    for block in blocks:
        held.append(block)
        received, num_held = received + len(block), num_held + len(block)
        if num_held < least:
            continue
        buffer = np.concatenate(held, dtype=np.float64)
        num = (len(buffer) - 2 * reach) // num_in
        yield convolution(buffer[: num * num_in + 2 * reach])
        held, num_held = [buffer[num * num_in :]], 0
        sent += num * num_out
    buffer = np.concatenate(held, dtype=np.float64)
    missing = received * to_hz // from_hz - sent
    if missing > 0:
        rest = np.zeros(-(-missing // num_out) * num_in + 2 * reach)
        rest[: min(len(buffer), len(rest))] = buffer[: len(rest)]
        yield convolution(rest)[:missing]


def _ratio(from_hz: int, to_hz: int) -> tuple[int, int]:
    """Returns how many samples out stand for how many samples in."""
    divisor = math.gcd(from_hz, to_hz)
    return to_hz // divisor, from_hz // divisor


def _fits(up: int, down: int, reach: int) -> bool:
    together = _steps_together(up, down, reach)
    is_small = up * (down + 2 * reach) <= MAX_KERNEL_ELEMENTS
    return is_small and together * up * (together * down + 2 * reach) <= MAX_MATRIX_ELEMENTS


def _steps_together(up: int, down: int, reach: int) -> int:
    """Returns in how many steps what a band of phases depends on ends before the next one's."""
    widest = 2 * reach + -(-PRODUCT_PHASES * down // up) + 1
    return -(-widest // down)


def _reach(up: int, down: int) -> int:
    """Returns how many input samples before and after it one output sample may depend on."""
    step = int(min(1.0, up / down) * TABLE_STEPS)
    return -(-NUM_ZEROS * TABLE_STEPS // step) + 1


def _kernel(up: int, down: int) -> np.ndarray:
    """Returns ``(up, down + 2 * reach)``: the weights of each output phase on its step's input."""
    scale = min(1.0, up / down)
    window, step, reach = _table() * scale, int(scale * TABLE_STEPS), _reach(up, down)
    slope = np.diff(window, append=window[-1])
    kernel = np.zeros((up, down + 2 * reach))
    for phase in range(up):
        time = phase * down / up
        whole = int(time)
        fraction = scale * (time - whole)
        for side, position in ((-1, fraction), (1, scale - fraction)):
            offset = int(position * TABLE_STEPS)
            weight = position * TABLE_STEPS - offset
            entries = offset + np.arange((len(window) - offset) // step) * step
            first = reach + whole + (0 if side < 0 else 1)
            columns = first + side * np.arange(len(entries))
            kernel[phase, columns] = window[entries] + weight * slope[entries]
    return kernel.astype(np.float64)


@functools.cache
def _table() -> np.ndarray:
    """Returns the right half of the windowed sinc, `TABLE_STEPS` entries per zero crossing."""
    size = TABLE_STEPS * NUM_ZEROS
    sinc = ROLLOFF * np.sinc(ROLLOFF * np.linspace(0, NUM_ZEROS, size + 1))
    return np.kaiser(2 * size + 1, KAISER_BETA)[size:] * sinc


def _by_soxr(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    import soxr

    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float64")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float64), last=True)
