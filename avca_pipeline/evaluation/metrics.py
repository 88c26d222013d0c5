"""Scores of generalised zero-shot learning, in NumPy float64, the same on every device.

Conventions: a clip is classified by its nearest class; of equally near ones the first wins. A
class without clips has no accuracy (NaN). Accuracies are shares between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Distances:
    """How far a model sees each clip from each class, ``(clips, classes)`` each.

    Attributes:
        gzsl: decides among all classes.
        zsl: decides among unseen classes; ``None`` if it is the same.
        of_bias: several ways of measuring, if the bias to use is the mean of those that suit each.
    """

    gzsl: np.ndarray
    zsl: np.ndarray | None = None
    of_bias: tuple[np.ndarray, ...] = ()


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
            2016); it makes up for a model's preference for what it was trained on.
        zsl: distances to use among unseen classes only, if they are others.
        skip_empty: leave classes without clips out of the means. The published evaluation does
            not: there one such class makes the mean, and HM, not a number.
    """
    return search_bias(distance, targets, is_unseen, [bias], zsl=zsl, skip_empty=skip_empty)


def search_bias(
    distance: np.ndarray,
    targets: np.ndarray,
    is_unseen: np.ndarray,
    biases: Sequence[float] | np.ndarray = BIASES,
    *,
    zsl: np.ndarray | None = None,
    skip_empty: bool = True,
) -> GzslScores:
    """Returns the scores at the bias with the best harmonic mean; of equal ones the first wins.

    A bias moves all seen classes alike, so that the nearest seen and the nearest unseen class of
    each clip are looked up once and each bias only decides between the two. Published: an HM that
    is not a number counts as the best. Arguments are those of `evaluate`.
    """
    num_classes = distance.shape[1]
    seen_class, seen_distance = _nearest(distance, np.flatnonzero(~is_unseen))
    unseen_class, unseen_distance = _nearest(distance, np.flatnonzero(is_unseen))
    of_unseen = unseen_class if zsl is None else _nearest(zsl, np.flatnonzero(is_unseen))[0]
    zsl_per_class = per_class_accuracy(of_unseen, targets, num_classes)
    zsl_per_class[~is_unseen] = np.nan

    def at(bias: float) -> GzslScores:
        biased = seen_distance + bias
        is_first = (biased == unseen_distance) & (seen_class < unseen_class)
        predicted = np.where((biased < unseen_distance) | is_first, seen_class, unseen_class)
        gzsl = per_class_accuracy(predicted, targets, num_classes)
        seen, unseen = _mean(gzsl[~is_unseen], skip_empty), _mean(gzsl[is_unseen], skip_empty)
        hm = harmonic_mean(seen, unseen)
        zsl_mean = _mean(zsl_per_class[is_unseen], skip_empty)
        return GzslScores(seen, unseen, hm, zsl_mean, bias, gzsl, zsl_per_class)

    candidates = [at(float(bias)) for bias in biases]
    return candidates[int(np.argmax([candidate.hm for candidate in candidates]))]


def search_common_bias(
    several: Iterable[np.ndarray],
    targets: np.ndarray,
    is_unseen: np.ndarray,
    *,
    skip_empty: bool = True,
) -> float:
    """Returns one bias for a method that measures distances in several ways.

    Published: the mean of the biases that suit each of them (from audio alone, from video alone,
    from both), also where their scales differ and it suits none.
    """
    return float(
        np.mean(
            [
                search_bias(distance, targets, is_unseen, skip_empty=skip_empty).bias
                for distance in several
            ]
        )
    )


def calibrate(found: Distances, targets: np.ndarray, is_unseen: np.ndarray) -> GzslScores:
    """Returns the scores at the bias that suits best, with the bias that is to be used later on.

    The two biases differ only for a method that measures in several ways, see
    `search_common_bias`. Arguments are those of `evaluate`.
    """
    scores = search_bias(found.gzsl, targets, is_unseen, zsl=found.zsl)
    if not found.of_bias:
        return scores
    return replace(scores, bias=search_common_bias(found.of_bias, targets, is_unseen))


def chosen_by_attention(audio: np.ndarray, video: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Returns each clip's distances from the modality that a model attends to.

    Args:
        audio: ``(clips, classes)`` distances from audio.
        video: the same from video.
        attention: ``(clips,)`` or ``(clips, 1)``, from 0.5 on to the video.
    """
    return np.where(attention.reshape(-1, 1) >= 0.5, video, audio)


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


def _nearest(distance: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of these columns is least for each clip, the first of equal ones, and it.

    Where there is no column, nothing is ever nearest.
    """
    if not len(columns):
        return np.full(len(distance), -1), np.full(len(distance), np.inf)
    nearest = columns[distance[:, columns].argmin(axis=1)]
    return nearest, distance[np.arange(len(distance)), nearest]


def _mean(accuracies: np.ndarray, skip_empty: bool) -> float:
    if skip_empty:
        accuracies = accuracies[~np.isnan(accuracies)]
    return float(accuracies.mean()) if len(accuracies) else float("nan")
