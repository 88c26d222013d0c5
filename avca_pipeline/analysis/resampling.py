"""Two-stage bootstrap: how much scores would vary with other classes and other clips of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.evaluation.accuracy import EPSILON

DRAWS = 10_000
"""Enough for the p-value of a pair to stay below 0.05 after Holm's correction for 120 pairs."""
CELLS_AT_ONCE = 4_000_000
SCORES = ("seen", "unseen", "hm", "zsl")


@dataclass(frozen=True)
class Resampled:
    """Scores of several runs in each draw, ``(draws, runs)`` each, as shares; NaN where undefined.

    All runs have the same classes and clips in a draw, so that differences of two columns are
    paired.
    """

    seen: np.ndarray
    unseen: np.ndarray
    hm: np.ndarray
    zsl: np.ndarray


def resample(runs: Sequence[Answers], draws: int = DRAWS, seed: int = 0) -> Resampled:
    """Returns the scores of runs on resampled classes and clips. The same runs give the same bits.

    In a draw, as many seen and as many unseen classes as have test clips are drawn with
    replacement; for each time that a class is drawn, as many of its clips as it has are drawn with
    replacement. Trainings are not drawn again: networks and biases stay what they are.

    Args:
        runs: one at least, with the same clips in the same order.
        draws: how many.
        seed: of the random numbers.
    """
    generator = np.random.default_rng(seed)
    first = runs[0]
    right = np.array([run.is_right for run in runs]).T
    among_unseen = np.array([run.is_right_among_unseen for run in runs]).T
    seen = _mean_of_classes(generator, first, right, draws, unseen=False)
    both = np.concatenate([right, among_unseen], axis=1)
    of_unseen = _mean_of_classes(generator, first, both, draws, unseen=True)
    unseen, zsl = of_unseen[:, : len(runs)], of_unseen[:, len(runs) :]
    hm = 2 * seen * unseen / (seen + unseen + EPSILON)
    return Resampled(seen, unseen, hm, zsl)


def _mean_of_classes(
    generator: np.random.Generator, clips: Answers, right: np.ndarray, draws: int, *, unseen: bool
) -> np.ndarray:
    """Returns ``(draws, columns)``: mean class accuracy of each column of ``right``."""
    columns = np.flatnonzero((clips.num_clips > 0) & (clips.is_unseen == unseen))
    if not len(columns):
        return np.full((draws, right.shape[1]), np.nan)
    times = generator.multinomial(len(columns), np.full(len(columns), 1 / len(columns)), draws)
    total = np.zeros((draws, right.shape[1]))
    for place, column in enumerate(columns):
        of_class = right[clips.target == column].astype(np.float32)
        at_once = max(1, CELLS_AT_ONCE // len(of_class))
        for start in range(0, draws, at_once):
            block = slice(start, start + at_once)
            total[block] += _right(generator, of_class, times[block, place]) / len(of_class)
    return total / len(columns)


def _right(generator: np.random.Generator, right: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Returns ``(draws, columns)``: of the clips that were drawn, how many are right.

    Args:
        generator: of random numbers.
        right: ``(clips, columns)`` float32 of ones and zeros, of one class.
        times: ``(draws,)``, how often the class was drawn: its clips are drawn so often anew.
    """
    num_clips = len(right)
    num_drawn = times * num_clips
    clip = generator.integers(num_clips, size=int(num_drawn.sum()), dtype=np.int32)
    cell = np.repeat(np.arange(len(times)) * num_clips, num_drawn) + clip
    counts = np.bincount(cell, minlength=len(times) * num_clips).reshape(len(times), num_clips)
    # Sums of small whole numbers: float32 is exact, in any order.
    sums: np.ndarray = counts.astype(np.float32) @ right
    return sums.astype(np.float64)
