"""Whatever the manifest, a built split does not leak."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from avca_pipeline.artifacts.manifest import Clip, shard_names, shard_of
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    BuiltSplit,
)
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.splits.built import Settings as BuiltSettings
from avca_pipeline.splits.built import build


@st.composite
def manifests(draw: st.DrawFn) -> list[Clip]:
    """Draws clips of some classes from some sources, which may be shared between classes."""
    num_classes = draw(st.integers(4, 9))
    clips = []
    for label in range(num_classes):
        for source in range(draw(st.integers(3, 7))):
            is_shared = draw(st.integers(0, 9)) == 0
            source_id = f"shared-{draw(st.integers(0, 3))}" if is_shared else f"{label}-{source}"
            for clip in range(draw(st.integers(1, 3))):
                clips.append(
                    Clip(f"{label}/{source}/{clip}", source_id, f"class {label}", "file.mp4")
                )
    return clips


@st.composite
def choices(draw: st.DrawFn) -> BuiltSettings:
    share = st.floats(0.05, 0.45)
    return BuiltSettings(
        seed=draw(st.integers(0, 99)),
        val_unseen_classes=draw(share),
        test_unseen_classes=draw(share),
        val_seen_sources=draw(share),
        test_seen_sources=draw(share),
    )


COMMON = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@COMMON
@given(manifests(), choices(), st.randoms(use_true_random=False))
def test_nothing_leaks_in_any_order(
    clips: list[Clip], chosen: BuiltSettings, shuffler: random.Random
) -> None:
    try:
        built = build(chosen, clips)
    except PipelineError:
        return  # refused in words; what is not refused must hold
    result = audit_split(SplitUnderAudit(clips, built))
    assert result.passed, [check for check in result.checks if not check.passed]

    partitions: dict[str, set[str]] = {}
    classes: dict[str, set[str]] = {}
    for row in built.clips:
        partitions.setdefault(row.source_id, set()).add(row.partition)
        classes.setdefault(row.partition, set()).add(row.class_name)
    assert all(len(found) == 1 for found in partitions.values())
    assert not classes[TEST_UNSEEN] & (set().union(*classes.values()) - classes[TEST_UNSEEN])
    assert not classes[VAL_UNSEEN] & (classes[TRAIN] | classes[VAL_SEEN] | classes[TEST_UNSEEN])
    assert classes[VAL_SEEN] <= classes[TRAIN]
    for class_name in classes[TRAIN] | classes[VAL_UNSEEN]:
        of_class = {row.partition for row in built.clips if row.class_name == class_name}
        assert of_class in ({TRAIN, VAL_SEEN, TEST_SEEN}, {VAL_UNSEEN, TEST_SEEN})
    assert len(built.clips) + len(built.excluded) == len(clips)

    shuffled = list(clips)
    shuffler.shuffle(shuffled)
    assert build(chosen, shuffled) == built


@COMMON
@given(manifests(), choices(), st.sets(st.integers(0, 8)))
def test_a_class_of_a_pretraining_is_never_unseen(
    clips: list[Clip], chosen: BuiltSettings, labels: set[int]
) -> None:
    pretrained = {f"class {label}" for label in labels}
    try:
        built = build(chosen, clips, pretrained)
    except PipelineError:
        return
    unseen = {row.class_name for row in built.clips if row.partition in (VAL_UNSEEN, TEST_UNSEEN)}
    assert not unseen & pretrained
    assert audit_split(SplitUnderAudit(clips, built, dict.fromkeys(pretrained, ("c3d",)))).passed
    if not pretrained:
        assert built == build(chosen, clips)


def test_the_audit_sees_unseen_classes_of_a_pretraining() -> None:
    clips = [
        Clip(f"{label}-{source}", f"{label}-{source}", f"class {label}", "file.mp4")
        for label in range(6)
        for source in range(8)
    ]
    built = build(BuiltSettings(), clips)
    classes = {row.partition: row.class_name for row in built.clips}
    for partition, is_found in ((TEST_UNSEEN, True), (VAL_UNSEEN, True), (TRAIN, False)):
        pretrained = {classes[partition]: ["c3d"]}
        checks = audit_split(SplitUnderAudit(clips, built, pretrained)).checks
        failed = {check.name: check.examples for check in checks if not check.passed}
        expected = {"unseen_classes_not_pretrained_on": [f"{classes[partition]} (c3d)"]}
        assert failed == (expected if is_found else {})


@COMMON
@given(st.integers(4, 9), st.integers(3, 40), choices())
@example(  # the new clip fills test_seen, so that what was there alone may go to val_seen
    4, 20,
    BuiltSettings(
        seed=6, val_unseen_classes=0.25, test_unseen_classes=0.25,
        val_seen_sources=0.0625, test_seen_sources=0.09375,
    ),
)  # fmt: skip
def test_a_new_clip_moves_no_other_where_shares_fill_every_partition(
    num_classes: int, num_sources: int, chosen: BuiltSettings
) -> None:
    """Where they do not, sources were put there by hand: at most two of the clip's class move."""
    clips = [
        Clip(f"{label}-{source}", f"{label}-{source}", f"class {label}", "file.mp4")
        for label in range(num_classes)
        for source in range(num_sources)
    ]
    try:
        before = {row.clip_id: row.partition for row in build(chosen, clips).clips}
    except PipelineError:
        return
    added = [*clips, Clip("new", "new source", "class 0", "file.mp4")]
    after = {row.clip_id: row.partition for row in build(chosen, added).clips}
    moved = [clip for clip, partition in before.items() if after[clip] != partition]
    assert len(moved) <= 2
    assert all(clip.startswith("0-") for clip in moved)
    of_class = {partition for clip, partition in before.items() if clip.startswith("0-")}
    of_shares = {by_share(source, chosen, of_class) for source in before if source.startswith("0-")}
    if of_shares == of_class:
        assert moved == []
        assert after["new"] == by_share("new source", chosen, of_class)


