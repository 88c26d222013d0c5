"""Checks a split for leaks. Every check counts something, and none of it may be assumed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    TRAINING_PARTITIONS,
    VAL_SEEN,
    VAL_UNSEEN,
    SplitClip,
)
from avca_pipeline.splits import AuditLevels, Built

MAX_EXAMPLES = 10
TRAINED_BEFORE = {
    VAL_SEEN: TRAINING_PARTITIONS[1],
    VAL_UNSEEN: TRAINING_PARTITIONS[1],
    TEST_SEEN: TRAINING_PARTITIONS[2],
    TEST_UNSEEN: TRAINING_PARTITIONS[2],
}
"""What has been trained on when a partition is evaluated."""

Violations = list[str] | dict[str, list[str]]


def audit(clips: Sequence[Clip], built: Built, levels: AuditLevels | None = None) -> dict[str, Any]:
    """Returns the audit of a split of a manifest.

    ``checks`` lists for each check its ``name``, what it ``means``, its ``level``, how many
    violations it ``found`` (``by_partition`` too, where it counts clips of partitions), up to ten
    ``examples``, and whether it ``passed``. ``counts`` has the clips, classes and sources of each
    partition, ``excluded`` the clips that are in none and why.

    Args:
        clips: the manifest.
        built: the split.
        levels: of the checks; those that are ``off`` are left out.
    """
    of = (levels or AuditLevels()).model_dump()
    checks = [
        outcome(check, of[name(check)], check(clips, built))
        for check in CHECKS
        if of[name(check)] != "off"
    ]
    return {
        "passed": all(check["passed"] for check in checks),
        "checks": checks,
        "counts": {
            partition: {
                "clips": len(rows),
                "classes": len({row.class_name for row in rows}),
                "sources": len({row.source_id for row in rows}),
            }
            for partition in PARTITIONS
            for rows in [[row for row in built.clips if row.partition == partition]]
        },
        "excluded": dict(sorted(built.excluded.items())),
    }


def name(check: Callable[..., Any]) -> str:
    """Returns the name of a check, as in `AuditLevels`."""
    return check.__name__.removeprefix("_")


def outcome(check: Callable[..., Any], level: str, violations: Violations) -> dict[str, Any]:
    """Returns what a check has found, as the audit has it."""
    by_partition = violations if isinstance(violations, dict) else None
    if isinstance(violations, dict):
        violations = [clip for found in violations.values() for clip in found]
    return {
        "name": name(check),
        "means": (check.__doc__ or "").strip(),
        "level": level,
        "found": len(violations),
        "by_partition": by_partition and {key: len(found) for key, found in by_partition.items()},
        "examples": violations[:MAX_EXAMPLES],
        "passed": not violations,
    }


def _every_clip_accounted_for(clips: Sequence[Clip], built: Built) -> list[str]:
    """Every clip of the manifest is in exactly one partition or excluded with a reason."""
    times = Counter(row.clip_id for row in built.clips) + Counter(built.excluded.keys())
    known = {clip.clip_id for clip in clips}
    return sorted(clip for clip in known | set(times) if times[clip] != 1 or clip not in known)


def _every_listed_clip_known(clips: Sequence[Clip], built: Built) -> list[str]:
    """Every clip that the lists of the split name is in the manifest."""
    return list(built.absent)


def _clips_keep_class_and_source(clips: Sequence[Clip], built: Built) -> list[str]:
    """Class and source of every clip are those of the manifest."""
    manifest = {clip.clip_id: (clip.class_name, clip.source_id) for clip in clips}
    return [
        row.clip_id
        for row in built.clips
        if manifest.get(row.clip_id) != (row.class_name, row.source_id)
    ]


def _test_unseen_classes_unseen(clips: Sequence[Clip], built: Built) -> list[str]:
    """No class of test_unseen has a clip in any other partition."""
    return _classes_elsewhere(built.clips, TEST_UNSEEN, lambda p: p != TEST_UNSEEN)


def _val_unseen_classes_unseen_in_stage_1(clips: Sequence[Clip], built: Built) -> list[str]:
    """No class of val_unseen has a clip in train or val_seen, which stage 1 trains and tunes on."""
    return _classes_elsewhere(built.clips, VAL_UNSEEN, lambda p: p in (TRAIN, VAL_SEEN))


def _sources_in_one_partition(clips: Sequence[Clip], built: Built) -> list[str]:
    """No recording has clips in two partitions."""
    partitions = defaultdict(set)
    for row in built.clips:
        partitions[row.source_id].add(row.partition)
    return sorted(source for source, found in partitions.items() if len(found) > 1)


def _sources_not_trained_on(clips: Sequence[Clip], built: Built) -> dict[str, list[str]]:
    """No clip is evaluated after clips of the same recording have been trained on."""
    sources = defaultdict(set)
    for row in built.clips:
        sources[row.partition].add(row.source_id)
    return {
        partition: [
            row.clip_id
            for row in built.clips
            if row.partition == partition and row.source_id in trained
        ]
        for partition, before in TRAINED_BEFORE.items()
        for trained in [set().union(*(sources[name] for name in before))]
    }


def _no_partition_empty(clips: Sequence[Clip], built: Built) -> list[str]:
    """Each of the five partitions has clips."""
    filled = {row.partition for row in built.clips}
    return [partition for partition in PARTITIONS if partition not in filled]


CHECKS: tuple[Callable[[Sequence[Clip], Built], Violations], ...] = (
    _every_clip_accounted_for,
    _every_listed_clip_known,
    _clips_keep_class_and_source,
    _test_unseen_classes_unseen,
    _val_unseen_classes_unseen_in_stage_1,
    _sources_in_one_partition,
    _sources_not_trained_on,
    _no_partition_empty,
)


def _classes_elsewhere(
    rows: Sequence[SplitClip], partition: str, is_elsewhere: Callable[[str], bool]
) -> list[str]:
    unseen = {row.class_name for row in rows if row.partition == partition}
    return sorted(unseen & {row.class_name for row in rows if is_elsewhere(row.partition)})
