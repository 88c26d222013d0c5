"""Scores of generalised zero-shot learning, in NumPy float64, the same on every device.

Conventions: a clip is classified by its nearest class; of equally near ones the first wins. A
class without clips has no accuracy (NaN). Accuracies are shares between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Keeps the harmonic mean of two zeros at zero, as in the published evaluation.
EPSILON = np.finfo(np.float64).eps
BIASES = np.linspace(0.0, 3.0, 16)
"""The biases of calibrated stacking that the published code tries."""


@dataclass(frozen=True)
class GzslScores:
    """Scores of one set of clips.

    Attributes:
        seen: S, mean class accuracy of the seen classes among all classes.
        unseen: U, the same of the unseen classes.
        hm: their harmonic mean.
        zsl: mean class accuracy of the unseen classes among unseen classes only.
        bias: what was added to the distance of every seen class.
        gzsl_per_class: ``(classes,)`` accuracy among all classes.
        zsl_per_class: ``(classes,)`` accuracy among unseen classes; NaN for seen ones.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    bias: float
    gzsl_per_class: np.ndarray
    zsl_per_class: np.ndarray


def distances(clips: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns ``(clips, classes)`` Euclidean distances between rows, in float64.

    Computed from differences, not from the expanded square, whose cancellation can swap classes
    that are nearly equally far.
    """
    clips, classes = clips.astype(np.float64), classes.astype(np.float64)
    out = np.empty((len(clips), len(classes)))
    for column, vector in enumerate(classes):
        difference = clips - vector
        out[:, column] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return out


def per_class_accuracy(predicted: np.ndarray, targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns ``(classes,)``: of each class's clips, the share that was predicted as that class."""
    total = np.bincount(targets, minlength=num_classes)
    right = np.bincount(targets[predicted == targets], minlength=num_classes)
    with np.errstate(invalid="ignore"):
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
    skip_empty: bool = True,
) -> GzslScores:
    """Returns the scores at a given bias.

    Args:
        distance: ``(clips, classes)``, of every clip to every class.
        targets: ``(clips,)``, the column of each clip's own class.
        is_unseen: ``(classes,)``.
        bias: added to the distance of every seen class (calibrated stacking, Chao et al., ECCV
            2016); it makes up for a model's preference for what it was trained on.
        skip_empty: leave classes without clips out of the means. The published evaluation does
            not: there one such class makes the mean, and HM, not a number.
    """
    num_classes = distance.shape[1]
    biased = np.where(is_unseen, distance, distance + bias)
    gzsl = per_class_accuracy(biased.argmin(axis=1), targets, num_classes)
    seen, unseen = _mean(gzsl[~is_unseen], skip_empty), _mean(gzsl[is_unseen], skip_empty)

    columns = np.flatnonzero(is_unseen)
    zsl = np.full(num_classes, np.nan)
    if len(columns):
        of_unseen = is_unseen[targets]
        nearest = columns[distance[np.ix_(of_unseen, columns)].argmin(axis=1)]
        accuracy = per_class_accuracy(nearest, targets[of_unseen], num_classes)
        zsl[columns] = accuracy[columns]
    hm = harmonic_mean(seen, unseen)
    return GzslScores(seen, unseen, hm, _mean(zsl[is_unseen], skip_empty), float(bias), gzsl, zsl)


def search_bias(
    distance: np.ndarray,
    targets: np.ndarray,
    is_unseen: np.ndarray,
    biases: Sequence[float] | np.ndarray = BIASES,
    *,
    skip_empty: bool = True,
) -> GzslScores:
    """Returns the scores at the bias with the best harmonic mean; of equal ones the first wins."""
    candidates = [
        evaluate(distance, targets, is_unseen, float(bias), skip_empty=skip_empty)
        for bias in biases
    ]
    return candidates[int(np.argmax([candidate.hm for candidate in candidates]))]


@dataclass(frozen=True)
class Chance:
    """What guessing without looking at a clip reaches, on average over clips."""

    seen: float
    unseen: float
    hm: float
    zsl: float


def chance(num_seen: int, num_unseen: int) -> Chance:
    """Returns the chance level of each score.

    S, U and ZSL are those of a uniform guess: among all classes, and among the unseen ones. HM is
    the best that guessing can reach when it may prefer unseen classes as calibrated stacking
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


def _mean(accuracies: np.ndarray, skip_empty: bool) -> float:
    if skip_empty:
        accuracies = accuracies[~np.isnan(accuracies)]
    return float(accuracies.mean()) if len(accuracies) else float("nan")
