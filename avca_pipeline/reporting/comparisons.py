"""Which method is better, in words: intervals of each row, and tests between rows of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.comparison import (
    MIN_CLASSES,
    Comparison,
    Difference,
    Interval,
    compare,
)
from avca_pipeline.artifacts.run import BOTH, Run
from avca_pipeline.reporting.tables import TITLES, Row

IN_WORDS = ("hm", "zsl")
"""Scores whose differences are put into words."""


@dataclass(frozen=True)
class ComparedRows:
    """The rows of a group, which were scored on the same clips.

    Attributes:
        rows: the rows.
        found: their intervals and differences; a method is a place in ``rows``.
    """

    rows: Sequence[Row]
    found: Comparison

    @property
    def title(self) -> str:
        """What the rows have in common, in one line."""
        return " · ".join(self.rows[0].group)

    @property
    def evidence(self) -> str:
        """How many clips and classes the numbers rest on, in words."""
        (seen, unseen), (seen_classes, unseen_classes) = (
            self.found.num_clips,
            self.found.num_classes,
        )
        return (
            f"{_counted(seen, 'clip')} of {_counted(seen_classes, 'seen class')} and "
            f"{_counted(unseen, 'clip')} of {_counted(unseen_classes, 'unseen class')}"
        )

    @property
    def warning(self) -> str:
        """What to know where there are few classes, in words; empty where there are enough."""
        kinds = zip(("seen", "unseen"), self.found.num_classes, strict=True)
        few = [
            f"{_counted(number, f'{kind} class')}" for kind, number in kinds if number < MIN_CLASSES
        ]
        if not few:
            return ""
        return (
            f"{' and '.join(few)} cannot show how scores vary with classes: fewer than "
            f"{MIN_CLASSES} make intervals too narrow, and no difference that rests on them is "
            "called clear."
        )

    def sentences(self, score: str) -> list[str]:
        """Returns how the row with the highest score compares with every other row, in words."""
        found = [one for one in self.found.differences if one.score == score]
        return [self.sentence(one) for one in found if one.first == found[0].first]

    def sentence(self, found: Difference) -> str:
        """Returns a difference in words."""
        first, second = name_of(self.rows[found.first]), name_of(self.rows[found.second])
        low, high = points(found.interval.low), points(found.interval.high)
        evidence = f"95 % interval {low} to {high}, {p_in_words(found.p)} after Holm"
        size = f"{points(found.difference)} {TITLES[found.score]}"
        if self.found.is_clear(found):
            return f"{first} is better than {second} by {size} ({evidence})."
        return f"{first} and {second} do not differ clearly: by {size} ({evidence})."


def compared(rows: Sequence[Row], answers: Mapping[Run, Answers]) -> list[ComparedRows]:
    """Returns the groups of a table with intervals and tests.

    A row's interval of a score is ``of.found.intervals[place]["hm"]``, where ``of`` is its group
    and ``place`` its place in ``of.rows``; `intervals` has them by the identity of the row. The row
    that is clearly the best is ``of.rows[of.found.clearly_best("hm")]``, where that is no ``None``.

    Args:
        rows: the table.
        answers: of each run.

    Raises:
        FormatError: rows of a group were scored on other clips.
    """
    return [
        ComparedRows(group, compare([[answers[run.run] for run in row.runs] for row in group]))
        for group in (list(some) for _, some in groupby(rows, key=lambda row: row.group))
    ]


def intervals(groups: Sequence[ComparedRows]) -> dict[tuple[str, ...], Mapping[str, Interval]]:
    """Returns score to 95 % interval by identity of the row; what is not defined is missing."""
    return {
        row.identity: found
        for group in groups
        for row, found in zip(group.rows, group.found.intervals, strict=True)
    }


def clearly_best(groups: Sequence[ComparedRows], score: str) -> set[tuple[str, ...]]:
    """Returns identities of rows that are better in a score than every other row of their group.

    Better means a p-value below 0.05 after Holm's correction against each of them.
    """
    places = [(group, group.found.clearly_best(score)) for group in groups]
    return {group.rows[place].identity for group, place in places if place is not None}


def name_of(row: Row) -> str:
    """Returns what tells a row from others of its group."""
    *_, model, modalities = row.identity
    return model if modalities == BOTH else f"{model} ({modalities} alone)"


def points(share: float) -> str:
    """Returns a share in points, ``"4.1"`` for 0.041, with a minus sign where it is negative."""
    return f"{100 * share:.1f}".replace("-0.0", "0.0").replace("-", "−")


def p_in_words(p: float) -> str:
    """Returns a p-value as in ``"p = 0.004"``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _counted(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
