"""What little stands behind a score is said beside it: few classes or clips, no language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from avca_pipeline.artifacts import scores
from avca_pipeline.artifacts.scores import ClassAccuracy
from avca_pipeline.reporting.evidence import thin_evidence, without_language
from avca_pipeline.reporting.tables import rows_of
from avca_pipeline.requests import ReportedRun, ReportRequest
from avca_pipeline.stages import report
from avca_pipeline.text_embeddings import hashed
from tests.builders import report_files, scores_of
from tests.unit import test_report


@pytest.mark.parametrize(
    ("seen", "unseen", "expected"),
    [
        ([20, 20], [20, 20], []),
        ([15, 15], [5, 25], []),
        ([15, 14], [20, 20], ["S: 29 clips of 2 seen classes"]),
        ([20, 20], [3, 4, 2], ["U and ZSL: 9 clips of 3 unseen classes"]),
        (
            [20, 20], [100],
            ["U and ZSL: one unseen class with 100 clips; ZSL is 100 whatever the model does"],
        ),
        ([100], [20, 20], ["S: one seen class with 100 clips"]),
        ([1], [20, 20], ["S: one seen class with 1 clip"]),
        ([20, 20], [50, 4, 1], ["U and ZSL: 2 of 3 unseen classes have fewer than 5 clips"]),
        ([20, 20, 0], [20, 20, 0], []),  # no score is of a class without clips
        ([20, 20], [20, 0],
         ["U and ZSL: one unseen class with 20 clips; ZSL is 100 whatever the model does"]),
        ([2, 2], [2, 2],
         ["S: 4 clips of 2 seen classes", "U and ZSL: 4 clips of 2 unseen classes"]),
    ],
)  # fmt: skip
def test_what_is_said_of_a_row(seen: list[int], unseen: list[int], expected: list[str]) -> None:
    per_class = [
        ClassAccuracy(f"class {is_unseen} {n}", is_unseen, number, None, None)
        for is_unseen, numbers in ((False, seen), (True, unseen))
        for n, number in enumerate(numbers)
    ]
    (row,) = rows_of([scores_of(per_class=tuple(per_class))])
    assert thin_evidence(row) == expected


def test_the_report_says_it_beside_the_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_report._run(tmp_path, "one", "avca", 0, seen=0.5)
    path = next(tmp_path.rglob("scores.json"))
    reported = ReportedRun(run=scores.read(path).run, candidates=[])
    request = ReportRequest(runs=[reported], datasets=[])
    files = report_files(
        scores=[path],
        embeddings=[path.with_name("embeddings.h5")],
        predictions=[path.with_name("predictions.csv")],
    )
    report.run(request, files, tmp_path / "r.html", tmp_path / "t.csv")
    words = "clips of 2 unseen classes"
    line = next(x for x in (tmp_path / "r.html").read_text().splitlines() if words in x)
    assert "<strong>one · built · c3d-vggish · hashed</strong>" in line
    assert "U and ZSL: " in line
    assert "little evidence behind U and ZSL: " in capsys.readouterr().err


WORDS = hashed.describe(hashed.Settings())


@pytest.mark.parametrize(
    ("video", "audio", "text", "is_warned"),
    [
        ("random:0", "random:3", WORDS, False),
        ("random:0", "", WORDS, False),
        ("ab12", "", WORDS, True),
        ("random:0", "ab12", WORDS, True),
        ("imported", "imported", WORDS, True),
        ("ab12", "ab12", f"WordLlama 0.4.0 | {WORDS}", True),
        ("ab12", "ab12", "WordLlama 0.4.0", False),
    ],
)
def test_hashed_words_are_warned_of_where_backbones_have_learned(
    video: str, audio: str, text: str, is_warned: bool, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    test_report._run(tmp_path, "one", "avca", 0, seen=0.5)
    path = next(tmp_path.rglob("scores.json"))
    value = scores.read(path)
    provenance = replace(
        value.provenance,
        video={"weights": video},
        audio={"weights": audio} if audio else {},
        text_embedding=text,
    )
    scores.write(path, replace(value, provenance=provenance))
    (row,) = rows_of([scores.read(path)])
    assert bool(without_language(row)) == is_warned
    request = ReportRequest(runs=[ReportedRun(run=value.run, candidates=[])], datasets=[])
    files = report_files(
        scores=[path],
        embeddings=[path.with_name("embeddings.h5")],
        predictions=[path.with_name("predictions.csv")],
    )
    report.run(request, files, tmp_path / "r.html", tmp_path / "t.csv")
    for said in ((tmp_path / "r.html").read_text(), capsys.readouterr().err):
        assert ("words, which hold no language" in said) == is_warned
