"""Windows: what a backbone sees at once. Pure arithmetic on streams of frames or samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """One network input before preprocessing.

    Attributes:
        data: ``(length, …)`` frames or samples, zero behind the valid ones.
        num_valid: how many of them are real.
        start: number of frames or samples of the clip before the window; the backbone's `Timing`
            says how many are in a second.
    """

    data: np.ndarray
    num_valid: int
    start: float = 0.0


RESTART = Window(np.empty(0), 0)
"""Says that the windows of the clip so far do not count, because it is decoded again."""


def frame_windows(frames: Iterable[np.ndarray], length: int) -> Iterator[Window]:
    """Yields non-overlapping windows of ``length`` frames; the last one is padded with zeros."""
    held: list[np.ndarray] = []
    start = 0
    for frame in frames:
        held.append(frame)
        if len(held) == length:
            yield Window(np.stack(held), length, start)
            held, start = [], start + length
    if held:
        yield _padded(np.stack(held), length, start)


def sample_windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[Window]:
    """Yields windows of ``length`` samples, ``hop`` apart; an incomplete tail is dropped.

    A signal shorter than one window is padded with zeros instead, so that no clip with sound is
    left without features.
    """
    held, start = np.zeros(0), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= length:
            yield Window(held[:length].copy(), length, start)
            held, start = held[hop:], start + hop
    if not start and len(held):
        yield _padded(held, length, start)


def covering_windows(blocks: Iterable[np.ndarray], length: int) -> Iterator[Window]:
    """Yields windows side by side and, if something is left, one more that ends with the signal.

    A signal shorter than one window is padded with zeros.

    Args:
        blocks: of frames or samples along the first axis, of any length.
        length: of a window.
    """
    held: np.ndarray | None = None  # of the signal so far, at least the last window's worth
    fresh = 0  # how much of it has been in no window yet
    start = 0  # of the next window
    for block in blocks:
        held, fresh = block if held is None else np.concatenate([held, block]), fresh + len(block)
        while fresh >= length:
            place = len(held) - fresh
            yield Window(held[place : place + length].copy(), length, start)
            fresh, start = fresh - length, start + length
        held = held[-length:]  # what is fresh is less than that
    if held is None or not fresh:
        return
    if len(held) >= length:
        yield Window(held[-length:], length, start + fresh - length)
    else:
        yield _padded(held, length, start)


def stacked_blocks(frames: Iterable[np.ndarray], length: int) -> Iterator[np.ndarray]:
    """Yields frames stacked along a new first axis, ``length`` at a time and then the rest."""
    remaining = iter(frames)
    while held := list(itertools.islice(remaining, length)):
        yield np.stack(held)


def _padded(data: np.ndarray, length: int, start: float) -> Window:
    missing = [(0, length - len(data))] + [(0, 0)] * (data.ndim - 1)
    return Window(np.pad(data, missing), len(data), start)
