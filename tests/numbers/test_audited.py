"""Each check of a split's audit meets what it checks for, in a split written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import BuiltSplit, SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage import levels
from avca_pipeline.leakage.checks import stop_on_errors
from avca_pipeline.leakage.levels import AuditLevels
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.splits import official

# Clip, class, recording, partition.
GOOD = """
a1 a s1 train
a2 a s2 val_seen
a3 a s3 test_seen
b1 b s4 val_unseen
b2 b s5 test_seen
c1 c s6 test_unseen
c2 c s6 test_unseen
"""


def audited(text: str, **more: Any) -> dict[str, Any]:
    """Returns the audit of the split in ``text`` against the manifest of the good one."""
    clips, rows = (
        [line.split() for line in some.strip().splitlines()]
        for some in (more.pop("of", GOOD), text)
    )
    manifest = [Clip(clip, source, name, "file.mp4") for clip, name, source, _ in clips]
    built = BuiltSplit(
        [SplitClip(*row) for row in rows],
        more.pop("excluded", {}),
        more.pop("listed_but_missing", ()),
    )
    return audit_split(SplitUnderAudit(manifest, built, **more))


def failed(result: dict[str, Any]) -> dict[str, list[str]]:
    assert result.passed == all(check.passed for check in result.checks)
    return {c.name: c.examples for c in result.checks if not c.passed}


def changed(clip: str, **fields: str) -> str:
    """Returns the good split with one clip's row changed, or without it."""
    lines = []
    for line in GOOD.strip().splitlines():
        row = dict(zip(("clip", "name", "source", "partition"), line.split(), strict=True))
        if row["clip"] != clip:
            lines.append(line)
        elif fields:
            lines.append(" ".join((row | fields).values()))
    return "\n".join(lines)


def test_a_good_split_passes_and_is_counted() -> None:
    result = audited(GOOD)
    assert failed(result) == {}
    assert len(result.checks) == 9
    assert {name: vars(counts) for name, counts in result.counts.items()} == {
        "train": {"clips": 1, "classes": 1, "sources": 1},
        "val_seen": {"clips": 1, "classes": 1, "sources": 1},
        "val_unseen": {"clips": 1, "classes": 1, "sources": 1},
        "test_seen": {"clips": 2, "classes": 2, "sources": 2},
        "test_unseen": {"clips": 2, "classes": 1, "sources": 1},
    }
    assert result.excluded == {}


@pytest.mark.parametrize(
    "partition", ["train", "val_seen", "val_unseen", "test_seen", "test_unseen"]
)
def test_an_empty_partition_is_found(partition: str) -> None:
    kept = [line for line in GOOD.strip().splitlines() if not line.endswith(f" {partition}")]
    text = "\n".join(kept)
    assert failed(audited(text, of=text)) == {"no_partition_empty": [partition]}


def test_a_clip_is_in_one_partition_or_excluded() -> None:
    name = "every_clip_accounted_for"
    less = changed("c2")
    assert failed(audited(less)) == {name: ["c2"]}
    result = audited(less, excluded={"c2": "its source"})
    assert failed(result) == {}
    assert result.excluded == {"c2": "its source"}
    assert failed(audited(GOOD, excluded={"c2": "its source"})) == {name: ["c2"]}
    assert failed(audited(GOOD, excluded={"c9": "a stranger"})) == {name: ["c9"]}
    assert failed(audited(GOOD + "c2 c s6 test_unseen")) == {name: ["c2"]}
    stranger = failed(audited(GOOD + "c9 c s6 test_unseen"))
    assert stranger == {name: ["c9"], "clips_keep_class_and_source": ["c9"]}


def test_a_listed_clip_that_is_missing_is_found() -> None:
    assert failed(audited(GOOD, listed_but_missing=["x", "y"])) == {
        "every_listed_clip_known": ["x", "y"]
    }


def test_class_and_source_are_the_manifest_s() -> None:
    name = "clips_keep_class_and_source"
    assert failed(audited(changed("a1", source="s9"))) == {name: ["a1"]}
    assert failed(audited(changed("a2", name="z"))) == {name: ["a2"]}


