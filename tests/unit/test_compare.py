"""Two results side by side: scores, differences and their intervals, and what else differs."""

from __future__ import annotations

import csv
import math
import shutil
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.special import stdtrit

from avca_pipeline.artifacts import predictions, records, scores
from avca_pipeline.artifacts.predictions import ClipPrediction, NearClass
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Accuracies, ClassAccuracy
from avca_pipeline.cli import main
from avca_pipeline.reporting.side_by_side import read, side_by_side
from avca_pipeline.reporting.side_by_side_texts import as_text
from tests.builders import scores_of

CLASSES = {f"<b>{kind}</b> {n}": kind == "unseen" for kind in ("seen", "unseen") for n in range(6)}
CLIPS = 8  # of a class


def written(results: Path, hms: list[float], model: str = "avca", **settings: object) -> None:
    """Writes runs of one row, one for each seed."""
    per_class = tuple(ClassAccuracy(name, u, CLIPS, 0.5, None) for name, u in CLASSES.items())
    for seed, hm in enumerate(hms):
        run = Run("d", "s", "f", "t", model, seed)
        value = scores_of(run, per_class=per_class, scores=Accuracies(0.1, 0.2, hm, None))
        provenance = replace(value.provenance, settings=dict(settings), versions={"torch": "2"})
        scores.write(results / run.path / "scores.json", replace(value, provenance=provenance))


def answered(results: Path, right: int, model: str = "avca", clips: int = CLIPS) -> None:
    """Writes predictions of seed 0, in which so many of a class's clips are right."""
    names = list(CLASSES)
    seen, unseen = NearClass(names[0], False, 0.5), NearClass(names[6], True, 0.5)
    rows = []
    for name, is_unseen in CLASSES.items():
        for number in range(clips):
            is_right = number < right
            own = NearClass(name, is_unseen, 0.1 if is_right else 0.9)
            other = NearClass(names[7 if is_unseen else 1], is_unseen, 0.2)
            near = own if is_right or other.class_name == name else other
            rows.append(
                ClipPrediction(
                    f"{name} {number}", name, is_unseen, 1 if is_right else 2,
                    (1 if is_right else 2) if is_unseen else None,
                    nearest_seen=seen if is_unseen else near,
                    nearest_unseen=near if is_unseen else unseen,
                    top=(near,),
                )
            )  # fmt: skip
    path = results / Run("d", "s", "f", "t", model, 0).path
    predictions.write(path / "predictions.csv", 0.0, rows)


def test_seeds_alone_give_students_interval(tmp_path: Path) -> None:
    before, after = [0.30, 0.34, 0.29], [0.41, 0.39, 0.46, 0.44]
    written(tmp_path / "a", before)
    written(tmp_path / "b", after)
    (line,) = side_by_side(read(tmp_path / "a"), read(tmp_path / "b")).lines
    cell = line.cells["hm"]
    parts = [statistics.variance(values) / len(values) for values in (before, after)]
    free = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    half = stdtrit(free, 0.975) * math.sqrt(sum(parts))
    difference = statistics.fmean(after) - statistics.fmean(before)
    assert cell.difference == pytest.approx(difference)
    assert (cell.low, cell.high) == pytest.approx((difference - half, difference + half))
    assert line.interval_of == "seeds"
    assert line.remark == f"no predictions.csv in {tmp_path / 'a'}"
    # No seed differs from another in S, and ZSL is not defined.
    assert (line.cells["seen"].low, line.cells["zsl"].difference) == (None, None)


def test_the_same_clips_give_a_paired_interval_with_the_sign_of_b_less_a(tmp_path: Path) -> None:
    for name, right, hm in (("a", 2, 0.25), ("b", 7, 0.875)):
        written(tmp_path / name, [hm])
        answered(tmp_path / name, right)
    a, b = read(tmp_path / "a"), read(tmp_path / "b")
    for pair, sign in (((a, b), 1), ((b, a), -1)):
        (line,) = side_by_side(*pair).lines
        cell = line.cells["hm"]
        assert line.interval_of == "classes and clips"
        assert cell.difference is not None
        assert cell.low is not None
        assert cell.high is not None
        assert cell.is_clear
        assert sign * cell.difference == pytest.approx(0.625)
        assert 0 < min(sign * cell.low, sign * cell.high) < 0.625
        assert cell.low < cell.difference < cell.high
    (same,) = side_by_side(a, a).lines
    assert not same.cells["hm"].is_clear
    answered(tmp_path / "b", 7, clips=3)
    (line,) = side_by_side(a, read(tmp_path / "b")).lines
    assert line.interval_of == ""
    assert line.remark == "other test clips: 96 and 36, 36 in both"


