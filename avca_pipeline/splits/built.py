"""A split built from shares and a seed: no recording is in two partitions.

The classes are divided into three groups: those seen from stage 1 on, those seen from stage 2 on,
and those never seen. Within a class, the recordings (`source_id`) are divided. Both follow from
hashes of names and a seed, so that the order of the clips does not matter, the same settings give
the same split everywhere, and a new clip does not move the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field, model_validator

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    BuiltSplit,
    SplitClip,
)
from avca_pipeline.errors import PipelineError
from avca_pipeline.settings import Seed
from avca_pipeline.splits import SplitSettings

# A class is seen from stage 1 on, seen from stage 2 on, or never seen; these are its partitions.
PARTITIONS_OF_GROUP = {
    TRAIN: (TRAIN, VAL_SEEN, TEST_SEEN),
    VAL_UNSEEN: (VAL_UNSEEN, TEST_SEEN),
    TEST_UNSEEN: (TEST_UNSEEN,),
}


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
    groups = _group_classes({clip.class_name for clip in clips}, settings, pretrained)
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
    kept, excluded = _without_conflicts(clips, groups)
    sources: dict[str, set[str]] = defaultdict(set)
    for clip in kept:
        sources[clip.class_name].add(clip.source_id)
    for class_name, group in sorted(groups.items()):
        needed = len(PARTITIONS_OF_GROUP[group])
        if len(sources[class_name]) < needed:
            raise PipelineError(
                f"class {class_name!r} has {len(sources[class_name])} source(s) but needs "
                f"{needed}, one for each of {', '.join(PARTITIONS_OF_GROUP[group])}; add clips "
                "from other sources, remove the class, or choose another seed"
            )
    partition_of = _partition_sources(groups, sources, settings)
    rows = [
        SplitClip(clip.clip_id, clip.class_name, clip.source_id, partition_of[clip.source_id])
        for clip in kept
    ]
    return BuiltSplit(sorted(rows, key=lambda row: row.clip_id), excluded)


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


def _without_conflicts(
    clips: Sequence[Clip], groups: Mapping[str, str]
) -> tuple[list[Clip], dict[str, str]]:
    rank = {TRAIN: 0, VAL_UNSEEN: 1, TEST_UNSEEN: 2}
    group_of_source: dict[str, str] = {}
    for clip in clips:
        group = groups[clip.class_name]
        held = group_of_source.setdefault(clip.source_id, group)
        if rank[group] > rank[held]:
            group_of_source[clip.source_id] = group
    kept, excluded = [], {}
    for clip in clips:
        group = group_of_source[clip.source_id]
        if groups[clip.class_name] == group:
            kept.append(clip)
        else:
            excluded[clip.clip_id] = f"its source also has clips of a {group} class"
    return kept, excluded


def _partition_sources(
    groups: Mapping[str, str], sources: dict[str, set[str]], settings: SourceShares
) -> dict[str, str]:
    test, val = settings.test_seen_sources, settings.test_seen_sources + settings.val_seen_sources
    intervals = {
        TRAIN: {TEST_SEEN: (0.0, test), VAL_SEEN: (test, val), TRAIN: (val, 1.0)},
        VAL_UNSEEN: {TEST_SEEN: (0.0, test), VAL_UNSEEN: (test, 1.0)},
        TEST_UNSEEN: {TEST_UNSEEN: (0.0, 1.0)},
    }
    position = {
        source: _share(settings.seed, "source", source)
        for sources_of_class in sources.values()
        for source in sources_of_class
    }
    partition_of: dict[str, str] = {}
    for class_name, group in groups.items():
        for source in sources[class_name]:
            for partition, (low, high) in intervals[group].items():
                if low <= position[source] < high:
                    partition_of[source] = partition
    _fill_empty(groups, sources, intervals, position, partition_of)
    return partition_of


def _fill_empty(
    groups: Mapping[str, str],
    sources: dict[str, set[str]],
    intervals: dict[str, dict[str, tuple[float, float]]],
    position: dict[str, float],
    partition_of: dict[str, str],
) -> None:
    """Moves the nearest source wherever a class has none in one of its partitions.

    A source that any of its classes needs where it is stays there.
    """
    classes_of: dict[str, list[str]] = defaultdict(list)
    num_held: Counter[tuple[str, str]] = Counter()
    for class_name in groups:
        for source in sources[class_name]:
            classes_of[source].append(class_name)
            num_held[class_name, partition_of[source]] += 1
    for class_name in sorted(groups):
        for partition, (low, high) in intervals[groups[class_name]].items():
            if num_held[class_name, partition]:
                continue
            spare = [
                source
                for source in sources[class_name]
                if all(num_held[name, partition_of[source]] > 1 for name in classes_of[source])
            ]
            if not spare:
                raise PipelineError(
                    f"class {class_name!r} shares so many sources with other classes that none is "
                    f"left for {partition}; add clips from other sources or choose another seed"
                )
            nearest = min(spare, key=lambda s: (max(low - position[s], position[s] - high), s))
            for name in classes_of[nearest]:
                num_held[name, partition_of[nearest]] -= 1
                num_held[name, partition] += 1
            partition_of[nearest] = partition


def _share(seed: int, kind: str, name: str) -> float:
    """Returns a number in [0, 1) from a hash of the arguments."""
    digest = hashlib.sha256(f"{seed}:{kind}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