def by_share(source_id: str, chosen: BuiltSettings, of_class: set[str]) -> str:
    """Returns the partition that a source's own number puts it in, in a class with these."""
    digest = hashlib.sha256(f"{chosen.seed}:source:{source_id}".encode()).digest()
    position = int.from_bytes(digest[:6], "big") / 2**48
    if TEST_UNSEEN in of_class:
        return TEST_UNSEEN
    if position < chosen.test_seen_sources:
        return TEST_SEEN
    if VAL_UNSEEN in of_class:
        return VAL_UNSEEN
    return VAL_SEEN if position < chosen.test_seen_sources + chosen.val_seen_sources else TRAIN


def test_too_few_sources_are_refused_by_name() -> None:
    clips = [
        Clip(f"{label}-{source}", f"{label}-{source}", f"class {label}", "file.mp4")
        for label in range(6)
        for source in range(1)
    ]
    with pytest.raises(PipelineError, match=r"class 'class \d' has 1 source\(s\) but needs"):
        build(BuiltSettings(), clips)
    with pytest.raises(PipelineError, match="too few to split"):
        build(BuiltSettings(), clips[:2])


def test_the_audit_sees_leaks() -> None:
    """Each check fails on a split made to violate it."""
    clips = [
        Clip(f"{label}-{source}", f"{label}-{source}", f"class {label}", "file.mp4")
        for label in range(6)
        for source in range(8)
    ]
    rows = build(BuiltSettings(), clips).clips

    def failed(changed: list) -> set[str]:
        result = audit_split(SplitUnderAudit(clips, BuiltSplit(changed, {})))
        return {check.name for check in result.checks if not check.passed}

    def moved(partition: str, to: str) -> list:
        index = next(i for i, row in enumerate(rows) if row.partition == partition)
        row = rows[index]
        change = type(row)(row.clip_id, row.class_name, row.source_id, to)
        return [*rows[:index], change, *rows[index + 1 :]]

    assert failed(rows) == set()
    assert failed(rows[1:]) == {"every_clip_accounted_for"}
    assert failed([*rows, rows[0]]) == {"every_clip_accounted_for"}
    assert failed(moved(TEST_UNSEEN, TRAIN)) == {"test_unseen_classes_unseen"}
    assert failed(moved(VAL_UNSEEN, TRAIN)) == {"val_unseen_classes_unseen_in_stage_1"}
    first, other = (next(r for r in rows if r.partition == p) for p in (TRAIN, VAL_SEEN))
    same_source = [
        type(r)(r.clip_id, r.class_name, first.source_id, r.partition) if r == other else r
        for r in rows
    ]
    assert failed(same_source) == {
        "clips_keep_class_and_source",
        "sources_in_one_partition",
        "sources_not_trained_on",
    }


@given(st.text(min_size=1), st.integers(1, 64))
def test_shards_depend_on_the_clip_alone(clip_id: str, num_shards: int) -> None:
    shard = shard_of(clip_id, num_shards)
    assert shard in shard_names(num_shards)
    assert shard == shard_of(clip_id, num_shards)