def test_what_differs_is_named_and_rows_of_one_alone_have_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "a", [0.3], learning_rate=0.1, epochs=3)
    written(tmp_path / "b", [0.3], learning_rate=0.2, epochs=3)
    written(tmp_path / "a", [0.3], "devise")
    written(tmp_path / "b", [0.3], "sje")
    written(tmp_path / "b" / "copied bundle", [0.9])
    (tmp_path / "b/copied bundle/d").replace(tmp_path / "b/bundle")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert "settings.learning_rate: 0.1 → 0.2" in shown
    assert "epochs" not in shown
    assert "Only in A: d · s · f · t · devise" in shown
    assert "Only in B: d · s · f · t · sje" in shown
    assert ["HM", "30.0", "30.0", "+0.0", "–"] in [line.split() for line in shown.splitlines()]
    assert "90.0" not in shown


def test_a_file_of_each_kind_shows_names_as_text(tmp_path: Path) -> None:
    written(tmp_path / "a|<i>", [0.3, 0.31], note="<script>alert(1)</script> | `x`")
    written(tmp_path / "b", [0.5, 0.52], note="=cmd()")
    pair = [str(tmp_path / "a|<i>"), str(tmp_path / "b")]
    for suffix in ("html", "md", "csv"):
        assert main(["compare", *pair, "--out", str(tmp_path / f"c.{suffix}")]) == 0
    page = (tmp_path / "c.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<strong>+20.5</strong>" in page
    text = (tmp_path / "c.md").read_text()
    assert r"\<script\>alert(1)\</script\> \| \`x\`" in text
    assert "| HM | 30.5 | 51.0 | **+20.5** |" in text
    with open(tmp_path / "c.csv", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["score"] == "hm")
    assert float(row["difference_percent"]) == pytest.approx(20.5)
    assert row["interval_of"] == "seeds"


@pytest.mark.parametrize(
    ("first", "more", "message"),
    [
        ("empty", [], "empty: no scores.json in it; name the folder of results"),
        ("nowhere", [], "nowhere: no scores.json in it"),
        ("b", ["--out", "x.txt"], "--out: x.txt: expected a name that ends with .html, .md or"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    first: str,
    more: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    written(tmp_path / "b", [0.3])
    assert main(["compare", str(tmp_path / first), str(tmp_path / "b"), *more]) == 1
    assert message in capsys.readouterr().err


def test_a_difference_of_few_classes_is_not_called_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "CLASSES", dict([*CLASSES.items()][:8]))
    for name, right in (("a", 1), ("b", CLIPS)):
        written(tmp_path / name, [0.3])
        answered(tmp_path / name, right)
    both = side_by_side(read(tmp_path / "a"), read(tmp_path / "b"))
    (line,) = both.lines
    assert line.cells["unseen"].low is not None
    assert line.cells["unseen"].low > 0
    assert [name for name, cell in line.cells.items() if cell.is_clear] == ["seen"]
    assert "fewer than 5 classes" in as_text(both)


def test_classes_that_are_unseen_in_one_alone_are_other_classes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, [0.3])
        answered(tmp_path / name, 3)
    path = tmp_path / "b" / Run("d", "s", "f", "t", "avca", 0).path
    value = scores.read(path / "scores.json")
    swapped = {"<b>seen</b> 5": True, "<b>unseen</b> 5": False}
    per_class = [
        replace(part, is_unseen=swapped.get(part.class_name, part.is_unseen))
        for part in value.per_class
    ]
    scores.write(path / "scores.json", replace(value, per_class=tuple(per_class)))
    rows = predictions.read(path / "predictions.csv")
    clips = [
        replace(
            clip,
            is_unseen=swapped.get(clip.class_name, clip.is_unseen),
            rank_among_unseen=2 if swapped.get(clip.class_name, clip.is_unseen) else None,
            nearest_seen=NearClass("<b>seen</b> 0", False, 0.5),
            nearest_unseen=NearClass("<b>unseen</b> 0", True, 0.5),
            top=(),
        )
        for clip in rows.clips
    ]
    predictions.write(path / "predictions.csv", rows.bias, clips)
    (line,) = side_by_side(read(tmp_path / "a"), read(tmp_path / "b")).lines
    assert line.remark == "other classes"


def test_what_a_killed_workflow_keeps_is_no_second_run(tmp_path: Path) -> None:
    written(tmp_path / "a", [0.3])
    run = Run("d", "s", "f", "t", "avca", 0)
    shutil.copytree(tmp_path / "a" / run.path, records.kept(tmp_path / "a", Path(run.path)))
    (row,) = read(tmp_path / "a").rows
    assert len(row.runs) == 1
