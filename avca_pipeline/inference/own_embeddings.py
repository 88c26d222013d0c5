"""Scores of embeddings that a user brings, by the protocol of the benchmark."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from avca_pipeline.artifacts.frames import frame
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.evaluation import accuracy
from avca_pipeline.evaluation.distances import euclidean_distances


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of generalised zero-shot learning, as shares from 0 to 1.

    Attributes:
        seen: S, mean class accuracy on clips of seen classes, among all classes.
        unseen: U, the same on clips of unseen classes.
        hm: their harmonic mean.
        zsl: mean class accuracy on clips of unseen classes, among unseen classes.
        bias: that was added to the distances of seen classes.
        per_class: name of each class to the share of its clips that is right; NaN without clips.
    """

    seen: float
    unseen: float
    hm: float
    zsl: float
    bias: float
    per_class: dict[str, float]

    def __str__(self) -> str:
        named = {"S": self.seen, "U": self.unseen, "HM": self.hm, "ZSL": self.zsl}
        return "  ".join(f"{name} {100 * value:.1f} %" for name, value in named.items())

    def __repr__(self) -> str:
        return f"<{self}, with a bias of {self.bias:g}, {len(self.per_class)} classes>"

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers by name."""
        return asdict(self)

    def to_frame(self) -> Any:
        """Returns ``per_class`` as a data frame of pandas.

        Raises:
            PipelineError: pandas is not installed.
        """
        return frame(list(self.per_class.items()), ("class", "accuracy"))


def evaluate(
    clips: ArrayLike,
    class_of_clip: Sequence[str],
    classes: ArrayLike,
    class_names: Sequence[str],
    unseen: Sequence[str],
    *,
    bias: float = 0.0,
) -> Evaluation:
    """Scores embeddings of one's own as the benchmark does: the nearest class wins.

    Args:
        clips: ``(clips, dim)`` embeddings of the test clips.
        class_of_clip: the true class of each clip.
        classes: ``(classes, dim)`` embeddings of the classes in the same space.
        class_names: one for each row of ``classes``.
        unseen: those of the classes that were not trained on, at least one.
        bias: added to the Euclidean distances of seen classes; choose it on validation clips.

    Raises:
        PipelineError: shapes or names do not fit together; numbers are not finite; or what should
            be numbers or a list of names is none.
    """
    points, centres = _numbers(clips, "clips"), _numbers(classes, "classes")
    if not isinstance(bias, numbers.Real) or not math.isfinite(bias):
        raise PipelineError(f"evaluate: bias must be a finite number, found {abbreviated(bias)}")
    names = _names(class_names, "class_names")
    class_of_clip, unseen = _names(class_of_clip, "class_of_clip"), _names(unseen, "unseen")
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != centres.shape[1]:
        raise PipelineError(
            "evaluate: clips and classes must be (clips, dim) and (classes, dim), found "
            f"{points.shape} and {centres.shape}"
        )
    if len(points) != len(class_of_clip) or len(centres) != len(names):
        raise PipelineError(
            f"evaluate: {len(points)} clips with {len(class_of_clip)} classes of clips, "
            f"{len(centres)} classes with {len(names)} names; give one for each"
        )
    column = {name: number for number, name in enumerate(names)}
    unknown = [name for name in [*class_of_clip, *unseen] if name not in column]
    if unknown or len(column) != len(names):
        what = f"class {unknown[0]!r} is not among" if unknown else "a class is twice among"
        raise PipelineError(f"evaluate: {what} class_names; name each class once")
    if not unseen:
        raise PipelineError("evaluate: unseen: none is named; name at least one")
    reached = accuracy.evaluate(
        euclidean_distances(points, centres),
        np.array([column[name] for name in class_of_clip], np.int64),
        np.isin(np.arange(len(names)), [column[name] for name in unseen]),
        bias,
    )
    per_class = dict(zip(names, map(float, reached.gzsl_per_class), strict=True))
    return Evaluation(
        seen=float(reached.seen),
        unseen=float(reached.unseen),
        hm=float(reached.hm),
        zsl=float(reached.zsl),
        bias=bias,
        per_class=per_class,
    )


def _numbers(values: ArrayLike, what: str) -> np.ndarray:
    """Returns numbers as float64."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PipelineError(
            f"evaluate: {what} cannot be read as an array of numbers ({error}); give rows of one "
            "length, and of a tensor tensor.detach().cpu()"
        ) from error
    if not np.isfinite(found).all():
        raise PipelineError(f"evaluate: {what}: some of its numbers are not finite; remove those")
    return found


def _names(names: Iterable[str], what: str) -> list[str]:
    """Returns a list of names as they are."""
    is_list = isinstance(names, Iterable) and not isinstance(names, str | bytes)
    found = list(names) if is_list else []
    if not is_list or not all(isinstance(name, str) for name in found):
        raise PipelineError(f"evaluate: {what} must be a list of names, found {abbreviated(names)}")
    return found
