"""Checks of a split: counts whatever would let a model be tested on what it was trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from avca_pipeline.artifacts.audits import PartitionCounts, SplitAudit
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    BuiltSplit,
    SplitClip,
)
from avca_pipeline.leakage.checks import CheckList, Level, run_checks, trained_before


@dataclass(frozen=True)
class SplitUnderAudit:
    """A split and what it is checked against.

    Attributes:
        clips: the manifest.
        built: the split.
        pretrained: class to the backbones that were trained on it with labels.
    """

    clips: Sequence[Clip]
    built: BuiltSplit
    pretrained: Mapping[str, Sequence[str]] = field(default_factory=dict)


CHECKS: CheckList[SplitUnderAudit] = CheckList()
check = CHECKS.check


def audit_split(
    subject: SplitUnderAudit, level_of: Mapping[str, Level] | None = None
) -> SplitAudit:
    """Returns the audit of a split of a manifest.

    Args:
        subject: the split.
        level_of: name of each check to its level; those that are ``off`` are left out. Without
            it, each check has its default level.
    """
    if level_of is None:
        level_of = {check.name: check.default for check in CHECKS}
    results = run_checks(CHECKS, subject, level_of)
    return SplitAudit(
        passed=all(result.passed for result in results),
        checks=results,
        counts={partition: _counts(subject.built.clips, partition) for partition in PARTITIONS},
        excluded=dict(sorted(subject.built.excluded.items())),
    )


@check(default="error")
def every_clip_accounted_for(subject: SplitUnderAudit) -> list[str]:
    """Every clip of the manifest is in exactly one partition or excluded with a reason."""
    times = Counter(row.clip_id for row in subject.built.clips)
    times.update(subject.built.excluded.keys())
    in_manifest = {clip.clip_id for clip in subject.clips}
    return sorted(
        clip for clip in in_manifest | set(times) if times[clip] != 1 or clip not in in_manifest
    )


@check(default="warning")
def every_listed_clip_known(subject: SplitUnderAudit) -> list[str]:
    """Every clip that the lists of the split name is in the manifest."""
    return list(subject.built.listed_but_missing)


@check(default="error")
def clips_keep_class_and_source(subject: SplitUnderAudit) -> list[str]:
    """Class and source of every clip are those of the manifest."""
    manifest = {clip.clip_id: (clip.class_name, clip.source_id) for clip in subject.clips}
    return [
        row.clip_id
        for row in subject.built.clips
        if manifest.get(row.clip_id) != (row.class_name, row.source_id)
    ]


@check(default="error")
def test_unseen_classes_unseen(subject: SplitUnderAudit) -> list[str]:
    """No class of test_unseen has a clip in any other partition."""
    return _classes_elsewhere(subject.built.clips, TEST_UNSEEN, lambda name: name != TEST_UNSEEN)


@check(default="error")
def val_unseen_classes_unseen_in_stage_1(subject: SplitUnderAudit) -> list[str]:
    """No class of val_unseen has a clip in train or val_seen, which stage 1 trains and tunes on."""
    return _classes_elsewhere(
        subject.built.clips, VAL_UNSEEN, lambda name: name in (TRAIN, VAL_SEEN)
    )


@check(default="error")
def sources_in_one_partition(subject: SplitUnderAudit) -> list[str]:
    """No recording has clips in two partitions."""
    partitions_of = defaultdict(set)
    for row in subject.built.clips:
        partitions_of[row.source_id].add(row.partition)
    return sorted(source for source, partitions in partitions_of.items() if len(partitions) > 1)


@check(default="error")
def sources_not_trained_on(subject: SplitUnderAudit) -> dict[str, list[str]]:
    """No clip is evaluated after clips of the same recording have been trained on."""
    sources = defaultdict(set)
    for row in subject.built.clips:
        sources[row.partition].add(row.source_id)
    return {
        partition: [
            row.clip_id
            for row in subject.built.clips
            if row.partition == partition and row.source_id in trained
        ]
        for partition, trained in trained_before(sources).items()
    }


@check(default="error")
def no_partition_empty(subject: SplitUnderAudit) -> list[str]:
    """Each of the five partitions has clips."""
    filled = {row.partition for row in subject.built.clips}
    return [partition for partition in PARTITIONS if partition not in filled]


@check(default="error")
def unseen_classes_not_pretrained_on(subject: SplitUnderAudit) -> list[str]:
    """No unseen class is one that a used backbone was pretrained on with labels."""
    unseen = {
        row.class_name for row in subject.built.clips if row.partition in (VAL_UNSEEN, TEST_UNSEEN)
    }
    return [
        f"{name} ({', '.join(subject.pretrained[name])})"
        for name in sorted(unseen & set(subject.pretrained))
    ]


def _counts(rows: Sequence[SplitClip], partition: str) -> PartitionCounts:
    members = [row for row in rows if row.partition == partition]
    return PartitionCounts(
        clips=len(members),
        classes=len({row.class_name for row in members}),
        sources=len({row.source_id for row in members}),
    )


def _classes_elsewhere(
    rows: Sequence[SplitClip], partition: str, is_elsewhere: Callable[[str], bool]
) -> list[str]:
    unseen = {row.class_name for row in rows if row.partition == partition}
    return sorted(unseen & {row.class_name for row in rows if is_elsewhere(row.partition)})
