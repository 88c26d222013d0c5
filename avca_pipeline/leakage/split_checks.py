"""Checks of a split: counts whatever would let a model be tested on what it was trained on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from avca_pipeline.artifacts.audits import PartitionCounts, SplitAudit
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.name_digests import digests, find
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    BuiltSplit,
)
from avca_pipeline.leakage.checks import TRAINED_BEFORE, CheckList, Level, run_checks
from avca_pipeline.leakage.split_columns import ClipColumns, SplitColumns, columns_of


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

    @cached_property
    def columns(self) -> SplitColumns:
        """The rows of the split as arrays."""
        return SplitColumns.of(self.built.clips)

    @cached_property
    def manifest(self) -> ClipColumns:
        """The manifest as arrays."""
        return ClipColumns.of_clips(self.clips)


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
        counts=_counts(subject.columns),
        excluded=dict(sorted(subject.built.excluded.items())),
    )


@check(default="error")
def every_clip_accounted_for(subject: SplitUnderAudit) -> list[str]:
    """Every clip of the manifest is in exactly one partition or excluded with a reason."""
    built, in_manifest = subject.built, subject.manifest.clip
    excluded = digests(built.excluded)
    placed = np.concatenate([subject.columns.clip, excluded])
    values, times = np.unique(placed, return_counts=True)
    odd = np.union1d(
        values[times != 1], np.setxor1d(values, np.unique(in_manifest), assume_unique=True)
    )
    if not len(odd):
        return []
    found: set[str] = set()
    for ids, known in (
        ((clip.clip_id for clip in subject.clips), in_manifest),
        ((row.clip_id for row in built.clips), subject.columns.clip),
        (built.excluded, excluded),
    ):
        found.update(itertools.compress(ids, find(odd, known) >= 0))
    return sorted(found)


@check(default="warning")
def every_listed_clip_known(subject: SplitUnderAudit) -> list[str]:
    """Every clip that the lists of the split name is in the manifest."""
    return list(subject.built.listed_but_missing)


@check(default="error")
def clips_keep_class_and_source(subject: SplitUnderAudit) -> list[str]:
    """Class and source of every clip are those of the manifest."""
    rows, manifest = subject.columns, subject.manifest
    place = find(manifest.clip, rows.clip)
    number_of = {name: number for number, name in enumerate(manifest.class_names)}
    label = np.array([number_of.get(name, -1) for name in rows.class_names], np.int32)
    known = np.flatnonzero(place >= 0)
    of_manifest = place[known]
    is_same = np.zeros(len(place), bool)
    is_same[known] = (manifest.label[of_manifest] == label[rows.label[known]]) & (
        manifest.source_name[of_manifest] == rows.source_name[known]
    )
    return rows.names(~is_same)


@check(default="error")
def test_unseen_classes_unseen(subject: SplitUnderAudit) -> list[str]:
    """No class of test_unseen has a clip in any other partition."""
    others = [name for name in PARTITIONS if name != TEST_UNSEEN]
    classes_in = subject.columns.classes_in
    return sorted(classes_in(TEST_UNSEEN) & classes_in(*others))


@check(default="error")
def val_unseen_classes_unseen_in_stage_1(subject: SplitUnderAudit) -> list[str]:
    """No class of val_unseen has a clip in train or val_seen, which stage 1 trains and tunes on."""
    classes_in = subject.columns.classes_in
    return sorted(classes_in(VAL_UNSEEN) & classes_in(TRAIN, VAL_SEEN))


@check(default="error")
def sources_in_one_partition(subject: SplitUnderAudit) -> list[str]:
    """No recording has clips in two partitions."""
    columns = subject.columns
    is_cut = columns.has_source.sum(axis=1) > 1
    return sorted(set(columns.names(is_cut[columns.source], lambda row: row.source_id)))


@check(default="error")
def sources_not_trained_on(subject: SplitUnderAudit) -> dict[str, list[str]]:
    """No clip is evaluated after clips of the same recording have been trained on."""
    columns = subject.columns
    leaking = {}
    for name, before in TRAINED_BEFORE.items():
        is_trained = np.asarray(columns.has_source[:, columns_of(before)].any(axis=1))
        is_evaluated = columns.partition == PARTITIONS.index(name)
        leaking[name] = columns.names(is_evaluated & is_trained[columns.source])
    return leaking


@check(default="error")
def no_partition_empty(subject: SplitUnderAudit) -> list[str]:
    """Each of the five partitions has clips."""
    return [partition for partition in PARTITIONS if not subject.columns.classes_in(partition)]


@check(default="error")
def unseen_classes_not_pretrained_on(subject: SplitUnderAudit) -> list[str]:
    """No unseen class is one that a used backbone was pretrained on with labels."""
    unseen = subject.columns.classes_in(VAL_UNSEEN, TEST_UNSEEN)
    return [
        f"{name} ({', '.join(subject.pretrained[name])})"
        for name in sorted(unseen & set(subject.pretrained))
    ]


def _counts(columns: SplitColumns) -> dict[str, PartitionCounts]:
    return {
        name: PartitionCounts(
            clips=int((columns.partition == index).sum()),
            classes=int(columns.has_class[:, index].sum()),
            sources=int(columns.has_source[:, index].sum()),
        )
        for index, name in enumerate(PARTITIONS)
    }
