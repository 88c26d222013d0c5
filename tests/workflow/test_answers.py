"""What a run of the workflow keeps of its answers, and what its report makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from avca_pipeline.analysis.answers import answers_of
from avca_pipeline.artifacts import predictions, scores
from avca_pipeline.reporting.thumbnails import SIDE
from tests.builders import content_of
from tests.numbers.from_predictions import scores_from, table
from tests.numbers.test_analysis import check
from tests.unit.test_thumbnails import decoded


@pytest.fixture
def answers(finished: Path) -> Path:
    """The predictions of the only run."""
    (path,) = finished.rglob("predictions.csv")
    return path


def test_scores_follow_from_the_predictions(answers: Path) -> None:
    stated, rows = content_of(answers.with_name("scores.json")), table(answers)
    again = scores_from(rows)
    assert stated["scores"] == pytest.approx(again["scores"], abs=1e-12)
    assert stated["bias"] == again["bias"]
    assert [row["top1"] for row in rows] == again["answers"]
    is_first = [row["rank"] == "1" for row in rows]
    assert is_first == [row["top1"] == row["class_name"] for row in rows]
    counts = {of["class_name"]: of["num_clips"] for of in stated["per_class"]}
    names = [row["class_name"] for row in rows]
    assert {name: names.count(name) for name in counts} == counts


def test_all_other_numbers_follow_from_them_too(answers: Path) -> None:
    """AUSUC, the best bias, confusions, flow and the share of right classes in the top five."""
    per_class = scores.read(answers.with_name("scores.json")).per_class
    classes = {of.class_name: of.is_unseen for of in per_class}
    check(answers_of(predictions.read(answers), classes, str(answers)), table(answers))


def test_the_workflow_s_page_has_pictures_of_its_clips(finished: Path) -> None:
    """Each is in the page once; every clip that is shown with one refers to it."""
    html = (finished / "results" / "report.html").read_text(encoding="utf-8")
    made = dict(re.findall(r"--thumb(\d+): url\(data:image/jpeg;base64,([^)]+)\)", html))
    used = set(re.findall(r"background-image:var\(--thumb(\d+)\)", html))
    assert made
    assert set(made) == used
    assert all(decoded(text).shape[1] <= SIDE for text in made.values())
    assert f"{len(made)} clips have a thumbnail" in html
