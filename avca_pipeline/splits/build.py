"""Builds a split from shares and a seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    SplitClip,
)
from avca_pipeline.config import BuiltSplit
from avca_pipeline.errors import PipelineError

# Of a class seen from stage 1 on, from stage 2 on, and never.
PARTITIONS_OF_GROUP = {
    TRAIN: (TRAIN, VAL_SEEN, TEST_SEEN),
    VAL_UNSEEN: (VAL_UNSEEN, TEST_SEEN),
    TEST_UNSEEN: (TEST_UNSEEN,),
}


@dataclass(frozen=True)
class Built:
    """A split and what had to stay out of it: clip id to reason."""

    clips: list[SplitClip]
    excluded: dict[str, str]


def build(clips: Sequence[Clip], settings: BuiltSplit) -> Built:
    """Returns the split of a manifest.

    Classes are ranked by a hash of seed and name, and the shares are cut off that ranking.
    Sources get a number between 0 and 1 from a hash of seed and id, which decides their partition
    in whatever class they occur: the order of the manifest does not matter, a source is never cut
    in two, and a new clip moves no other. Only where a class would be left without a source in
    one of its partitions does the nearest source move there.

    A source with clips of classes that must not meet, say of a training class and of an unseen
    one, is kept for the least seen of them; its other clips are excluded.

    Raises:
        PipelineError: too few classes, or a class with too few sources.
    """
    groups = _group_classes({clip.class_name for clip in clips}, settings)
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
    return Built(sorted(rows, key=lambda row: row.clip_id), excluded)


def _group_classes(class_names: Iterable[str], settings: BuiltSplit) -> dict[str, str]:
    ranked = sorted(class_names, key=lambda name: (_share(settings.seed, "class", name), name))
    num_test = max(1, round(settings.test_unseen_classes * len(ranked)))
    num_val = max(1, round(settings.val_unseen_classes * len(ranked)))
    if len(ranked) - num_test - num_val < 2:
        raise PipelineError(
            f"{len(ranked)} class(es) are too few to split: {num_test} unseen for the test and "
            f"{num_val} for validation leave fewer than 2 to train on"
        )
    groups = dict.fromkeys(ranked, TRAIN)
    groups |= dict.fromkeys(ranked[:num_test], TEST_UNSEEN)
    groups |= dict.fromkeys(ranked[num_test : num_test + num_val], VAL_UNSEEN)
    return groups


def _without_conflicts(
    clips: Sequence[Clip], groups: dict[str, str]
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
    groups: dict[str, str], sources: dict[str, set[str]], settings: BuiltSplit
) -> dict[str, str]:
    test, val = settings.test_seen_sources, settings.test_seen_sources + settings.val_seen_sources
    intervals = {
        TRAIN: {TEST_SEEN: (0.0, test), VAL_SEEN: (test, val), TRAIN: (val, 1.0)},
        VAL_UNSEEN: {TEST_SEEN: (0.0, test), VAL_UNSEEN: (test, 1.0)},
        TEST_UNSEEN: {TEST_UNSEEN: (0.0, 1.0)},
    }
    position = {
        source: _share(settings.seed, "source", source) for of in sources.values() for source in of
    }
    partition_of: dict[str, str] = {}
    for class_name, group in groups.items():
        for source in sources[class_name]:
            for partition, (low, high) in intervals[group].items():
                if low <= position[source] < high:
                    partition_of[source] = partition
    moved: set[str] = set()
    for class_name in sorted(groups):
        bounds = intervals[groups[class_name]]
        for partition, (low, high) in bounds.items():
            held = defaultdict(list)
            for source in sorted(sources[class_name]):
                held[partition_of[source]].append(source)
            if held[partition]:
                continue
            spare = [
                s
                for s in sorted(sources[class_name])
                if len(held[partition_of[s]]) > 1 and s not in moved
            ]
            if not spare:
                raise PipelineError(
                    f"class {class_name!r} shares so many sources with other classes that none is "
                    f"left for {partition}; add clips from other sources or choose another seed"
                )
            nearest = min(spare, key=lambda s: (max(low - position[s], position[s] - high), s))
            partition_of[nearest] = partition
            moved.add(nearest)
    return partition_of


def _share(seed: int, kind: str, name: str) -> float:
    """Returns a number in [0, 1) that looks random and depends on its arguments alone."""
    digest = hashlib.sha256(f"{seed}:{kind}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