@pytest.mark.parametrize("partition", ["train", "val_seen", "val_unseen", "test_seen"])
def test_a_test_unseen_class_elsewhere_is_found(partition: str) -> None:
    text = GOOD + f"c3 c s7 {partition}"
    found = failed(audited(text, of=text))
    assert found == {"test_unseen_classes_unseen": ["c"]}


@pytest.mark.parametrize(
    ("partition", "is_leak"), [("train", True), ("val_seen", True), ("test_seen", False)]
)
def test_a_val_unseen_class_is_not_trained_or_tuned_on(partition: str, is_leak: bool) -> None:
    text = GOOD + f"b3 b s7 {partition}"
    expected = {"val_unseen_classes_unseen_in_stage_1": ["b"]} if is_leak else {}
    assert failed(audited(text, of=text)) == expected


@pytest.mark.parametrize(
    ("clip", "source", "evaluated"),
    [
        # Stage 1 trains on train, and is evaluated on validation; stage 2 trains on all three.
        ("a2", "s1", {"val_seen": ["a2"]}),
        ("b1", "s1", {"val_unseen": ["b1"]}),
        ("a3", "s1", {"test_seen": ["a3"]}),
        ("a3", "s2", {"test_seen": ["a3"]}),
        ("b2", "s4", {"test_seen": ["b2"]}),
        ("c1", "s2", {"test_unseen": ["c1"]}),
        ("b1", "s2", {}),
        ("c1", "s3", {}),
    ],
)
def test_a_recording_in_two_partitions_is_a_leak_if_trained_on_before(
    clip: str, source: str, evaluated: dict[str, list[str]]
) -> None:
    text = changed(clip, source=source)
    result = audited(text, of=text)
    found = failed(result)
    assert found.pop("sources_in_one_partition") == [source]
    leaks = [clip for clips in evaluated.values() for clip in clips]
    assert found == ({"sources_not_trained_on": leaks} if leaks else {})
    (check,) = [c for c in result.checks if c.name == "sources_not_trained_on"]
    assert check.by_partition == {
        name: len(evaluated.get(name, []))
        for name in ("val_seen", "val_unseen", "test_seen", "test_unseen")
    }
    assert check.found == sum(map(len, evaluated.values()))


def test_an_unseen_class_of_a_pretraining_is_found() -> None:
    name = "unseen_classes_not_pretrained_on"
    assert failed(audited(GOOD, pretrained={"a": ["c3d"]})) == {}
    found = failed(audited(GOOD, pretrained={"b": ["c3d"], "c": ["c3d", "timm"], "x": ["c3d"]}))
    assert found == {name: ["b (c3d)", "c (c3d, timm)"]}


def test_levels_decide_what_stops() -> None:
    result = audited(GOOD, listed_but_missing=[f"x{n:02d}" for n in range(12)])
    (check,) = [check for check in result.checks if not check.passed]
    assert (check.level, check.found, len(check.examples)) == ("warning", 12, 10)
    stop_on_errors("mine", result.checks)
    with pytest.raises(PipelineError, match=r"'mine': 1 check\(s\) .* every_clip_accounted_for"):
        stop_on_errors("mine", audited(changed("c2")).checks)
    # Wherever it stands, and whatever is only a warning.
    for order in ([check, *audited(changed("c2")).checks], [*audited(changed("c2")).checks, check]):
        with pytest.raises(PipelineError, match="every_clip_accounted_for"):
            stop_on_errors("mine", order)
    assert AuditLevels().no_partition_empty == "error"


def test_a_check_stands_once_and_its_settings_follow() -> None:
    """Name, level and rule of each check are those of the keys in the config."""
    fields = AuditLevels.model_fields
    assert list(fields) == [check.name for check in levels.CHECKS]
    for check in levels.CHECKS:
        assert (fields[check.name].default, fields[check.name].description) == (
            check.default,
            check.rule,
        )
        assert check.rule.endswith(".")
    default = AuditLevels()
    known_leak = official.KNOWN_LEAKS[0]
    published = official.OfficialLevels()
    assert published.by_check() == default.by_check() | {
        leak.name: "warning" for leak in official.KNOWN_LEAKS
    }
    assert default.by_check()[known_leak.name] == "error"
    with pytest.raises(ValidationError):
        AuditLevels(**{known_leak.name: "eror"})
    with pytest.raises(ValidationError):
        AuditLevels(no_such_check="error")
