"""Resampling of a stream: by torchaudio, and as the published VGGish front end did it.

The front end calls resampy's ``kaiser_best``. That is a windowed sinc read from a table with
linear interpolation, and its step through the table is truncated to a whole number, which other
resamplers do not do: torchaudio's kernel with the same parameters is 89 dB away at 44.1 kHz but
only 46 dB at 48 kHz, soxr 30 to 37 dB. The same arithmetic, written as one strided convolution
per block, agrees to rounding and needs no just-in-time compiler.

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
BLOCK_S = 2.0

# Phases of a kernel that are computed together, and steps that torch's products take at a time.
BAND_PHASES = 40
EVEN_STEPS = 24

# Samples that are computed together where a step gives few.
GROUPED_SAMPLES = 64

# torchaudio's name for resampy's kaiser_best; its own default passes more of what is mirrored.
KAISER_BEST: dict[str, Any] = {
    "resampling_method": "sinc_interp_kaiser", "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596, "beta": 14.769656459379492,
}  # fmt: skip

Convolution: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Gives ``up`` samples for each step of ``down`` samples in ``(steps · down + margin)`` samples."""

Resampler: TypeAlias = Callable[[Iterator[np.ndarray], int, int], Iterator[np.ndarray]]
"""Yields float64 blocks at the second rate from blocks at the first; memory does not grow."""


