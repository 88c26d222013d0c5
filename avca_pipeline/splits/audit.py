"""Checks a split for leaks. Every check counts something, and none of it may be assumed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import PARTITIONS, TEST_UNSEEN, TRAIN, VAL_UNSEEN, SplitClip


def audit(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the audit of a split of a manifest.

    ``checks`` lists for each check its ``name``, what it ``means``, how many violations it
    ``found``, up to ten ``examples``, and whether it ``passed``. ``counts`` has the clips, classes
    and sources of each partition, ``excluded`` the clips that are in none and why.
    """
    checks = [
        {
            "name": check.__name__.removeprefix("_"),
            "means": (check.__doc__ or "").strip(),
            "found": len(violations),
            "examples": violations[:10],
            "passed": not violations,
        }
        for check in CHECKS
        for violations in [check(clips, rows, excluded)]
    ]
    return {
        "passed": all(check["passed"] for check in checks),
        "checks": checks,
        "counts": {
            partition: {
                "clips": sum(row.partition == partition for row in rows),
                "classes": len({row.class_name for row in rows if row.partition == partition}),
                "sources": len({row.source_id for row in rows if row.partition == partition}),
            }
            for partition in PARTITIONS
        },
        "excluded": dict(sorted(excluded.items())),
    }


def _every_clip_accounted_for(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> list[str]:
    """Every clip of the manifest is in exactly one partition or excluded with a reason."""
    times = Counter(row.clip_id for row in rows) + Counter(excluded.keys())
    known = {clip.clip_id for clip in clips}
    return sorted(clip for clip in known | set(times) if times[clip] != 1 or clip not in known)


def _clips_keep_class_and_source(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> list[str]:
    """Class and source of every clip are those of the manifest."""
    manifest = {clip.clip_id: (clip.class_name, clip.source_id) for clip in clips}
    return [
        row.clip_id for row in rows if manifest.get(row.clip_id) != (row.class_name, row.source_id)
    ]


def _test_unseen_classes_unseen(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> list[str]:
    """No class of test_unseen has a clip in any other partition."""
    return _classes_elsewhere(rows, TEST_UNSEEN, lambda partition: partition != TEST_UNSEEN)


def _val_unseen_classes_unseen_in_stage_1(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> list[str]:
    """No class of val_unseen has a clip in train or val_seen, which stage 1 trains and tunes on."""
    return _classes_elsewhere(rows, VAL_UNSEEN, lambda partition: partition in (TRAIN, "val_seen"))


def _sources_in_one_partition(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> list[str]:
    """No recording has clips in two partitions."""
    partitions = defaultdict(set)
    for row in rows:
        partitions[row.source_id].add(row.partition)
    return sorted(source for source, found in partitions.items() if len(found) > 1)


def _no_partition_empty(
    clips: Sequence[Clip], rows: Sequence[SplitClip], excluded: Mapping[str, str]
) -> list[str]:
    """Each of the five partitions has clips."""
    filled = {row.partition for row in rows}
    return [partition for partition in PARTITIONS if partition not in filled]


CHECKS: tuple[Callable[..., list[str]], ...] = (
    _every_clip_accounted_for,
    _clips_keep_class_and_source,
    _test_unseen_classes_unseen,
    _val_unseen_classes_unseen_in_stage_1,
    _sources_in_one_partition,
    _no_partition_empty,
)


def _classes_elsewhere(
    rows: Sequence[SplitClip], partition: str, is_elsewhere: Callable[[str], bool]
) -> list[str]:
    unseen = {row.class_name for row in rows if row.partition == partition}
    return sorted(unseen & {row.class_name for row in rows if is_elsewhere(row.partition)})
