"""Divides recordings into partitions: arrays of numbers, so that millions of clips fit."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.name_digests import NameDigests
from avca_pipeline.artifacts.split import PARTITIONS
from avca_pipeline.errors import PipelineError

Intervals = Mapping[str, tuple[float, float]]
"""Partition to the positions of its sources: from the first on, and below the second."""


@dataclass(frozen=True)
class ClipNumbers:
    """Classes and sources of clips as numbers.

    Attributes:
        label: ``(clips,)`` int32, the class of each clip.
        source: ``(clips,)`` int32, its source; sources have the numbers from 0 on.
        first: ``(sources,)`` int64, the first clip of each source.
        position: ``(sources,)`` float64, where each source is between 0 and 1.
    """

    label: np.ndarray
    source: np.ndarray
    first: np.ndarray
    position: np.ndarray

    @classmethod
    def of(
        cls, clips: Sequence[Clip], class_names: Sequence[str], position: Callable[[str], float]
    ) -> ClipNumbers:
        """Reads the clips once.

        Args:
            clips: of these classes.
            class_names: in the order of their numbers.
            position: returns where a source is between 0 and 1.
        """
        number_of = {name: number for number, name in enumerate(class_names)}
        labels, names, positions = array("i"), NameDigests(), array("d")
        for clip in clips:
            labels.append(number_of[clip.class_name])
            names.add(clip.source_id)
            positions.append(position(clip.source_id))
        _, first, source = np.unique(names.array(), return_index=True, return_inverse=True)
        return cls(
            np.frombuffer(labels, np.int32),
            source.astype(np.int32),
            first,
            np.frombuffer(positions, np.float64)[first],
        )


class ClassSources:
    """The sources of each class.

    Args:
        label: ``(clips,)``, the class of each clip.
        source: ``(clips,)``, its source.
        num_classes: how many classes there are.
        num_sources: how many sources there are.
    """

    def __init__(
        self, label: np.ndarray, source: np.ndarray, num_classes: int, num_sources: int
    ) -> None:
        pairs = np.unique(label.astype(np.int64) * num_sources + source)
        self.label, self.source = np.divmod(pairs, max(num_sources, 1))
        self.num_sources = num_sources
        self._begins = np.searchsorted(self.label, np.arange(num_classes + 1))

    def of_class(self, label: int) -> np.ndarray:
        """Returns the sources of a class."""
        return self.source[self._begins[label] : self._begins[label + 1]]

    def classes_of(self, source: int) -> list[int]:
        """Returns the classes that a source has clips of."""
        order, begins = self._by_source
        found: list[int] = self.label[order[begins[source] : begins[source + 1]]].tolist()
        return found

    @cached_property
    def _by_source(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.source, kind="stable")
        return order, np.searchsorted(self.source[order], np.arange(self.num_sources + 1))


def fill_empty(
    class_names: Sequence[str],
    intervals: Sequence[Intervals],
    clips: Sequence[Clip],
    numbers: ClipNumbers,
    members: ClassSources,
    partition: np.ndarray,
) -> None:
    """Moves the nearest source wherever a class has none in one of its partitions.

    A source that any of its classes needs where it is stays there.

    Args:
        class_names: in the order of their numbers.
        intervals: of each class.
        clips: all clips, for the names of sources.
        numbers: of the clips.
        members: sources of each class.
        partition: ``(sources,)``, index of each source's partition in `PARTITIONS`; changed.

    Raises:
        PipelineError: a class has too few sources that it does not share.
    """
    num_partitions = len(PARTITIONS)
    held = np.bincount(
        members.label * num_partitions + partition[members.source],
        minlength=len(class_names) * num_partitions,
    ).reshape(-1, num_partitions)
    for label in sorted(range(len(class_names)), key=class_names.__getitem__):
        for name, (low, high) in intervals[label].items():
            target = PARTITIONS.index(name)
            if held[label, target]:
                continue
            spare = [
                source
                for source in members.of_class(label).tolist()
                if all(held[other, partition[source]] > 1 for other in members.classes_of(source))
            ]
            if not spare:
                raise PipelineError(
                    f"class {class_names[label]!r} shares so many sources with other classes that "
                    f"none is left for {name}; add clips from other sources or choose another seed"
                )
            nearest = _nearest(spare, low, high, numbers, clips)
            for other in members.classes_of(nearest):
                held[other, partition[nearest]] -= 1
                held[other, target] += 1
            partition[nearest] = target


def _nearest(
    spare: Sequence[int], low: float, high: float, numbers: ClipNumbers, clips: Sequence[Clip]
) -> int:
    """Returns the source nearest to an interval; of two as near, that of the first name."""
    distance = {
        source: max(low - at, at - high)
        for source, at in zip(spare, numbers.position[spare].tolist(), strict=True)
    }
    least = min(distance.values())
    nearest = [source for source in spare if distance[source] == least]
    if len(nearest) == 1:
        return nearest[0]

    def name(source: int) -> str:
        return next(itertools.islice(clips, numbers.first[source], None)).source_id

    return min(nearest, key=name)
