"""Confusions, the curve over biases, top 5 and paired tests, against plain computations."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.analysis import comparison, confusions, resampling
from avca_pipeline.analysis.answers import Answers, answers_of
from avca_pipeline.analysis.comparison import compare, holm
from avca_pipeline.analysis.confusions import Flow, Hub, Pair
from avca_pipeline.analysis.curve import Point, curve
from avca_pipeline.analysis.resampling import resample
from avca_pipeline.artifacts import predictions
from avca_pipeline.artifacts.predictions import RunPredictions
from avca_pipeline.errors import FormatError
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.ranking import predictions_of
from tests.numbers.from_predictions import area_below, curve_from, scores_from, table, top_from

CLASSES = {"a": False, "b": False, "c": False, "u": True, "v": True, "w": True}


def answers(
    *clips: tuple[str, str, str, float], bias: float = 0.0, classes: dict[str, bool] | None = None
) -> Answers:
    """Returns clips given by class, nearest seen class, nearest unseen class and margin."""
    names, is_unseen = list(CLASSES), np.array(list(CLASSES.values()))
    distance = np.full((len(clips), len(names)), 100.0)
    for row, (_, seen, unseen, margin) in enumerate(clips):
        distance[row, names.index(seen)] = 10.0
        distance[row, names.index(unseen)] = 10.0 + margin
    target = np.array([names.index(clip[0]) for clip in clips])
    ids = [f"{number:04}" for number in range(len(clips))]
    made = predictions_of(Distances(distance), ids, names, target, is_unseen, bias)
    return answers_of(RunPredictions(bias, list(made)), classes or CLASSES, "p.csv")


def drawn(number: int, seed: int, num_margins: int = 40) -> Answers:
    """Returns clips of all classes but w, with margins of which many are equal."""
    rng = np.random.default_rng(seed)
    return answers(
        *(
            (str(rng.choice(list("abcuv"))), str(rng.choice(list("abc"))),
             str(rng.choice(list("uvw"))), float(rng.integers(-num_margins, num_margins)) / 16)
            for _ in range(number)
        ),
        bias=0.3,
    )  # fmt: skip


def rows_of(value: Answers, path: Path) -> list[dict[str, str]]:
    """Returns the table of these answers, as `predictions` would write it."""
    distance = np.full((len(value.clip_ids), len(value.class_names)), 100.0)
    here = np.arange(len(value.clip_ids))
    distance[here, value.nearest_seen] = 10.0
    distance[here, value.nearest_unseen] = 10.0 + value.margin
    made = predictions_of(
        Distances(distance), value.clip_ids, value.class_names, value.target, value.is_unseen,
        value.bias,
    )  # fmt: skip
    predictions.write(path, value.bias, made)
    return table(path)


def check(value: Answers, rows: list[dict[str, str]]) -> None:
    """Compares all numbers of a run with those that follow from its table."""
    again = scores_from(rows)
    assert value.scores() == pytest.approx(again["scores"], abs=1e-12)
    assert [value.class_names[column] for column in value.answered] == again["answers"]
    assert value.top_shares(1)["zsl"] == pytest.approx(again["scores"]["zsl"], abs=1e-12)
    for top in (2, 3, 5):
        assert value.top_shares(top) == pytest.approx(top_from(rows, top), abs=1e-12)
    found, points = curve(value), curve_from(rows)
    assert found is not None
    assert list(zip(found.unseen, found.seen, strict=True)) == [
        pytest.approx(point, abs=1e-9) for point in points
    ]
    assert found.area == pytest.approx(area_below(points), abs=1e-9)
    best = max(2 * u * s / (u + s) if u + s else 0.0 for u, s in points)
    assert found.chosen.hm == pytest.approx(again["scores"]["hm"], abs=1e-12)
    assert found.best.hm == pytest.approx(max(best, found.chosen.hm), abs=1e-9)
    kinds = {
        name
        for name, is_unseen in zip(value.class_names, value.is_unseen, strict=True)
        if is_unseen
    }
    counted: Counter[tuple[str, str]] = Counter()
    for row, answer in zip(rows, again["answers"], strict=True):
        same = (answer in kinds) == (row["kind"] == "unseen")
        where = "right" if answer == row["class_name"] else "same" if same else "other"
        counted[row["kind"], where] += 1
    for kind in ("seen", "unseen"):
        expected = Flow(*(counted[kind, where] for where in ("right", "same", "other")))
        assert confusions.flow(value, unseen=kind == "unseen") == expected
        assert expected.total == sum(row["kind"] == kind for row in rows)
    cells = Counter(zip([row["class_name"] for row in rows], again["answers"], strict=True))
    named = value.class_names
    assert {
        (named[pair.target], named[pair.answered]): pair.num_clips
        for pair in confusions.pairs(confusions.matrix(value))
    } == {cell: count for cell, count in cells.items() if cell[0] != cell[1]}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_margins", [2, 40])
def test_all_numbers_follow_from_drawn_predictions(
    seed: int, num_margins: int, tmp_path: Path
) -> None:
    """Two possible margins make ties of dozens of clips."""
    value = drawn(60, seed, num_margins)
    check(value, rows_of(value, tmp_path / "p.csv"))


def test_a_curve_of_four_clips() -> None:
    clips = ("a", "a", "u", 1.0), ("a", "a", "u", 3.0), ("u", "a", "u", 0.0), ("u", "a", "u", 2.0)
    found = curve(answers(*clips, bias=10.0))
    assert found is not None
    assert found.unseen.tolist() == [0, 0.5, 0.5, 1, 1]
    assert found.seen.tolist() == [1, 1, 0.5, 0.5, 0]
    assert found.area == pytest.approx(0.75)
    assert (found.chosen.bias, found.chosen.seen, found.chosen.unseen) == (10.0, 0.0, 1.0)
    # Two stretches reach 2/3; the lower one lies between 0 and 1.
    assert (found.best.bias, found.best.seen, found.best.unseen) == (0.5, 1.0, 0.5)
    at_best = curve(answers(*clips, bias=2.5))
    assert at_best is not None
    # The other of the two: calibration costs nothing.
    assert at_best.best == at_best.chosen == Point(bias=2.5, seen=0.5, unseen=1.0)


def test_clips_that_turn_at_one_bias_turn_together() -> None:
    found = curve(answers(("a", "a", "u", 1.0), ("u", "a", "u", 1.0), bias=1.0))
    assert found is not None
    assert found.unseen.tolist() == [0, 1]
    assert found.seen.tolist() == [1, 0]
    assert found.area == 0.5
    assert (found.chosen.seen, found.chosen.unseen) == (1.0, 0.0)  # a stands before u


@pytest.mark.parametrize("name", ["a", "u"])
def test_there_is_no_curve_of_one_kind_of_class(name: str) -> None:
    value = answers((name, "a", "u", 1.0))
    assert curve(value) is None
    assert value.scores()["hm"] is None
    found = compare([[value], [value]], draws=100)
    assert {difference.score for difference in found.differences} == (
        {"seen"} if name == "a" else {"unseen", "zsl"}
    )
    assert found.num_clips == ((1, 0) if name == "a" else (0, 1))


def test_flow_pairs_and_a_hub() -> None:
    """The six clips of u and one of v are taken for w, which has three and keeps two."""
    value = answers(
        *[("u", "a", "w", -1.0)] * 6,
        ("v", "a", "w", -1.0), ("v", "b", "w", 1.0),
        ("w", "a", "w", -1.0), ("w", "a", "w", -1.0), ("w", "c", "u", 1.0),
        ("a", "a", "w", 1.0), ("a", "b", "w", 1.0), ("b", "b", "v", -1.0),
    )  # fmt: skip
    assert confusions.flow(value, unseen=True) == Flow(right=2, same_kind=7, other_kind=2)
    assert confusions.flow(value, unseen=False) == Flow(right=1, same_kind=1, other_kind=1)
    counts, column = confusions.matrix(value), value.class_names.index
    assert counts.sum() == 14
    assert counts[column("w"), column("w")] == 2
    u, v, w, a, b, c = map(column, "uvwabc")
    assert confusions.pairs(counts) == [
        Pair(u, w, 6), Pair(a, b, 1), Pair(b, v, 1), Pair(v, b, 1), Pair(v, w, 1), Pair(w, c, 1),
    ]  # fmt: skip
    assert confusions.hubs(counts) == [Hub(w, num_own=3, num_answered=9, num_wrong=7)]
    counts[u, w] = 2  # still three times as many as it has, and too few to say so
    assert confusions.hubs(counts) == []


def test_a_class_without_clips_can_be_a_hub_and_counts_in_no_mean() -> None:
    value = answers(*[("u", "a", "w", -1.0)] * 5, ("a", "a", "w", 1.0))
    (hub,) = confusions.hubs(confusions.matrix(value))
    assert (value.class_names[hub.column], hub.num_own, hub.num_wrong) == ("w", 0, 5)
    assert value.scores()["seen"] == 1.0  # b and c have no clips


def test_answers_of_a_class_that_the_run_does_not_have() -> None:
    for classes in ({**CLASSES, "u": False}, {"a": False, "u": True}):
        with pytest.raises(FormatError, match=r"p\.csv: class '.' is none of the run's"):
            answers(("b", "a", "u", 1.0), classes=classes)


def test_answers_are_in_the_order_of_their_clips() -> None:
    value = answers(("a", "a", "u", 1.0), ("b", "b", "u", 2.0), ("c", "c", "u", 3.0))
    made = predictions_of(
        Distances(np.array([[1.0, 2.0], [3.0, 1.0]])), ["z", "y"], ["a", "u"], np.array([0, 1]),
        np.array([False, True]), 0.0,
    )  # fmt: skip
    found = answers_of(RunPredictions(0.0, list(made)), {"a": False, "u": True}, "")
    assert list(found.clip_ids) == ["y", "z"]
    assert found.target.tolist() == [1, 0]
    assert list(value.clip_ids) == sorted(value.clip_ids)


def test_draws_vary_as_theory_says() -> None:
    """Mean and variance of a two-stage bootstrap: classes are drawn, and clips of each anew."""
    right = {"a": (1, 1, 0, 0), "b": (1, 1, 1), "c": (0, 1), "u": (1, 0, 0, 0, 0, 0), "v": (1, 1)}
    value = answers(
        *(
            (name, name if is_right else "a" if name != "a" else "b", "w", 1.0)
            if name in "abc"
            else (name, "a", name if is_right else "w", -1.0)
            for name, listed in right.items()
            for is_right in listed
        )
    )
    found = resample([value, value], draws=40_000)
    for score, names in (("seen", "abc"), ("unseen", "uv"), ("zsl", "uv")):
        share = np.array([np.mean(right[name]) for name in names])
        of_clips = share * (1 - share) / np.array([len(right[name]) for name in names])
        variance = (share.var() + of_clips.mean()) / len(names)
        values = getattr(found, score)
        np.testing.assert_array_equal(values[:, 0], values[:, 1])
        assert values[:, 0].mean() == pytest.approx(share.mean(), abs=0.005)
        assert values[:, 0].var() == pytest.approx(variance, rel=0.04)
    s, u = found.seen[:, 0], found.unseen[:, 0]
    expected = [2 * x * y / (x + y) if x + y else 0.0 for x, y in zip(s, u, strict=True)]
    np.testing.assert_allclose(found.hm[:, 0], expected, atol=1e-12)


def test_blocks_of_draws_change_nothing_but_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "CELLS_AT_ONCE", 60)
    found = resample([drawn(60, 0)], draws=3000)
    whole = drawn(60, 0).scores()
    assert found.seen.mean() == pytest.approx(whole["seen"], abs=0.01)
    assert found.unseen.mean() == pytest.approx(whole["unseen"], abs=0.01)


def test_the_same_predictions_do_not_differ() -> None:
    value = drawn(60, 1)
    found = compare([[value], [value]], draws=500)
    assert {difference.p for difference in found.differences} == {1.0}
    assert {difference.difference for difference in found.differences} == {0.0}
    assert {(d.interval.low, d.interval.high) for d in found.differences} == {(0.0, 0.0)}
    assert found.clearly_best("hm") is None


def all_right(value: Answers) -> Answers:
    """Returns the same clips, each taken for its own class."""
    return replace(value, answered=value.target, rank_among_unseen=np.where(value.of_unseen, 1, 0))


def test_a_method_that_is_always_right_is_clearly_best() -> None:
    """Seeds count by their mean, and p-values are multiplied by the number of pairs at first."""
    one, two, three = (drawn(200, seed) for seed in (1, 1, 1))
    worse = replace(two, answered=np.roll(two.answered, 1))
    best = all_right(three)
    found = compare([[one], [best, best], [worse, one]], draws=1000)
    assert found.clearly_best("hm") is None  # of three and two classes nothing is clear
    assert [found.is_thin(score) for score in ("seen", "unseen", "hm", "zsl")] == [True] * 4
    assert replace(found, num_classes=(5, 4)).clearly_best("seen") == 1
    assert replace(found, num_classes=(5, 4)).clearly_best("hm") is None
    assert replace(found, num_classes=(4, 5)).clearly_best("seen") is None
    assert replace(found, num_classes=(4, 5)).clearly_best("zsl") == 1
    assert replace(found, num_classes=(5, 5)).clearly_best("hm") == 1
    won = [d for d in found.differences if d.score == "hm" and d.first == 1]
    assert {d.second for d in won} == {0, 2}
    known = one.scores()["hm"], worse.scores()["hm"]
    assert won[0].difference == pytest.approx(1 - max(known[0], (known[0] + known[1]) / 2))
    # The smallest p-value of 1000 draws, for the two pairs of three that are clear.
    assert [d.p for d in won] == pytest.approx([3 * 2 / 1001] * 2)
    assert found.intervals[1]["hm"].low == found.intervals[1]["hm"].high == pytest.approx(1)
    assert found.intervals[0]["hm"].low < known[0] < found.intervals[0]["hm"].high
    assert found.num_clips == (int((~one.of_unseen).sum()), int(one.of_unseen.sum()))
    assert found.num_classes == (3, 2)


def test_holm_s_correction() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_an_interval_leaves_a_fortieth_of_the_draws_out_on_either_side() -> None:
    found = comparison._interval(np.arange(1001.0))
    assert (found.low, found.high) == pytest.approx((25.0, 975.0))


def test_p_values_count_draws_on_the_other_side() -> None:
    values = np.array([-1.0, 0.0, *range(1, 98)])
    assert comparison._p_value(values) == pytest.approx(2 * 3 / 100)
    assert comparison._p_value(-values) == pytest.approx(2 * 3 / 100)
    assert comparison._p_value(np.zeros(10)) == 1.0


def test_many_methods_are_compared_with_the_best_alone() -> None:
    value = drawn(40, 3)
    methods = [[value] for _ in range(comparison.MAX_ALL_PAIRS + 1)]
    methods[5] = [all_right(value)]
    pairs = [d for d in compare(methods, draws=200).differences if d.score == "hm"]
    assert len(pairs) == comparison.MAX_ALL_PAIRS
    assert {d.first for d in pairs} == {5}
    fewer = compare(methods[: comparison.MAX_ALL_PAIRS], draws=200)
    assert sum(d.score == "hm" for d in fewer.differences) == len(
        list(itertools.combinations(range(comparison.MAX_ALL_PAIRS), 2))
    )


def test_methods_of_other_clips_are_not_compared() -> None:
    one, two = drawn(60, 1), drawn(60, 2)
    with pytest.raises(FormatError, match="other clips or classes"):
        compare([[one], [two]], draws=10)
    with pytest.raises(FormatError, match="other clips or classes"):
        compare([[one], [replace(one, class_names=["b", "a", "c", "u", "v", "w"])]], draws=10)
    with pytest.raises(FormatError, match="other clips or classes"):
        compare([[one, replace(one, clip_ids=[f"{c}x" for c in one.clip_ids])]], draws=10)
