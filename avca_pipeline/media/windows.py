"""Windows: what a backbone sees at once. Pure arithmetic on streams of frames or samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """One network input before preprocessing.

    Attributes:
        data: ``(length, …)`` frames or samples, zero behind the valid ones.
        num_valid: how many of them are real.
    """

    data: np.ndarray
    num_valid: int


def of_frames(frames: Iterable[np.ndarray], length: int) -> Iterator[Window]:
    """Yields non-overlapping windows of ``length`` frames; the last one is padded with zeros."""
    held: list[np.ndarray] = []
    for frame in frames:
        held.append(frame)
        if len(held) == length:
            yield Window(np.stack(held), length)
            held = []
    if held:
        data = np.zeros((length, *held[0].shape), held[0].dtype)
        data[: len(held)] = held
        yield Window(data, len(held))


def of_samples(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[Window]:
    """Yields windows of ``length`` samples, ``hop`` apart; an incomplete tail is dropped.

    A signal shorter than one window is padded with zeros instead, so that no clip with sound is
    left without features.
    """
    held, yielded = np.zeros(0), False
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= length:
            yield Window(held[:length].copy(), length)
            held, yielded = held[hop:], True
    if not yielded and len(held):
        yield Window(np.pad(held, (0, length - len(held))), len(held))
