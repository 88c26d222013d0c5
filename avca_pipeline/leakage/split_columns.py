"""The rows of a split as arrays: checks count over them, and read names only of what they find."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.name_digests import NameDigests
from avca_pipeline.artifacts.split import PARTITIONS, SplitClip
from avca_pipeline.errors import PipelineError


@dataclass(frozen=True, eq=False)
class ClipColumns:
    """Clips, a number or a digest for each name.

    Attributes:
        clip: ``(clips,)``, digests of the clip ids.
        source_name: ``(clips,)``, digests of the source ids.
        label: ``(clips,)`` int32, number of the class.
        class_names: of the classes, in the order of their numbers.
    """

    clip: np.ndarray
    source_name: np.ndarray
    label: np.ndarray
    class_names: Sequence[str]

    @classmethod
    def of_clips(cls, clips: Iterable[Clip | SplitClip]) -> ClipColumns:
        """Reads the clips once."""
        number_of: dict[str, int] = {}
        clip_ids, sources, labels = NameDigests(), NameDigests(), array("i")
        for clip in clips:
            clip_ids.add(clip.clip_id)
            sources.add(clip.source_id)
            labels.append(number_of.setdefault(clip.class_name, len(number_of)))
        label = np.frombuffer(labels, np.int32) if labels else np.zeros(0, np.int32)
        return ClipColumns(clip_ids.array(), sources.array(), label, list(number_of))


@dataclass(frozen=True, eq=False)
class SplitColumns(ClipColumns):
    """The rows of a split.

    Attributes:
        rows: to loop over again.
        partition: ``(clips,)`` int8, index in `PARTITIONS`.
    """

    rows: Sequence[SplitClip]
    partition: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[SplitClip]) -> SplitColumns:
        """Reads the rows once.

        Raises:
            PipelineError: a row has an unknown partition.
        """
        index_of = {name: index for index, name in enumerate(PARTITIONS)}
        partitions = bytearray()

        def noted() -> Iterator[SplitClip]:
            for row in rows:
                if row.partition not in index_of:
                    raise PipelineError(
                        f"clip {row.clip_id!r} is in partition {row.partition!r}; there are: "
                        f"{', '.join(PARTITIONS)}"
                    )
                partitions.append(index_of[row.partition])
                yield row

        clips = cls.of_clips(noted())
        return cls(**vars(clips), rows=rows, partition=np.frombuffer(partitions, np.int8))

    @cached_property
    def source(self) -> np.ndarray:
        """``(clips,)`` int32, number of the source."""
        return np.unique(self.source_name, return_inverse=True)[1].astype(np.int32)

    @cached_property
    def has_source(self) -> np.ndarray:
        """``(sources, 5)``, whether a partition has clips of a source."""
        found = np.zeros((int(self.source.max(initial=-1)) + 1, len(PARTITIONS)), bool)
        found[self.source, self.partition] = True
        return found

    @cached_property
    def has_class(self) -> np.ndarray:
        """``(classes, 5)``, whether a partition has clips of a class."""
        found = np.zeros((len(self.class_names), len(PARTITIONS)), bool)
        found[self.label, self.partition] = True
        return found

    def classes_in(self, *partitions: str) -> set[str]:
        """Returns the names of the classes with clips in any of some partitions."""
        is_in = np.asarray(self.has_class[:, columns_of(partitions)].any(axis=1))
        return set(itertools.compress(self.class_names, is_in))

    def names(
        self, which: np.ndarray, name: Callable[[SplitClip], str] = lambda row: row.clip_id
    ) -> list[str]:
        """Returns the clip ids, or another name, of some rows in their order.

        Args:
            which: ``(clips,)``, true for these rows.
            name: returns the name of a row.
        """
        if not which.any():
            return []
        return [name(row) for row in itertools.compress(self.rows, which)]


def columns_of(partitions: Iterable[str]) -> list[int]:
    """Returns the indices of partitions in `PARTITIONS`."""
    return [PARTITIONS.index(name) for name in partitions]
