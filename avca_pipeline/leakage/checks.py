"""Checks a split for leaks. Every check counts something, and none of it may be assumed."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from avca_pipeline.errors import PipelineError
from avca_pipeline.splits import AuditLevels, Built

logger = logging.getLogger(__name__)

MAX_EXAMPLES = 10
TRAINED_BEFORE = {
    VAL_SEEN: TRAINING_PARTITIONS[1],
    VAL_UNSEEN: TRAINING_PARTITIONS[1],
    TEST_SEEN: TRAINING_PARTITIONS[2],
    TEST_UNSEEN: TRAINING_PARTITIONS[2],
}
"""What has been trained on when a partition is evaluated."""

Violations = list[str] | dict[str, list[str]]
Subject = TypeVar("Subject")
Held = TypeVar("Held")


@dataclass(frozen=True)
class Audited:
    """A split and what it is checked against.

    Attributes:
        clips: the manifest.
        built: the split.
        pretrained: class to the backbones that saw it with labels.
    """

    clips: Sequence[Clip]
    built: Built
    pretrained: Mapping[str, Sequence[str]] = field(default_factory=dict)


def audit(of: Audited, levels: AuditLevels | None = None) -> dict[str, Any]:
    """Returns the audit of a split of a manifest.

    ``checks`` are those of `run_checks`. ``counts`` has the clips, classes and sources of each
    partition, ``excluded`` the clips that are in none and why.

    Args:
        of: the split.
        levels: of the checks; those that are ``off`` are left out.
    """
    checks = run_checks(CHECKS, of, levels or AuditLevels())
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
            for rows in [[row for row in of.built.clips if row.partition == partition]]
        },
        "excluded": dict(sorted(of.built.excluded.items())),
    }


def run_checks(
    checks: Iterable[Callable[[Subject], Violations]], of: Subject, levels: AuditLevels
) -> list[dict[str, Any]]:
    """Returns what the checks have found.

    Each has its ``name``, what it ``means``, its ``level``, how many violations it ``found``
    (``by_partition`` too, where it counts clips of partitions), up to ten ``examples``, and
    whether it ``passed``. A check that is ``off`` is left out.
    """
    found = []
    for check in checks:
        name = check.__name__.removeprefix("_")
        level = getattr(levels, name)
        if level == "off":
            continue
        violations = check(of)
        by_partition = None
        if isinstance(violations, dict):
            by_partition = {partition: len(clips) for partition, clips in violations.items()}
            violations = [clip for clips in violations.values() for clip in clips]
        found.append(
            {
                "name": name,
                "means": (check.__doc__ or "").strip(),
                "level": level,
                "found": len(violations),
                "by_partition": by_partition,
                "examples": violations[:MAX_EXAMPLES],
                "passed": not violations,
            }
        )
    return found


def stop_on_errors(split: str, checks: Sequence[Mapping[str, Any]]) -> None:
    """Says what has failed.

    Raises:
        PipelineError: a check has failed whose level is ``error``.
    """
    failed = [check for check in checks if not check["passed"]]
    for check in failed:
        examples = ", ".join(check["examples"][:3])
        logger.warning(
            f"{check['level']}: {check['name']}: {check['found']} violations, such as {examples}"
        )
    errors = [check for check in failed if check["level"] == "error"]
    if errors:
        raise PipelineError(
            f"split {split!r}: {len(errors)} check(s) of the audit failed, the first is "
            f"{errors[0]['name']} ({errors[0]['means']}); see above, or lower its level under "
            "splits.*.audit"
        )


def trained_before(partition_of: Mapping[str, Iterable[Held]]) -> dict[str, set[Held]]:
    """Returns for each evaluated partition all that has been trained on before it.

    Args:
        partition_of: partition to whatever is counted there, such as recordings.
    """
    return {
        partition: set().union(*(partition_of.get(name, ()) for name in before))
        for partition, before in TRAINED_BEFORE.items()
    }


def _every_clip_accounted_for(of: Audited) -> list[str]:
    """Every clip of the manifest is in exactly one partition or excluded with a reason."""
    times = Counter(row.clip_id for row in of.built.clips) + Counter(of.built.excluded.keys())
    known = {clip.clip_id for clip in of.clips}
    return sorted(clip for clip in known | set(times) if times[clip] != 1 or clip not in known)


def _every_listed_clip_known(of: Audited) -> list[str]:
    """Every clip that the lists of the split name is in the manifest."""
    return list(of.built.absent)


def _clips_keep_class_and_source(of: Audited) -> list[str]:
    """Class and source of every clip are those of the manifest."""
    manifest = {clip.clip_id: (clip.class_name, clip.source_id) for clip in of.clips}
    return [
        row.clip_id
        for row in of.built.clips
        if manifest.get(row.clip_id) != (row.class_name, row.source_id)
    ]


def _test_unseen_classes_unseen(of: Audited) -> list[str]:
    """No class of test_unseen has a clip in any other partition."""
    return _classes_elsewhere(of.built.clips, TEST_UNSEEN, lambda p: p != TEST_UNSEEN)


def _val_unseen_classes_unseen_in_stage_1(of: Audited) -> list[str]:
    """No class of val_unseen has a clip in train or val_seen, which stage 1 trains and tunes on."""
    return _classes_elsewhere(of.built.clips, VAL_UNSEEN, lambda p: p in (TRAIN, VAL_SEEN))


def _sources_in_one_partition(of: Audited) -> list[str]:
    """No recording has clips in two partitions."""
    partitions = defaultdict(set)
    for row in of.built.clips:
        partitions[row.source_id].add(row.partition)
    return sorted(source for source, found in partitions.items() if len(found) > 1)


def _sources_not_trained_on(of: Audited) -> dict[str, list[str]]:
    """No clip is evaluated after clips of the same recording have been trained on."""
    sources = defaultdict(set)
    for row in of.built.clips:
        sources[row.partition].add(row.source_id)
    return {
        partition: [
            row.clip_id
            for row in of.built.clips
            if row.partition == partition and row.source_id in trained
        ]
        for partition, trained in trained_before(sources).items()
    }


def _no_partition_empty(of: Audited) -> list[str]:
    """Each of the five partitions has clips."""
    filled = {row.partition for row in of.built.clips}
    return [partition for partition in PARTITIONS if partition not in filled]


def _unseen_classes_not_pretrained_on(of: Audited) -> list[str]:
    """No unseen class is one that a used backbone was pretrained on with labels."""
    unseen = {
        row.class_name for row in of.built.clips if row.partition in (VAL_UNSEEN, TEST_UNSEEN)
    }
    return [
        f"{name} ({', '.join(of.pretrained[name])})" for name in sorted(unseen & set(of.pretrained))
    ]


CHECKS: tuple[Callable[[Audited], Violations], ...] = (
    _every_clip_accounted_for,
    _every_listed_clip_known,
    _clips_keep_class_and_source,
    _test_unseen_classes_unseen,
    _val_unseen_classes_unseen_in_stage_1,
    _sources_in_one_partition,
    _sources_not_trained_on,
    _no_partition_empty,
    _unseen_classes_not_pretrained_on,
)


def _classes_elsewhere(
    rows: Sequence[SplitClip], partition: str, is_elsewhere: Callable[[str], bool]
) -> list[str]:
    unseen = {row.class_name for row in rows if row.partition == partition}
    return sorted(unseen & {row.class_name for row in rows if is_elsewhere(row.partition)})
