"""``history.json``, what each epoch of a training reached; ``selection.json``, what it led to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from avca_pipeline.artifacts import typed_json
from avca_pipeline.artifacts.typed_json import STRICT
from avca_pipeline.errors import FormatError

HISTORY_VERSION = 1
SELECTION_VERSION = 1


@dataclass(frozen=True)
class ValidationScores:
    """Scores on the validation clips, as shares from 0 to 1.

    Attributes:
        seen: S, the mean class accuracy of seen classes.
        unseen: U, that of unseen classes.
        hm: HM, the harmonic mean of S and U.
        zsl: the mean class accuracy of unseen classes among themselves.
        bias: what is added to the distances of seen classes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    seen: float
    unseen: float
    hm: float
    zsl: float
    bias: float


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training.

    Attributes:
        epoch: its number, from 0 on.
        losses: name of each term of the loss to its mean over the epoch.
        val: scores after the epoch; ``None`` in stage 2 where nothing after it depends on them.
        learning_rate: with which the epoch was trained.
        duration_s: how long it took.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    epoch: int
    losses: dict[str, float]
    val: ValidationScores | None
    learning_rate: float
    duration_s: float


@dataclass(frozen=True)
class History:
    """All epochs of the training of one candidate.

    Attributes:
        candidate: its name.
        best_epoch: index of the epoch whose network was kept: in stage 1 the one with the best
            validation HM, in stage 2 the last one.
        epochs: in their order.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    candidate: str
    best_epoch: int
    epochs: tuple[Epoch, ...]

    @property
    def vals(self) -> tuple[ValidationScores, ...]:
        """The validation scores of the epochs; in stage 1 each epoch has them."""
        return tuple(epoch.val for epoch in self.epochs if epoch.val is not None)

    @property
    def best(self) -> ValidationScores:
        """The validation scores of the epoch that stage 1 kept."""
        return self.vals[self.best_epoch]


@dataclass(frozen=True)
class Selection:
    """The candidate and the epoch with the best validation HM of a run.

    Attributes:
        candidate: its name.
        epoch: index of the epoch.
        bias: the best bias on validation after that epoch.
        val: scores after that epoch.
        num_candidates: how many candidates there were.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    candidate: str
    epoch: int
    bias: float
    val: ValidationScores
    num_candidates: int


def write_history(path: Path, value: History) -> None:
    """Writes a history."""
    typed_json.write(path, value, HISTORY_VERSION)


def read_history(path: Path) -> History:
    """Reads a history of stage 1.

    Raises:
        FormatError: not a history of this version, its best epoch is not among its epochs, or an
            epoch has no validation scores.
    """
    history = typed_json.read(path, History, HISTORY_VERSION)
    if not 0 <= history.best_epoch < len(history.epochs):
        raise FormatError(
            f"{path}: best_epoch is {history.best_epoch}, but there are {len(history.epochs)} "
            "epochs; delete the file and run again to rebuild it"
        )
    if len(history.vals) != len(history.epochs):
        raise FormatError(
            f"{path}: an epoch has no validation scores; delete the file and run again to "
            "rebuild it"
        )
    return history


def write_selection(path: Path, value: Selection) -> None:
    """Writes a selection."""
    typed_json.write(path, value, SELECTION_VERSION)


def read_selection(path: Path) -> Selection:
    """Reads a selection.

    Raises:
        FormatError: not a selection of this version.
    """
    return typed_json.read(path, Selection, SELECTION_VERSION)