def resampled(blocks: Iterator[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Yields float64 blocks at ``to_hz`` from blocks at ``from_hz`` as VGGish's front end does.

    The result is that of resampling the whole signal at once, whatever the blocks. The usual
    rates are reproduced exactly; a rate whose ratio needs more phases than fit into memory goes
    through soxr.
    """
    up, down = _ratio(from_hz, to_hz)
    reach = _reach(up, down)
    if up == down or not _fits(up, down, reach):
        yield from blocks if up == down else _by_soxr(blocks, from_hz, to_hz)
        return
    kernel = torch.from_numpy(_kernel(up, down))
    bands = _bands(kernel, down)
    convolved = _in_bands(kernel, bands, down) if bands else _several_steps(kernel, down)
    yield from _streamed(blocks, from_hz, to_hz, reach, convolved)


def resampled_by_torchaudio(
    blocks: Iterator[np.ndarray], from_hz: int, to_hz: int
) -> Iterator[np.ndarray]:
    """Yields float64 blocks at ``to_hz`` from blocks at ``from_hz``, see `resampled`."""
    up, down = _ratio(from_hz, to_hz)
    zeros, rolloff = KAISER_BEST["lowpass_filter_width"], KAISER_BEST["rolloff"]
    width = math.ceil(zeros * down / (min(up, down) * rolloff))
    # In whole steps, so that what comes out of them can be cut off.
    steps = -(-width // down)
    if up == down or not _fits(up, down, steps * down):
        yield from blocks if up == down else _by_soxr(blocks, from_hz, to_hz)
        return
    from torchaudio.transforms import Resample

    kernel = Resample(down, up, dtype=torch.float64, **KAISER_BEST).kernel[:, 0]
    margin = steps * down - (kernel.shape[1] - down) // 2
    one_block = _several_steps(kernel, down)

    def convolved(samples: torch.Tensor) -> torch.Tensor:
        return one_block(samples[margin : len(samples) - margin])

    yield from _streamed(blocks, from_hz, to_hz, steps * down, convolved)


def _in_bands(
    kernel: torch.Tensor, bands: list[tuple[slice, int, torch.Tensor]], down: int
) -> Convolution:
    """Returns the convolution with a kernel ``(up, down + margin)``, by products of its bands."""

    def convolved(samples: torch.Tensor) -> torch.Tensor:
        steps = (len(samples) - kernel.shape[1]) // down + 1
        num_even = _num_even(steps)
        out = torch.empty(len(kernel), steps, dtype=torch.float64)
        for rows, first, weights in bands:
            size = weights.shape[1], num_even
            torch.mm(weights, samples.as_strided(size, (1, down), first), out=out[rows, :num_even])
        if num_even < steps:
            rest = samples[None, None, num_even * down :]
            out[:, num_even:] = torch.nn.functional.conv1d(rest, kernel[:, None], stride=down)[0]
        return out.T.reshape(-1)

    return convolved


def _several_steps(kernel: torch.Tensor, down: int) -> Convolution:
    """Returns the convolution with a kernel ``(up, down + margin)`` as one of many phases.

    From 48 to 16 kHz a step gives one sample, and torch copies all that this depends on for it
    alone. Several steps at once depend on little more.
    """
    up, size = kernel.shape
    num = max(1, min(GROUPED_SAMPLES // up, size // down))
    wide = torch.zeros(num, up, size + (num - 1) * down, dtype=kernel.dtype)
    for step in range(num):
        wide[step, :, step * down : step * down + size] = kernel
    wide = wide.reshape(num * up, 1, -1)

    def convolved(samples: torch.Tensor) -> torch.Tensor:
        steps = (len(samples) - size) // down + 1
        padded = torch.nn.functional.pad(samples, (0, -steps % num * down))
        out = torch.nn.functional.conv1d(padded[None, None], wide, stride=num * down)[0]
        return out.T.reshape(-1)[: steps * up]

    return convolved


def _bands(kernel: torch.Tensor, down: int) -> list[tuple[slice, int, torch.Tensor]]:
    """Returns a kernel with many phases in bands, without the zeros beside them.

    Args:
        kernel: ``(phases, samples)``.
        down: samples from one step to the next.

    Returns:
        Of each band its phases, its first column, and its weights. None where phases do not make
        whole bands, or where steps overlap in a band: a product would copy what they share.
    """
    bands = []
    for begin in range(0, 0 if len(kernel) % BAND_PHASES else len(kernel), BAND_PHASES):
        band = kernel[begin : begin + BAND_PHASES]
        columns = band.any(0).nonzero()[:, 0]
        first, last = int(columns[0]), int(columns[-1])
        rows = slice(begin, begin + len(band))
        bands.append((rows, first, band[:, first : last + 1].contiguous()))
    return bands if all(weights.shape[1] <= down for _, _, weights in bands) else []


def _num_even(steps: int) -> int:
    """Returns for how many steps products of bands add as one convolution does, to the bit.

    Matrix products take `EVEN_STEPS` columns at a time and add to each in turn. To the columns that
    are left over they add in another order, which depends on where the band begins. (A single
    column would be yet another case.)
    """
    left = steps % EVEN_STEPS
    return max(0, steps - left - (EVEN_STEPS if left == 1 else 0))


def _streamed(
    blocks: Iterator[np.ndarray],
    from_hz: int,
    to_hz: int,
    reach: int,
    convolved: Convolution,
) -> Iterator[np.ndarray]:
    """Yields what a convolution makes of a stream.

    Args:
        blocks: of any length.
        from_hz: rate of the blocks.
        to_hz: rate of what is yielded.
        reach: how many samples before and after a step of ``down`` samples its ``up`` samples
            depend on.
        convolved: with a margin of ``2 · reach``.
    """
    up, down = _ratio(from_hz, to_hz)
    steps_per_block = max(1, int(BLOCK_S * math.gcd(from_hz, to_hz)))
    buffer = np.zeros(reach, np.float64)
    received = sent = 0
    for block in blocks:
        received += len(block)
        buffer = np.concatenate([buffer, block.astype(np.float64, copy=False)])
        steps = (len(buffer) - 2 * reach) // down
        if steps < steps_per_block:
            continue
        yield _computed(convolved, buffer[: steps * down + 2 * reach])
        buffer, sent = buffer[steps * down :], sent + steps * up
    total = received * to_hz // from_hz
    steps = -(-(total - sent) // up)
    if steps > 0:
        rest = np.zeros(steps * down + 2 * reach, np.float64)
        rest[: min(len(buffer), len(rest))] = buffer[: len(rest)]
        yield _computed(convolved, rest)[: total - sent]


def _computed(convolved: Convolution, samples: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return convolved(torch.from_numpy(samples)).numpy()


def _ratio(from_hz: int, to_hz: int) -> tuple[int, int]:
    """Returns how many samples out stand for how many samples in."""
    divisor = math.gcd(from_hz, to_hz)
    return to_hz // divisor, from_hz // divisor


def _fits(up: int, down: int, reach: int) -> bool:
    return up * (down + 2 * reach) <= MAX_KERNEL_ELEMENTS


def _reach(up: int, down: int) -> int:
    """Returns how many input samples before and after it one output sample may depend on."""
    step = int(min(1.0, up / down) * TABLE_STEPS)
    return -(-NUM_ZEROS * TABLE_STEPS // step) + 1


@functools.lru_cache(maxsize=8)
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
