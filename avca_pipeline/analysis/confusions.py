"""What test clips are taken for: the flow between seen and unseen classes, pairs, and hubs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avca_pipeline.analysis.answers import Answers

HUB_FACTOR = 2
HUB_MIN_WRONG = 5
"""A hub is a class that is the answer for at least `HUB_FACTOR` times as many clips as it has, and
for at least `HUB_MIN_WRONG` clips of other classes."""


@dataclass(frozen=True)
class Flow:
    """Where the clips of one kind of class go, in numbers of clips; the four add up to ``total``.

    Attributes:
        right: taken for their own class.
        same_kind: taken for another class of the same kind, seen or unseen.
        other_kind: taken for a class of the other kind.
    """

    right: int
    same_kind: int
    other_kind: int

    @property
    def total(self) -> int:
        """All clips of this kind."""
        return self.right + self.same_kind + self.other_kind


@dataclass(frozen=True)
class Pair:
    """The clips of one class that are taken for another one; both as columns."""

    target: int
    answered: int
    num_clips: int


@dataclass(frozen=True)
class Hub:
    """A class that attracts many more clips than it has.

    Attributes:
        column: the class.
        num_own: test clips that it has.
        num_answered: test clips that are taken for it.
        num_wrong: of these, clips of other classes.
    """

    column: int
    num_own: int
    num_answered: int
    num_wrong: int


def flow(answers: Answers, *, unseen: bool) -> Flow:
    """Returns where the clips of unseen classes go, or those of seen ones."""
    meant = answers.of_unseen == unseen
    crosses = answers.is_unseen[answers.answered] != answers.of_unseen
    right = int((meant & answers.is_right).sum())
    other = int((meant & crosses).sum())
    return Flow(right, int(meant.sum()) - right - other, other)


def matrix(answers: Answers) -> np.ndarray:
    """Returns ``(classes, classes)``: clips of the row's class taken for the column's."""
    num_classes = len(answers.class_names)
    cells = answers.target * num_classes + answers.answered
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def pairs(counts: np.ndarray) -> list[Pair]:
    """Returns all confusions, the largest first; of equally large ones in the order of the classes.

    Args:
        counts: from `matrix`.
    """
    found = [
        Pair(int(target), int(answered), int(counts[target, answered]))
        for target, answered in np.argwhere(counts)
        if target != answered
    ]
    return sorted(found, key=lambda pair: (-pair.num_clips, pair.target, pair.answered))


def hubs(counts: np.ndarray) -> list[Hub]:
    """Returns the hubs, the one with the most clips of other classes first.

    Args:
        counts: from `matrix`.
    """
    own, answered, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    is_hub = (answered >= HUB_FACTOR * own) & (answered - right >= HUB_MIN_WRONG)
    found = [
        Hub(int(column), int(own[column]), int(answered[column]), int((answered - right)[column]))
        for column in np.flatnonzero(is_hub)
    ]
    return sorted(found, key=lambda hub: (-hub.num_wrong, hub.column))
