"""The answers of one run as arrays: what each clip is, and what it is taken for at any bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import predictions as predictions_files
from avca_pipeline.artifacts.predictions import RunPredictions
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.errors import FormatError, abbreviated
from avca_pipeline.evaluation import accuracy


@dataclass(frozen=True)
class Answers:
    """The test clips of a run. A class is a column: its place in ``class_names``.

    Attributes:
        clip_ids: one of each clip.
        class_names: of all classes, those without test clips too.
        is_unseen: ``(classes,)``.
        target: ``(clips,)``, column of each clip's own class.
        nearest_seen: ``(clips,)``, column of the nearest seen class.
        nearest_unseen: ``(clips,)``, column of the nearest unseen class.
        margin: ``(clips,)``, by how much the nearest unseen class is farther than the nearest seen
            one, before the bias: a clip is taken for a seen class as long as the bias is smaller.
        answered: ``(clips,)``, column of the class that a clip is taken for at the run's bias.
        rank: ``(clips,)``, of the own class among all classes at the run's bias, from 1 on.
        rank_among_unseen: ``(clips,)``, the same among unseen classes; 0 for clips of seen ones.
        bias: that was added to the distances of seen classes.
    """

    clip_ids: Sequence[str]
    class_names: Sequence[str]
    is_unseen: np.ndarray
    target: np.ndarray
    nearest_seen: np.ndarray
    nearest_unseen: np.ndarray
    margin: np.ndarray
    answered: np.ndarray
    rank: np.ndarray
    rank_among_unseen: np.ndarray
    bias: float

    @property
    def is_right(self) -> np.ndarray:
        """``(clips,)``: whether a clip is taken for its own class, among all classes."""
        right: np.ndarray = self.answered == self.target
        return right

    @property
    def is_right_among_unseen(self) -> np.ndarray:
        """``(clips,)``: the same among unseen classes; nowhere for clips of seen classes."""
        right: np.ndarray = self.rank_among_unseen == 1
        return right

    @property
    def of_unseen(self) -> np.ndarray:
        """``(clips,)``: whether the own class of a clip is unseen."""
        unseen: np.ndarray = self.is_unseen[self.target]
        return unseen

    @property
    def num_clips(self) -> np.ndarray:
        """``(classes,)``: how many test clips each class has."""
        return np.bincount(self.target, minlength=len(self.class_names))

    def mean_class_share(self, is_so: np.ndarray, *, unseen: bool) -> float | None:
        """Returns the mean over classes of the share of a class's clips of which something is so.

        Args:
            is_so: ``(clips,)`` bool.
            unseen: whether the mean is over unseen classes; else over seen ones. Classes without
                test clips are left out.

        Returns:
            The mean, or ``None`` where there is no such class.
        """
        counted = self.num_clips
        is_meant = (self.is_unseen == unseen) & (counted > 0)
        if not is_meant.any():
            return None
        sums = np.bincount(self.target, weights=is_so, minlength=len(counted))
        return float((sums[is_meant] / counted[is_meant]).mean())

    def scores(self) -> dict[str, float | None]:
        """Returns S, U, HM and ZSL as shares under the names of `Accuracies`."""
        seen = self.mean_class_share(self.is_right, unseen=False)
        unseen = self.mean_class_share(self.is_right, unseen=True)
        hm = None if seen is None or unseen is None else accuracy.harmonic_mean(seen, unseen)
        return {
            "seen": seen,
            "unseen": unseen,
            "hm": hm,
            "zsl": self.mean_class_share(self.is_right_among_unseen, unseen=True),
        }

    def top_shares(self, top: int) -> dict[str, float | None]:
        """Returns how often the own class is among the nearest ones, as means over classes.

        Args:
            top: how many of the nearest classes count.

        Returns:
            ``seen`` and ``unseen`` among all classes, ``zsl`` among unseen classes.
        """
        is_near = self.rank <= top
        is_near_among_unseen = (self.rank_among_unseen >= 1) & (self.rank_among_unseen <= top)
        return {
            "seen": self.mean_class_share(is_near, unseen=False),
            "unseen": self.mean_class_share(is_near, unseen=True),
            "zsl": self.mean_class_share(is_near_among_unseen, unseen=True),
        }


def read(path: Path, run: Scores) -> Answers:
    """Reads the predictions of a run.

    Args:
        path: of its predictions.
        run: its scores.

    Raises:
        FormatError: the file is damaged, or has other classes than the scores.
    """
    classes = {of.class_name: of.is_unseen for of in run.per_class}
    return answers_of(predictions_files.read(path), classes, str(path))


def answers_of(predictions: RunPredictions, classes: Mapping[str, bool], where: str) -> Answers:
    """Returns predictions as arrays, clips in the order of their ids.

    Args:
        predictions: of a run.
        classes: name to whether it is unseen, of all classes of the run, in their order.
        where: the file, for messages.

    Raises:
        FormatError: a clip or an answer has a class that the run does not have.
    """
    names = list(classes)
    column = {name: number for number, name in enumerate(names)}
    is_unseen = np.array([classes[name] for name in names], bool)
    clips = sorted(predictions.clips, key=lambda clip: clip.clip_id)

    def columns(listed: Sequence[str], unseen: Sequence[bool]) -> np.ndarray:
        for name, expected in zip(listed, unseen, strict=True):
            if classes.get(name) is not expected:
                raise FormatError(
                    f"{where}: class {abbreviated(name)} is none of the run's "
                    f"{'unseen' if expected else 'seen'} classes; delete the file, evaluate again"
                )
        return np.array([column[name] for name in listed], int)

    seen_distance = np.array([clip.nearest_seen.distance for clip in clips])
    unseen_distance = np.array([clip.nearest_unseen.distance for clip in clips])
    nearest_seen = columns([c.nearest_seen.class_name for c in clips], [False] * len(clips))
    nearest_unseen = columns([c.nearest_unseen.class_name for c in clips], [True] * len(clips))
    # As in `accuracy`: of equally near classes the first one wins.
    biased = seen_distance + predictions.bias
    is_first = (biased == unseen_distance) & (nearest_seen < nearest_unseen)
    takes_seen = (biased < unseen_distance) | is_first
    return Answers(
        clip_ids=[clip.clip_id for clip in clips],
        class_names=names,
        is_unseen=is_unseen,
        target=columns([c.class_name for c in clips], [c.is_unseen for c in clips]),
        nearest_seen=nearest_seen,
        nearest_unseen=nearest_unseen,
        margin=unseen_distance - seen_distance,
        answered=np.where(takes_seen, nearest_seen, nearest_unseen),
        rank=np.array([clip.rank for clip in clips], int),
        rank_among_unseen=np.array([clip.rank_among_unseen or 0 for clip in clips], int),
        bias=predictions.bias,
    )
