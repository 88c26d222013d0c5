"""A split built from shares and a seed: no recording is in two partitions.

The classes are divided into three groups: those seen from stage 1 on, those seen from stage 2 on,
and those never seen. Within a class, the recordings (`source_id`) are divided. Both follow from
hashes of names and a seed, so that the order of the clips does not matter, the same settings give
the same split everywhere, and a new clip does not move the others.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    BuiltSplit,
    SplitClip,
)
from avca_pipeline.artifacts.stored_rows import StoredRows, class_names, in_id_order
from avca_pipeline.errors import PipelineError
from avca_pipeline.settings import Seed
from avca_pipeline.splits import SplitSettings
from avca_pipeline.splits._sources import ClassSources, ClipNumbers, fill_empty

# A class is seen from stage 1 on, seen from stage 2 on, or never seen; these are its partitions.
PARTITIONS_OF_GROUP = {
    TRAIN: (TRAIN, VAL_SEEN, TEST_SEEN),
    VAL_UNSEEN: (VAL_UNSEEN, TEST_SEEN),
    TEST_UNSEEN: (TEST_UNSEEN,),
}
GROUPS = tuple(PARTITIONS_OF_GROUP)
"""From the most seen to the least."""


class SourceShares(SplitSettings):
    """Shares of the recordings of seen classes."""

    seed: Seed = 0
    """Seed of the split. Another seed gives another split."""
    val_seen_sources: float = Field(default=0.1, gt=0, lt=1)
    """Share of each training class's sources that is held out for validation."""
    test_seen_sources: float = Field(default=0.1, gt=0, lt=1)
    """Share of each seen class's sources that is held out for the test."""

    @model_validator(mode="after")
    def _leaves_sources_to_train_on(self) -> SourceShares:
        if self.val_seen_sources + self.test_seen_sources >= 1:
            raise ValueError("val_seen_sources and test_seen_sources together must be less than 1")
        return self


class Settings(SourceShares):
    """A split built from shares."""

    val_unseen_classes: float = Field(default=0.2, gt=0, lt=1)
    """Share of the classes that stage 1 must not train on."""
    test_unseen_classes: float = Field(default=0.2, gt=0, lt=1)
    """Share of the classes that no stage may train on."""
    exclude_pretraining_of: tuple[str, ...] = ()
    """Names of backbones. No class that one of them was trained on with labels becomes an unseen
    class.
    """

    @model_validator(mode="after")
    def _leaves_classes_to_train_on(self) -> Settings:
        if self.val_unseen_classes + self.test_unseen_classes >= 1:
            raise ValueError(
                "val_unseen_classes and test_unseen_classes together must be less than 1"
            )
        return self

    def backbones_to_exclude(self) -> tuple[str, ...]:
        """Returns what the user names."""
        return self.exclude_pretraining_of


def inputs(settings: Settings) -> list[Path]:
    """Returns nothing: the split follows from the manifest and the settings."""
    return []


def build(
    settings: Settings, clips: Sequence[Clip], pretrained: Collection[str] = ()
) -> BuiltSplit:
    """Returns the split of a manifest.

    Classes are ranked by a hash of seed and name, and the shares are cut off that ranking; those
    in ``pretrained`` come last and stay seen. Within the classes, `arrange` decides.

    Raises:
        PipelineError: too few classes, or a class with too few sources.
    """
    groups = _group_classes(class_names(clips), settings, pretrained)
    return arrange(clips, groups, settings)


