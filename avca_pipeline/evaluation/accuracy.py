"""Scores of generalised zero-shot learning, in NumPy float64, the same on every device.

Conventions: a clip is classified by its nearest class; of equally near classes the first wins. A
class without clips has no accuracy (NaN). Accuracies are shares between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Keeps the harmonic mean of two zeros at zero, as in the published evaluation.
EPSILON = np.finfo(np.float64).eps
BLOCK_CLIPS = 4096


@dataclass(frozen=True)
class GzslScores:
    """Scores of one set of clips.

    Attributes:
        seen: S, mean class accuracy of the seen classes among all classes.
        unseen: U, the same of the unseen classes.
        hm: their harmonic mean.
        zsl: mean class accuracy of the unseen classes among unseen classes only.
        bias: the number that was added to the distance of every seen class.
        gzsl_per_class: ``(classes,)`` accuracy among all classes.
        zsl_per_class: ``(classes,)`` accuracy among unseen classes; NaN for seen classes.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    bias: float
    gzsl_per_class: np.ndarray
    zsl_per_class: np.ndarray


def per_class_accuracy(predicted: np.ndarray, targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns ``(classes,)``: of each class's clips, the share that was predicted as that class."""
    total = np.bincount(targets, minlength=num_classes)
    right = np.bincount(targets[predicted == targets], minlength=num_classes)
    return np.where(total > 0, right / np.maximum(total, 1), np.nan)


def harmonic_mean(seen: float, unseen: float) -> float:
    """Returns the harmonic mean of two accuracies; 0 if both are 0."""
    return 2 * seen * unseen / (seen + unseen + EPSILON)


def evaluate(
    distance: np.ndarray,
    targets: np.ndarray,
    is_unseen: np.ndarray,
    bias: float,
    *,
    zsl: np.ndarray | None = None,
    skip_empty: bool = True,
) -> GzslScores:
    """Returns the scores at a given bias; zero is a bias like any other.

    Args:
        distance: ``(clips, classes)``, of every clip to every class.
        targets: ``(clips,)``, the column of each clip's own class.
        is_unseen: ``(classes,)``.
        bias: added to the distance of every seen class (calibrated stacking, Chao et al., ECCV
            2016); it makes up for a model's preference for the classes that it was trained on.
        zsl: distances to use among unseen classes only, if they differ from ``distance``.
        skip_empty: leave classes without clips out of the means. The published evaluation does
            not: there one such class makes the mean, and HM, not a number.
    """
    (scores,) = evaluate_biases(
        distance, targets, is_unseen, [bias], zsl=zsl, skip_empty=skip_empty
    )
    return scores


def evaluate_biases(
    distance: np.ndarray,
    targets: np.ndarray,
    is_unseen: np.ndarray,
    biases: Sequence[float] | np.ndarray,
    *,
    zsl: np.ndarray | None,
    skip_empty: bool,
) -> list[GzslScores]:
    """Returns the scores at each of several biases.

    A bias moves all seen classes alike. So the nearest seen and the nearest unseen class of each
    clip are looked up once, and each bias only decides between the two. Arguments are those of
    `evaluate`.
    """
    num_classes = distance.shape[1]
    unseen_columns = np.flatnonzero(is_unseen)
    seen_class, seen_distance = _nearest(distance, np.flatnonzero(~is_unseen))
    unseen_class, unseen_distance = _nearest(distance, unseen_columns)
    zsl_class = unseen_class if zsl is None else _nearest(zsl, unseen_columns)[0]
    zsl_per_class = per_class_accuracy(zsl_class, targets, num_classes)
    zsl_per_class[~is_unseen] = np.nan

    def scores_at(bias: float) -> GzslScores:
        biased = seen_distance + bias
        is_first = (biased == unseen_distance) & (seen_class < unseen_class)
        predicted = np.where((biased < unseen_distance) | is_first, seen_class, unseen_class)
        gzsl = per_class_accuracy(predicted, targets, num_classes)
        seen, unseen = _mean(gzsl[~is_unseen], skip_empty), _mean(gzsl[is_unseen], skip_empty)
        hm = harmonic_mean(seen, unseen)
        zsl_mean = _mean(zsl_per_class[is_unseen], skip_empty)
        return GzslScores(seen, unseen, hm, zsl_mean, bias, gzsl, zsl_per_class)

    return [scores_at(float(bias)) for bias in biases]


@dataclass(frozen=True)
class Chance:
    """Scores that guessing without looking at a clip reaches, on average over clips."""

    seen: float
    unseen: float
    hm: float
    zsl: float


def chance(num_seen: int, num_unseen: int) -> Chance:
    """Returns the chance level of each score.

    S, U and ZSL are those of a uniform guess: among all classes, and among the unseen classes. HM
    is the best that guessing can reach when it may prefer unseen classes as calibrated stacking
    does: guessing "seen" with probability ``p`` gives ``S = p/s`` and ``U = (1-p)/u``, whose
    harmonic mean is largest, ``2/(sqrt(s)+sqrt(u))**2``, a little above the uniform guess's
    ``1/(s+u)``.
    """
    return Chance(
        seen=1 / (num_seen + num_unseen),
        unseen=1 / (num_seen + num_unseen),
        hm=2 / (np.sqrt(num_seen) + np.sqrt(num_unseen)) ** 2,
        zsl=1 / num_unseen,
    )


def _nearest(distance: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of these columns is least for each clip, and the distance in that column.

    Of equal columns the first is returned. Where there is no column, nothing is ever nearest.
    """
    if not len(columns):
        return np.full(len(distance), -1), np.full(len(distance), np.inf)
    nearest = np.empty(len(distance), np.int64)
    for first in range(0, len(distance), BLOCK_CLIPS):
        rows = slice(first, first + BLOCK_CLIPS)
        nearest[rows] = columns[distance[rows, columns].argmin(axis=1)]
    return nearest, distance[np.arange(len(distance)), nearest]


def _mean(accuracies: np.ndarray, skip_empty: bool) -> float:
    if skip_empty:
        accuracies = accuracies[~np.isnan(accuracies)]
    return float(accuracies.mean()) if len(accuracies) else float("nan")
