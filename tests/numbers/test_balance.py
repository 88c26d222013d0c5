"""What the report says became of every clip, from fates written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from avca_pipeline.artifacts.audits import PartitionCounts, SplitAudit
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Accuracies, ClassAccuracy, Scores
from avca_pipeline.artifacts.split import PARTITIONS
from avca_pipeline.reporting import coverage as balances
from avca_pipeline.reporting.coverage import (
    Coverage,
    Extracted,
    Rejection,
    Step,
    by_kind,
)
from avca_pipeline.reporting.tables import (
    Row,
    Statistic,
    class_accuracies,
    identity_of,
    rows_of,
)
from tests.builders import scores_of

LISTED = [Clip(f"c{n}", f"s{n // 2}", f"class {n % 3}", "file.mp4") for n in range(6)]


def fetched(*lost: str, known: str = "012345") -> list[FetchedClip]:
    return [
        FetchedClip(f"c{n}", REJECTED, "download failed: HTTP 404")
        if n in lost
        else FetchedClip(f"c{n}", OK, path="file.mp4")
        for n in known
    ]


def extracted(kept: str, **rejected: str) -> Extracted:
    return Extracted([f"c{n}" for n in kept], list(rejected.items()))


def steps(rows: list[FetchedClip], **of_backbone: Extracted) -> dict[str, tuple[Any, ...]]:
    found = Coverage("mine", LISTED, rows, of_backbone).steps()
    return {
        step.name: (
            step.num_in,
            step.num_kept,
            step.num_rejected,
            step.num_unaccounted,
            step.adds_up,
        )
        for step in found
    }


def test_every_clip_kept_or_rejected_adds_up() -> None:
    found = steps(fetched("2"), c3d=extracted("0135", c4="no video stream"))
    assert found == {"fetch": (6, 5, 1, 0, True), "extract c3d": (5, 4, 1, 0, True)}


@pytest.mark.parametrize(
    ("rows", "of_c3d", "expected"),
    [
        (fetched("2"), extracted("013", c4="damaged"), (5, 3, 1, 1, False)),  # 5 is lost
        (fetched("2"), extracted("01345", c4="damaged"), (5, 5, 1, 1, False)),  # 4 has two fates
        (fetched("2"), extracted("013455"), (5, 6, 0, 1, False)),  # 5 is kept twice
        (fetched("2"), extracted("012345"), (5, 6, 0, 1, False)),  # 2 was not fetched
        (fetched("2"), extracted("01347"), (5, 5, 0, 2, False)),  # a stranger instead of 5
    ],
)
def test_a_clip_astray_is_counted(
    rows: list[FetchedClip], of_c3d: Extracted, expected: tuple[Any, ...]
) -> None:
    assert steps(rows, c3d=of_c3d)["extract c3d"] == expected


def test_a_clip_that_was_not_fetched_or_twice_is_astray() -> None:
    whole = extracted("012345")
    assert steps(fetched(known="01234"), c3d=whole)["fetch"] == (6, 5, 0, 1, False)
    assert steps(fetched("2", known="0123452"), c3d=whole)["fetch"] == (6, 5, 2, 1, False)
    assert steps(fetched(known="0123457"), c3d=whole)["fetch"] == (6, 7, 0, 1, False)


def test_imported_features_are_of_listed_clips_and_need_no_media() -> None:
    mine = extracted("01234", c5="not in the files")
    mine.is_imported = True
    assert steps([], mine=mine) == {"import mine": (6, 5, 1, 0, True)}
    both = steps(fetched("0"), c3d=extracted("12345"), mine=mine)
    assert both == {
        "fetch": (6, 5, 1, 0, True),
        "extract c3d": (5, 5, 0, 0, True),
        "import mine": (6, 5, 1, 0, True),
    }


def test_rejections_say_where_and_why() -> None:
    of = {"vggish": extracted("013", c5="damaged: at 3 s", c4="no sound"), "c3d": extracted("01")}
    coverage = Coverage("mine", LISTED, fetched("2"), of)
    assert coverage.rejections() == [
        Rejection("mine", "fetch", "c2", "download failed: HTTP 404"),
        Rejection("mine", "extract vggish", "c4", "no sound"),
        Rejection("mine", "extract vggish", "c5", "damaged: at 3 s"),
    ]
    assert (coverage.num_classes, coverage.num_sources) == (3, 3)
    more = [*coverage.rejections(), Rejection("mine", "extract vggish", "c9", "damaged: at 7 s")]
    assert by_kind(more) == [
        ("mine", "extract vggish", "damaged", 2),
        ("mine", "fetch", "download failed", 1),
        ("mine", "extract vggish", "no sound", 1),
    ]


def scored(**changes: Any) -> Row:
    run = Run("d", "built", "both", "hashed", "avca", 0)
    return Row(identity_of(run), (scores_of(run, **changes),), {}, Statistic(None, None))


def of_class(name: str, num_clips: int) -> ClassAccuracy:
    return ClassAccuracy(name, is_unseen=False, num_clips=num_clips, gzsl=None, zsl=None)


AUDIT = SplitAudit(
    passed=True,
    checks=[],
    counts={
        name: PartitionCounts(clips, classes=1, sources=1)
        for name, clips in zip(PARTITIONS, (100, 10, 20, 7, 9), strict=True)
    },
    excluded={},
)


@pytest.mark.parametrize(
    ("of_classes", "missing", "expected"),
    [
        ((7, 9), {}, (16, 16, 0, 0)),
        ((6, 7), {"test_seen": 1, "test_unseen": 2, "train": 5}, (16, 13, 3, 0)),
        ((6, 9), {}, (16, 15, 0, 1)),  # a clip is lost
        ((6, 9), {"train": 1, "val_seen": 1, "val_unseen": 1}, (16, 15, 0, 1)),
        ((7, 9), {"test_seen": 1}, (16, 16, 1, 1)),  # a clip too many
    ],
)
def test_test_clips_are_scored_or_missing(
    of_classes: tuple[int, int], missing: dict[str, int], expected: tuple[int, ...]
) -> None:
    row = scored(per_class=tuple(of_class("a", n) for n in of_classes), num_missing=missing)
    found = balances.tested_step(row, AUDIT)
    assert found == Step("test clips of split built with both", *expected)
    assert found.adds_up == (expected[-1] == 0)


def run_of(model: str, seed: int, seen: float | None) -> Scores:
    return scores_of(
        Run("d", "s", "f", "t", model, seed),
        scores=Accuracies(seen=seen, unseen=0.25, hm=0.3, zsl=0.5),
        chance=Accuracies(seen=0.1, unseen=0.1, hm=0.1, zsl=0.1),
        bias=seed / 10,
        per_class=(of_class("a", 3),),
    )


def test_rows_are_means_over_seeds() -> None:
    runs = [run_of("b", 1, 0.2), run_of("a", 3, 0.4), run_of("b", 0, 0.5), run_of("a", 2, 0.1)]
    first, second = rows_of(runs)
    assert (first.names["model"], second.names["model"]) == ("a", "b")
    assert [run.run.seed for run in second.runs] == [0, 1]
    assert first.scores["seen"].mean == pytest.approx(0.25)
    assert first.scores["seen"].std == pytest.approx((2 * 0.15**2) ** 0.5)
    assert second.scores["seen"].mean == pytest.approx(0.35)
    assert second.scores["zsl"].chance == 0.1
    assert second.bias.mean == pytest.approx(0.05)


def test_a_score_that_one_seed_lacks_has_no_mean() -> None:
    (row,) = rows_of([run_of("a", 0, 0.2), run_of("a", 1, None)])
    assert (row.scores["seen"].mean, row.scores["seen"].std) == (None, None)
    (row,) = rows_of([run_of("a", 0, 0.2)])
    assert (row.scores["seen"].mean, row.scores["seen"].std) == (0.2, None)
    assert row.best == frozenset()


def test_accuracies_of_classes_have_unseen_ones_first() -> None:
    names = (("b", False), ("c", True), ("a", False), ("d", True))
    runs = []
    for seed, gzsl in ((0, 0.2), (1, 0.6)):
        per_class = [
            ClassAccuracy(name, is_unseen, 2, gzsl, 0.5 if is_unseen else None)
            for name, is_unseen in names
        ]
        runs.append(replace(run_of("m", seed, 0.1), per_class=tuple(per_class)))
    (row,) = rows_of(runs)
    found = class_accuracies(row)
    assert [(one.class_name, one.is_unseen) for one in found] == [
        ("c", True), ("d", True), ("a", False), ("b", False)
    ]  # fmt: skip
    assert [one.gzsl.mean for one in found] == pytest.approx([0.4] * 4)
    assert [one.zsl.mean for one in found] == [0.5, 0.5, None, None]
    assert {one.num_clips for one in found} == {2}
