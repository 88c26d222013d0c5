"""Intervals of scores, and paired tests between methods on the same clips."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.resampling import DRAWS, SCORES, resample
from avca_pipeline.errors import FormatError

LEVEL = 0.05
"""A difference is clear if its p-value after Holm's correction is smaller."""
MIN_CLASSES = 5
"""Of fewer classes of a kind, a bootstrap over classes cannot say how much scores vary with them:
its intervals are too narrow."""
MAX_ALL_PAIRS = 16
"""With more methods than these, each is compared with the best one alone: the smallest p-value that
`DRAWS` draws can give would not survive the correction for all pairs."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of shares, from percentiles of the draws."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Two methods in one score.

    Attributes:
        score: its name in `SCORES`.
        first: place of the method that is better, or equally good.
        second: place of the other one.
        difference: by how much, as a share; means over seeds.
        interval: of the difference, for this pair alone.
        p: two-sided p-value of no difference, after Holm's correction for all pairs of this score.
    """

    score: str
    first: int
    second: int
    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Comparison:
    """Several methods on the same test clips.

    Attributes:
        intervals: for each method the interval of each score's mean over seeds; a score that is
            not defined is missing.
        differences: of pairs of methods, of each score that is defined.
        num_clips: numbers of test clips of seen and of unseen classes.
        num_classes: numbers of seen and of unseen classes that have test clips.
    """

    intervals: Sequence[Mapping[str, Interval]]
    differences: Sequence[Difference]
    num_clips: tuple[int, int]
    num_classes: tuple[int, int]

    def is_thin(self, score: str) -> bool:
        """Returns whether a score rests on too few classes for its intervals to be wide enough."""
        seen, unseen = self.num_classes
        of_score = {"seen": seen, "hm": min(seen, unseen)}
        return of_score.get(score, unseen) < MIN_CLASSES

    def is_clear(self, found: Difference) -> bool:
        """Returns whether other classes and clips hardly explain a difference."""
        return found.p < LEVEL and not self.is_thin(found.score)

    def clearly_best(self, score: str) -> int | None:
        """Returns the place of the method that is clearly better than every other one, if any."""
        pairs = [found for found in self.differences if found.score == score]
        for place in range(len(self.intervals)):
            won = {found.second for found in pairs if found.first == place and self.is_clear(found)}
            if pairs and len(won) == len(self.intervals) - 1:
                return place
        return None


def compare(methods: Sequence[Sequence[Answers]], draws: int = DRAWS) -> Comparison:
    """Compares methods by a paired bootstrap over classes and clips (`resampling`).

    The score of a method is the mean over its seeds, in the data as in each draw.

    Args:
        methods: the answers of each seed of each method.
        draws: of the bootstrap.

    Raises:
        FormatError: they do not have the same clips.
    """
    runs = list(itertools.chain.from_iterable(methods))
    _check_same_clips(runs)
    drawn = resample(runs, draws)
    ends = np.cumsum([len(seeds) for seeds in methods])[:-1]
    intervals: list[dict[str, Interval]] = [{} for _ in methods]
    differences: list[Difference] = []
    for score in SCORES:
        reached = [_mean([run.scores()[score] for run in seeds]) for seeds in methods]
        # Of each method ``(draws,)``: the mean over its seeds.
        of_draws = [part.mean(axis=1) for part in np.split(getattr(drawn, score), ends, axis=1)]
        known = [value for value in reached if value is not None]
        if len(known) < len(reached):
            continue
        for place, values in enumerate(of_draws):
            intervals[place][score] = _interval(values)
        differences += _differences(score, known, of_draws)
    first, has_clips = runs[0], runs[0].num_clips > 0
    return Comparison(
        intervals,
        differences,
        (int((~first.of_unseen).sum()), int(first.of_unseen.sum())),
        (int((has_clips & ~first.is_unseen).sum()), int((has_clips & first.is_unseen).sum())),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values after Holm's correction for being several, in the same order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for done, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[place]))
        corrected[place] = largest
    return corrected


def _differences(
    score: str, reached: Sequence[float], of_draws: Sequence[np.ndarray]
) -> list[Difference]:
    """Returns the differences of pairs, in the order of the methods' scores, the best first."""
    order = sorted(range(len(reached)), key=lambda place: -reached[place])
    pairs = list(itertools.combinations(order, 2))
    if len(order) > MAX_ALL_PAIRS:
        pairs = pairs[: len(order) - 1]
    drawn = [of_draws[first] - of_draws[second] for first, second in pairs]
    corrected = holm([_p_value(values) for values in drawn])
    return [
        Difference(score, first, second, reached[first] - reached[second], _interval(values), p)
        for (first, second), values, p in zip(pairs, drawn, corrected, strict=True)
    ]


def _p_value(drawn: np.ndarray) -> float:
    """Returns how rarely a draw is on the other side of no difference, on both sides together."""
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(drawn)))


def _interval(drawn: np.ndarray) -> Interval:
    low, high = np.percentile(drawn, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return Interval(float(low), float(high))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) else None


def _check_same_clips(runs: Sequence[Answers]) -> None:
    first = runs[0]
    for run in runs[1:]:
        is_same = list(run.clip_ids) == list(first.clip_ids)
        if not is_same or _classes(run) != _classes(first):
            raise FormatError(
                "predictions of methods that are compared are of other clips or classes; delete "
                "the older predictions.csv and evaluate again"
            )


def _classes(run: Answers) -> list[tuple[str, bool]]:
    """Returns the class of each clip, and whether it is unseen."""
    names = [run.class_names[column] for column in run.target]
    return list(zip(names, run.of_unseen.tolist(), strict=True))