def arrange(clips: Sequence[Clip], groups: Mapping[str, str], settings: SourceShares) -> BuiltSplit:
    """Returns the split of clips whose classes are grouped.

    Sources get a number between 0 and 1 from a hash of seed and id, which decides their partition
    in whatever class they occur: the order of the clips does not matter, a source is never cut
    in two, and a new clip moves no other. Only where a class would be left without a source in
    one of its partitions does the nearest source move there; in such a class, and in those that
    share its sources, a new source may change which ones are moved.

    A source with clips of classes that must not meet, say of a training class and of an unseen
    one, is kept for the least seen of them; its other clips are excluded.

    Args:
        clips: all clips of the classes.
        groups: class to a key of `PARTITIONS_OF_GROUP`.
        settings: shares and seed.

    Raises:
        PipelineError: a class has too few sources.
    """
    clips, names = in_id_order(clips), list(groups)
    numbers = ClipNumbers.of(clips, names, lambda source: _share(settings.seed, "source", source))
    num_sources = len(numbers.position)
    # A source belongs to the least seen of its classes' groups, which have numbers in that order.
    group = np.array([GROUPS.index(groups[name]) for name in names], np.int8)[numbers.label]
    group_of_source = np.zeros(num_sources, np.int8)
    np.maximum.at(group_of_source, numbers.source, group)
    is_kept = group == group_of_source[numbers.source]
    members = ClassSources(numbers.label[is_kept], numbers.source[is_kept], len(names), num_sources)
    for label in sorted(range(len(names)), key=names.__getitem__):
        found, needed = members.of_class(label), PARTITIONS_OF_GROUP[groups[names[label]]]
        if len(found) < len(needed):
            raise PipelineError(
                f"class {names[label]!r} has {len(found)} source(s) but needs "
                f"{len(needed)}, one for each of {', '.join(needed)}; add clips "
                "from other sources, remove the class, or choose another seed"
            )
    intervals = _intervals(settings)
    partition = np.zeros(num_sources, np.int8)
    for number, name in enumerate(GROUPS):
        for partition_name, (low, high) in intervals[name].items():
            is_in = (low <= numbers.position) & (numbers.position < high)
            partition[is_in & (group_of_source == number)] = PARTITIONS.index(partition_name)
    fill_empty(
        names, [intervals[groups[name]] for name in names], clips, numbers, members,
        partition,
    )  # fmt: skip
    reasons = [f"its source also has clips of a {name} class" for name in GROUPS]
    left_out = (
        []
        if is_kept.all()
        else itertools.compress(zip(clips, numbers.source, strict=True), ~is_kept)
    )
    excluded = {clip.clip_id: reasons[group_of_source[source]] for clip, source in left_out}
    return BuiltSplit(_placed(clips, partition[numbers.source], is_kept), excluded)


def _placed(
    clips: Sequence[Clip], partition: np.ndarray, is_kept: np.ndarray
) -> Sequence[SplitClip]:
    """Returns the rows of clips that are kept, which stay where the clips are.

    Args:
        clips: in the order of their ids.
        partition: ``(clips,)`` int8, index of each clip's partition in `PARTITIONS`.
        is_kept: ``(clips,)``.
    """
    numbers, kept = partition.astype(np.uint8).tobytes(), is_kept.tobytes()

    def loop() -> Iterator[SplitClip]:
        for clip, number in itertools.compress(zip(clips, numbers, strict=True), kept):
            yield SplitClip(clip.clip_id, clip.class_name, clip.source_id, PARTITIONS[number])

    if isinstance(clips, StoredRows):
        return StoredRows(loop, int(is_kept.sum()), clips.class_names)
    return list(loop())


def _intervals(settings: SourceShares) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns for each group of classes where the sources of each partition are."""
    test, val = settings.test_seen_sources, settings.test_seen_sources + settings.val_seen_sources
    return {
        TRAIN: {TEST_SEEN: (0.0, test), VAL_SEEN: (test, val), TRAIN: (val, 1.0)},
        VAL_UNSEEN: {TEST_SEEN: (0.0, test), VAL_UNSEEN: (test, 1.0)},
        TEST_UNSEEN: {TEST_UNSEEN: (0.0, 1.0)},
    }


def _group_classes(
    class_names: Iterable[str], settings: Settings, pretrained: Collection[str]
) -> dict[str, str]:
    """Returns the group of each class; classes in ``pretrained`` are always seen."""
    ranked = sorted(
        class_names,
        key=lambda name: (name in pretrained, _share(settings.seed, "class", name), name),
    )
    num_test = max(1, round(settings.test_unseen_classes * len(ranked)))
    num_val = max(1, round(settings.val_unseen_classes * len(ranked)))
    if len(ranked) - num_test - num_val < 2:
        raise PipelineError(
            f"{len(ranked)} class(es) are too few to split: {num_test} unseen for the test and "
            f"{num_val} for validation leave fewer than 2 to train on; add classes, or lower "
            "test_unseen_classes and val_unseen_classes"
        )
    num_free = sum(name not in pretrained for name in ranked)
    if num_free < num_test + num_val:
        raise PipelineError(
            f"{num_test + num_val} classes must be unseen, but only {num_free} of {len(ranked)} "
            f"are not in the pretraining of {', '.join(settings.exclude_pretraining_of)}; lower "
            "val_unseen_classes or test_unseen_classes, or use other backbones"
        )
    groups = dict.fromkeys(ranked, TRAIN)
    groups |= dict.fromkeys(ranked[:num_test], TEST_UNSEEN)
    groups |= dict.fromkeys(ranked[num_test : num_test + num_val], VAL_UNSEEN)
    return groups


def _share(seed: int, kind: str, name: str) -> float:
    """Returns a number in [0, 1) from a hash of the arguments."""
    digest = hashlib.sha256(f"{seed}:{kind}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
