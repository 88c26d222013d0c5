"""Calibrated stacking: the choice of the bias that is added to the distance of seen classes.

Chao et al.: An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object
Recognition in the Wild (ECCV 2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from avca_pipeline.evaluation.accuracy import GzslScores, evaluate_biases
from avca_pipeline.evaluation.distances import Distances

BIASES = np.linspace(0.0, 3.0, 16)
"""The biases that the published code tries."""


def search_bias(
    distance: np.ndarray,
    targets: np.ndarray,
    is_unseen: np.ndarray,
    biases: Sequence[float] | np.ndarray = BIASES,
    *,
    zsl: np.ndarray | None = None,
    skip_empty: bool = True,
) -> GzslScores:
    """Returns the scores at the bias with the best harmonic mean; of equal biases the first wins.

    Published: an HM that is not a number counts as the best. Arguments are those of
    `accuracy.evaluate`.
    """
    scores = evaluate_biases(distance, targets, is_unseen, biases, zsl=zsl, skip_empty=skip_empty)
    return scores[int(np.argmax([at_one_bias.hm for at_one_bias in scores]))]


def search_common_bias(
    ways: Iterable[np.ndarray],
    targets: np.ndarray,
    is_unseen: np.ndarray,
    biases: Sequence[float] | np.ndarray = BIASES,
    *,
    skip_empty: bool = True,
) -> float:
    """Returns one bias for a method that measures distances in several ways.

    Published: the mean of the biases that suit each way (from audio alone, from video alone,
    from both), also where their scales differ and the mean suits none of them.
    """
    best = [
        search_bias(distance, targets, is_unseen, biases, skip_empty=skip_empty).bias
        for distance in ways
    ]
    return float(np.mean(best))


def calibrate(distances: Distances, targets: np.ndarray, is_unseen: np.ndarray) -> GzslScores:
    """Returns the scores at the bias that suits best, with the bias that is to be used later on.

    The two biases differ only for a method that measures in several ways, see
    `search_common_bias`. Arguments are those of `accuracy.evaluate`.
    """
    biases = BIASES if distances.biases is None else distances.biases
    scores = search_bias(distances.gzsl, targets, is_unseen, biases, zsl=distances.zsl)
    if not distances.for_calibration:
        return scores
    bias = search_common_bias(distances.for_calibration, targets, is_unseen, biases)
    return replace(scores, bias=bias)
