"""Tables of answers, and what the report counts of them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import answers, features, fetched, manifest
from avca_pipeline.artifacts.answers import Answer, RankedClass
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import FormatError
from avca_pipeline.requests import ReportedDataset, ReportRequest
from avca_pipeline.stages import report
from tests.builders import SHARD, report_files

NAMES = ("=cmd()", "'quoted", "plain", "<b>bold</b>")
RANKING = (
    RankedClass("=a class", True, 0.1 + 0.2, 1 / 3),
    RankedClass("a, 'b'", False, 1e-300, 2 / 3),
)


def made() -> list[Answer]:
    """Returns answers for two clips, and reasons for two."""
    return [
        Answer(NAMES[0], "", RANKING),
        Answer(NAMES[1], "own", RANKING[:1]),
        Answer(NAMES[2], "", (), "empty file"),
        Answer(NAMES[3], "", (), "no video stream"),
    ]


def test_a_table_is_read_as_it_was_written_and_holds_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    answers.write(path, made(), 3)
    assert answers.read(path) == made()
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {3 + 3 * 4}
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace("top1_kind", "kind", 1), "expected either an answer or a"),
        (lambda text: text.replace(",seen,", ",sen,", 1), "kind is 'sen', expected seen"),
        (lambda text: text.replace("empty file", ""), "'plain': expected either an answer or"),
        (lambda text: text + text.splitlines()[-1] + "\n", "a clip stands there twice"),
        (lambda text: text.replace("1e-300", "near"), "could not convert string to float"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path: Path, change, expected: str) -> None:
    path = tmp_path / "a.csv"
    answers.write(path, made(), 2)
    path.write_text(change(path.read_text()))
    with pytest.raises(FormatError, match=expected) as error:
        answers.read(path)
    assert len(error.value.lines) == 1


def reported(folder: Path, given: list[Answer]) -> str:
    """Returns the page about four clips without classes, which a bundle has classified."""
    manifest.write(folder / "clips.csv", [Clip(name, name, "", name) for name in NAMES])
    rows = [FetchedClip(name, OK, sha256="0" * 64, size=1) for name in NAMES]
    rows[2] = replace(rows[2], status=REJECTED, reason="empty file")
    (folder / "fetched").mkdir()
    fetched.write(folder / f"fetched/{SHARD}.csv", rows)
    ones = np.ones(2, np.int64)
    of_clips = Features(NAMES[:2], np.ones((2, 3), np.float32), ones, ones > 1)
    features.write(folder / "f.h5", replace(of_clips, rejected={NAMES[3]: "no video stream"}))
    answers.write(folder / "a.csv", given, 2)
    dataset = ReportedDataset(
        dataset="inbox", num_shards=1, features=("frames",), splits=(), applied=("mine",)
    )
    files = report_files(
        manifests=[folder / "clips.csv"], fetched=[folder / f"fetched/{SHARD}.csv"],
        features=[folder / "f.h5"], applied=[folder / "a.csv"],
    )  # fmt: skip
    request = ReportRequest(runs=(), datasets=(dataset,))
    report.run(request, files, folder / "page.html", folder / "table.csv")
    return (folder / "page.html").read_text()


def test_the_report_counts_answers_where_nothing_was_trained(tmp_path: Path) -> None:
    page = reported(tmp_path, made())
    counts = "".join(f'<td class="n">{number}</td>' for number in (4, 2, 2))
    assert f'<th scope="row">apply mine</th>{counts}' in page
    assert "Every clip is accounted for" in page
    assert "Clips of inbox (4 clips), classified" in page
    reasons = Counter(
        reason for reason in ("empty file", "no video stream")
        if f"<td>apply mine</td><th scope=\"row\">{reason}</th><td class=\"n\">1</td>" in page
    )  # fmt: skip
    assert sorted(reasons) == ["empty file", "no video stream"]
    assert "<b>" not in page


def test_a_lost_clip_is_astray(tmp_path: Path) -> None:
    assert "✗ 1 astray" in reported(tmp_path, made()[:3])
