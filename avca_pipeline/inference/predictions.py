"""Answers: which class each video is nearest to, and how far it is from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from avca_pipeline.artifacts import spreadsheets
from avca_pipeline.artifacts.answers import RankedClass
from avca_pipeline.artifacts.frames import frame
from avca_pipeline.errors import one_line
from avca_pipeline.inference.parts import Part

COLUMNS = ("video", "start_s", "end_s", "rank", "class", "seen", "distance", "score", "reason")


@dataclass(frozen=True, repr=False)
class Prediction:
    """What was found of one video, or of a stretch of it.

    Attributes:
        video: as it was asked for.
        start_s: beginning of the stretch in seconds; ``None`` for that of the video.
        end_s: its end; ``None`` for that of the video.
        ranking: the nearest classes, the nearest first; empty if the video cannot be used.
        reason: why the video cannot be used; empty if it can.
    """

    video: str
    start_s: float | None
    end_s: float | None
    ranking: tuple[RankedClass, ...]
    reason: str = ""

    @property
    def class_name(self) -> str:
        """The nearest class; empty if the video cannot be used."""
        return self.ranking[0].class_name if self.ranking else ""

    def __str__(self) -> str:
        place = "" if self.start_s is None else f"  {self.start_s:g} s to {_end(self.end_s)}"
        lines = [one_line(self.video) + place]
        if self.reason:
            lines.append(f"  cannot be used: {one_line(self.reason)}")
        for rank, of_class in enumerate(self.ranking, start=1):
            kind = "seen  " if of_class.is_seen else "unseen"
            lines.append(
                f"  {rank:>2}  {kind}  distance {of_class.distance:.4f}  "
                f"score {of_class.score:.3f}  {one_line(of_class.class_name)}"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def rows(self) -> list[tuple[Any, ...]]:
        """Returns a row of `COLUMNS` for each ranked class, or one with the reason."""
        place = (self.video, self.start_s, self.end_s)
        if not self.ranking:
            return [(*place, None, None, None, None, None, self.reason)]
        return [
            (*place, rank, *asdict(of_class).values(), "")
            for rank, of_class in enumerate(self.ranking, start=1)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns what can be written as JSON."""
        return asdict(self)

    def to_frame(self) -> Any:
        """Returns `rows` as a data frame of pandas.

        Raises:
            PipelineError: pandas is not installed.
        """
        return frame(self.rows(), COLUMNS)


@dataclass(frozen=True, repr=False)
class Predictions(Sequence[Prediction]):
    """The answers for several videos; a sequence of `Prediction`.

    Attributes:
        predictions: one for each video, or for each stretch of each, in the order of the question.
        class_names: all classes that were asked for.
        is_seen: ``(classes,)``, whether the network was trained on them.
        distances: ``(predictions, classes)`` float64 without the bias; NaN for what cannot be used.
        bias: that was added to the distances of seen classes before the nearest was chosen.
    """

    predictions: tuple[Prediction, ...]
    class_names: tuple[str, ...]
    is_seen: np.ndarray
    distances: np.ndarray
    bias: float

    def __len__(self) -> int:
        return len(self.predictions)

    def __getitem__(self, index: Any) -> Any:
        return self.predictions[index]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __repr__(self) -> str:
        shown = "\n".join(map(str, self.predictions))
        return f"{shown}\n({self.explanation})"

    @property
    def explanation(self) -> str:
        """What the numbers mean, in a sentence."""
        biased = f", with {self.bias:g} added for seen classes," if self.bias else ""
        return (
            f"score: softmax of the negative distances{biased} over {len(self.class_names)} class "
            "names; it orders classes and is no probability"
        )

    def rows(self) -> list[tuple[Any, ...]]:
        """Returns a row of `COLUMNS` for each ranked class, and for each video without one."""
        return [row for made in self.predictions for row in made.rows()]

    def to_dict(self) -> dict[str, Any]:
        """Returns what can be written as JSON."""
        return {
            "explanation": self.explanation,
            "bias": self.bias,
            "class_names": list(self.class_names),
            "predictions": [made.to_dict() for made in self.predictions],
        }

    def to_csv(self) -> str:
        """Returns `rows` as CSV with a header, for people: no name is a formula."""
        return spreadsheets.text(COLUMNS, self.rows())

    def to_frame(self) -> Any:
        """Returns `rows` as a data frame of pandas.

        Raises:
            PipelineError: pandas is not installed.
        """
        return frame(self.rows(), COLUMNS)


def answers(
    parts: Sequence[Part],
    names: tuple[str, ...],
    is_seen: np.ndarray,
    distances: np.ndarray,
    bias: float,
    top: int | None,
) -> Predictions:
    """Returns the ranking of each part; of equally near classes the first is the nearer one.

    Args:
        parts: videos or stretches of them.
        names: of the classes.
        is_seen: ``(classes,)``.
        distances: ``(parts, classes)`` without the bias; NaN for what cannot be used.
        bias: added to the distances of seen classes.
        top: how many classes a ranking has; ``None`` for all.
    """
    biased = distances + bias * is_seen
    scores = scores_of(biased)
    predictions = []
    for row, part in enumerate(parts):
        nearest = np.argsort(biased[row], kind="stable")
        ranking = tuple(
            RankedClass(
                names[column],
                bool(is_seen[column]),
                float(distances[row, column]),
                float(scores[row, column]),
            )
            for column in nearest[: 0 if part.reason else top]
        )
        place = part.video, part.start_s, part.end_s
        predictions.append(Prediction(*place, ranking, part.reason))
    return Predictions(tuple(predictions), names, is_seen, distances, bias)


def is_positive(value: object) -> bool:
    """Returns whether a value is a whole number from 1 on."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_whole and value >= 1  # type: ignore[operator]


def scores_of(distances: np.ndarray) -> np.ndarray:
    """Returns ``(clips, classes)``: the softmax of negative distances of each clip."""
    nearness = np.exp(distances.min(axis=1, keepdims=True) - distances)
    shares: np.ndarray = nearness / nearness.sum(axis=1, keepdims=True)
    return shares


def _end(end_s: float | None) -> str:
    return "the end" if end_s is None else f"{end_s:g} s"
