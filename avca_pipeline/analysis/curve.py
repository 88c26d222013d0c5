"""The seen-unseen curve over all biases, its area (AUSUC), and what calibration costs.

Chao et al.: An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object
Recognition in the Wild (ECCV 2016). The bias runs from minus to plus infinity; each bias gives a
pair of U and S, and AUSUC is the area below S over U, by the trapezoid rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.evaluation.accuracy import EPSILON, harmonic_mean


@dataclass(frozen=True)
class Point:
    """The scores at one bias, as shares."""

    bias: float
    seen: float
    unseen: float

    @property
    def hm(self) -> float:
        """The harmonic mean of both."""
        return harmonic_mean(self.seen, self.unseen)


@dataclass(frozen=True)
class Curve:
    """The scores of a run at every bias.

    Attributes:
        seen: ``(points,)``, S of each stretch of biases within which no answer changes, from the
            lowest bias, at which every clip is taken for a seen class, to the highest.
        unseen: ``(points,)``, U of the same stretches.
        area: AUSUC, from 0 to 1.
        chosen: the scores at the run's bias, which was chosen on validation clips.
        best: the scores at the bias with the highest HM on these test clips. It cannot be known
            before the test and only says what the choice of the bias costs. Of several such
            stretches of biases the lowest; the bias is the middle of the stretch.
    """

    seen: np.ndarray
    unseen: np.ndarray
    area: float
    chosen: Point
    best: Point


def curve(answers: Answers) -> Curve | None:
    """Returns the curve of a run; ``None`` where no seen or no unseen class has test clips."""
    reached = answers.scores()
    if reached["seen"] is None or reached["unseen"] is None:
        return None
    order = np.argsort(answers.margin, kind="stable")
    margin = answers.margin[order]
    # How much of S or U a single clip is: classes weigh alike, and so do the clips of a class.
    weight = _weight_of_clip(answers)[order]
    target, of_unseen = answers.target[order], answers.of_unseen[order]
    loses = np.where(~of_unseen & (answers.nearest_seen[order] == target), weight, 0.0)
    gains = np.where(of_unseen & (answers.nearest_unseen[order] == target), weight, 0.0)
    # Clips with the same margin turn at the same bias.
    last = np.append(np.flatnonzero(np.diff(margin) > 0), len(margin) - 1)
    seen = np.concatenate([[loses.sum()], loses.sum() - np.cumsum(loses)[last]])
    unseen = np.concatenate([[0.0], np.cumsum(gains)[last]])
    seen, unseen = np.clip(seen, 0.0, 1.0), np.clip(unseen, 0.0, 1.0)
    chosen = Point(answers.bias, reached["seen"], reached["unseen"])
    hms = 2 * seen * unseen / (seen + unseen + EPSILON)
    at = int(np.argmax(hms > hms.max() - 1e-12))
    edges = np.concatenate([[margin[0] - 2], margin[last], [margin[-1] + 2]])
    best = Point(float(edges[at : at + 2].mean()), float(seen[at]), float(unseen[at]))
    # Where margins are equal, a bias right between them may be better than all others.
    if chosen.hm >= best.hm - 1e-12:
        best = chosen
    return Curve(seen, unseen, float(np.trapezoid(seen, unseen)), chosen, best)


def _weight_of_clip(answers: Answers) -> np.ndarray:
    """Returns ``(clips,)``: the share of S or U that a clip decides."""
    num_clips = answers.num_clips
    is_there = num_clips > 0
    num_classes = np.where(
        answers.is_unseen,
        (is_there & answers.is_unseen).sum(),
        (is_there & ~answers.is_unseen).sum(),
    )
    weight: np.ndarray = 1.0 / (num_clips * num_classes)[answers.target]
    return weight
