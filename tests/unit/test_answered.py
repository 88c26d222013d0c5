"""The report's sections that follow from predictions: their sentences, cells and links."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.analysis.answers import Answers, answers_of
from avca_pipeline.analysis.comparison import Difference, Interval
from avca_pipeline.artifacts import predictions, scores
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import ClassAccuracy
from avca_pipeline.errors import FormatError
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.ranking import predictions_of
from avca_pipeline.reporting import confused as confused_module
from avca_pipeline.reporting.comparisons import clearly_best, compared, intervals, p_in_words
from avca_pipeline.reporting.confused import confused
from avca_pipeline.reporting.curves import drawn_curves, line_of
from avca_pipeline.reporting.tables import rows_of
from avca_pipeline.requests import ReportedRun, ReportRequest
from avca_pipeline.stages import report
from tests.builders import report_files, scores_of
from tests.numbers.from_predictions import area_below
from tests.unit.test_report import HOSTILE, Page

FORMULA = '=cmd()"\x1b<img src=x>'
CLASSES = {"archery": False, "bowling": False, HOSTILE: True, FORMULA: True}
# Class of each clip, and what it is taken for.
CLIPS = [
    *[("archery", "archery")] * 3, ("archery", "bowling"), ("bowling", FORMULA),
    *[(HOSTILE, FORMULA)] * 6, (HOSTILE, HOSTILE), (HOSTILE, "archery"), (FORMULA, FORMULA),
]  # fmt: skip


def written(folder: Path, model: str, seed: int, clips: list[tuple[str, str]]) -> Path:
    """Writes scores and predictions of a run with these answers; returns the scores' path."""
    run = Run("d", "s", "f", "t", model, seed)
    names, is_unseen = list(CLASSES), np.array(list(CLASSES.values()))
    distance = np.tile(np.arange(4) / 10 + 1, (len(clips), 1))
    target = np.array([names.index(own) for own, _ in clips])
    distance[np.arange(len(clips)), [names.index(answer) for _, answer in clips]] = 0.0
    ids = [f"{HOSTILE}{number:02}" for number in range(len(clips))]
    path = folder / model / str(seed) / "scores.json"
    made = predictions_of(Distances(distance), ids, names, target, is_unseen, bias=0.0)
    predictions.write(path.with_name("predictions.csv"), 0.0, made)
    embeddings = scores.Embeddings(
        ids,
        [own for own, _ in clips],
        np.zeros((len(clips), 2)),
        names,
        is_unseen,
        np.zeros((4, 2)),
    )
    scores.write_embeddings(path.with_name("embeddings.h5"), embeddings)
    per_class = tuple(
        ClassAccuracy(name, unseen, int((target == column).sum()), None, None)
        for column, (name, unseen) in enumerate(CLASSES.items())
    )
    scores.write(path, scores_of(run, per_class=per_class))
    return path


def read(paths: list[Path]) -> tuple[list, dict[Run, Answers]]:
    """Returns rows and answers of what `written` has written."""
    of_runs = [scores.read(path) for path in paths]
    return rows_of(of_runs), {
        value.run: answers_of(predictions.read(path.with_name("predictions.csv")), CLASSES, "")
        for value, path in zip(of_runs, paths, strict=True)
    }


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of one method, and one of another that is right about every clip."""
    folder = tmp_path_factory.mktemp("runs")
    right = [(own, own) for own, _ in CLIPS]
    return [
        written(folder, "avca", 0, CLIPS),
        written(folder, "avca", 1, right),
        written(folder, "devise", 0, right),
    ]


@pytest.fixture(scope="module")
def html(paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about them."""
    out = tmp_path_factory.mktemp("page")
    runs = [ReportedRun(run=scores.read(path).run, candidates=[]) for path in paths]
    files = report_files(
        scores=paths,
        embeddings=[path.with_name("embeddings.h5") for path in paths],
        predictions=[path.with_name("predictions.csv") for path in paths],
    )
    report.run(ReportRequest(runs=runs, datasets=[]), files, out / "r.html", out / "t.csv")
    return (out / "r.html").read_text(encoding="utf-8")


def test_flow_and_hub_in_words(paths: list[Path]) -> None:
    rows, answers = read(paths)
    avca, devise = confused(rows, answers)
    assert avca.flows == [
        "Seed 0: 1 of 9 unseen clips went to seen classes, 6 to a wrong unseen class, 2 to the "
        "right class. 1 of 5 seen clips went to unseen classes, 1 to a wrong seen class, 3 to the "
        "right class.",
        "Seed 1: 0 of 9 unseen clips went to seen classes, 0 to a wrong unseen class, 9 to the "
        "right class. 0 of 5 seen clips went to unseen classes, 0 to a wrong seen class, 5 to the "
        "right class.",
    ]
    assert avca.hubs == [
        f"Seed 0: “{FORMULA}” (unseen, 1 clip of its own) is the answer for 8 clips, 7 of them of "
        "other classes."
    ]
    assert devise.hubs == []
    assert devise.flows[0].startswith("0 of 9 unseen clips")


def test_cells_and_their_clips(paths: list[Path]) -> None:
    avca, _ = confused(*read(paths))
    assert [of.name for of in avca.classes] == list(CLASSES)  # seen ones first
    numbers = [[cell.num_clips if cell else 0 for cell in cells] for cells in avca.cells]
    assert numbers == [[3, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 6], [0, 0, 0, 1]]
    shades = [[cell.shade if cell else 0 for cell in cells] for cells in avca.cells]
    assert shades == [[3, 1, 0, 0], [0, 0, 0, 4], [1, 0, 1, 3], [0, 0, 0, 4]]
    listed = {(p.target.name, p.answered.name): p for p in avca.pairs}
    assert next(iter(listed)) == (HOSTILE, FORMULA)
    assert avca.num_pairs == 4
    for (own, answer), pair in listed.items():
        expected = [f"{HOSTILE}{n:02}" for n, clip in enumerate(CLIPS) if clip == (own, answer)]
        assert pair.clip_ids == expected
        cell = avca.cells[pair.target.number - 1][pair.answered.number - 1]
        assert cell is not None
        assert (cell.anchor, cell.is_right) == (pair.anchor, own == answer)
    hostile = avca.per_class[0]
    assert (hostile.of.name, hostile.num_clips, hostile.num_right) == (HOSTILE, 8, 1)
    assert [(of.name, count) for of, count in hostile.answers] == [(FORMULA, 6), ("archery", 1)]


def test_what_is_listed_is_bounded(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confused_module, "MAX_CLASSES", 3)
    monkeypatch.setattr(confused_module, "MAX_PAIRS", 4)
    monkeypatch.setattr(confused_module, "MAX_CLIPS_OF_PAIR", 2)
    avca, _ = confused(*read(paths))
    assert avca.cells == []
    assert len(avca.pairs) == 4
    assert (len(avca.pairs[0].clip_ids), avca.pairs[0].num_clips) == (2, 6)
    monkeypatch.undo()
    monkeypatch.setattr(confused_module, "MAX_CELLS", 7)
    first, second = confused(*read(paths))
    assert len(first.cells) == 4  # seven cells are not empty
    assert second.cells == []


def test_every_link_of_the_matrix_leads_to_clips(html: str) -> None:
    section = html[html.index('<section id="confusions"') : html.index('<section id="calibration"')]
    links = re.findall(r'<td[^>]*><a href="#([^"]+)">(\d+)</a>', section)
    assert len(links) == 7 + 4
    for anchor, number in links:
        (clips,) = re.findall(rf'<ul class="clips" id="{anchor}">(.*?)</ul>', section, re.DOTALL)
        assert clips.count("<li>") == int(number)


def test_hostile_names_are_text(html: str) -> None:
    page = Page()
    page.feed(html)
    page.close()
    assert not {tag for tag, _ in page.tags} & {"script", "b", "img"}
    assert "\x1b" not in html
    assert FORMULA.replace("\x1b", "\\x1b") in page.text
    assert f"{HOSTILE}04" in page.text


def test_methods_are_compared_in_words(paths: list[Path], html: str) -> None:
    (group,) = compared(*read(paths))
    assert group.evidence == "5 clips of 2 seen classes and 9 clips of 2 unseen classes"
    # Of avca one seed is right everywhere; HM of the other: S 3/8, U (1/8 + 1)/2.
    hm = 2 * 0.375 * 0.5625 / (0.375 + 0.5625)
    (words,) = group.sentences("hm")
    assert f"by {100 * (1 - (1 + hm) / 2):.1f} HM (95 % interval " in words
    assert words in html
    interval = intervals([group])[group.rows[1].identity]["hm"]
    assert (interval.low, interval.high) == pytest.approx((1, 1))
    assert clearly_best([group], "hm") == set()
    assert group.warning.startswith("2 seen classes and 2 unseen classes cannot show how")
    assert "2 unseen classes cannot show how scores vary" in html
    clear = Difference("zsl", 1, 0, 0.0412, Interval(-0.012, 0.07), p=0.004)
    assert "do not differ clearly" in group.sentence(clear)
    group = replace(group, found=replace(group.found, num_classes=(5, 5)))
    assert group.warning == ""
    assert clearly_best([group], "hm") == {group.rows[1].identity}
    assert group.sentence(clear) == (
        "devise is better than avca by 4.1 ZSL (95 % interval −1.2 to 7.0, p = 0.004 after Holm)."
    )
    unclear = Difference("hm", 0, 1, 0.01, Interval(-0.0002, 0.07), p=0.6)
    assert group.sentence(unclear) == (
        "avca and devise do not differ clearly: by 1.0 HM (95 % interval 0.0 to 7.0, p = 0.60 "
        "after Holm)."
    )
    assert p_in_words(0.0002) == "p < 0.001"


def test_the_curve_is_drawn_from_corner_to_corner(paths: list[Path], html: str) -> None:
    first, second = drawn_curves(*read(paths))
    assert len(first.seeds) == 2
    assert second.area == "100.0"
    assert second.cost == "The chosen bias is the best one: HM 100.0."
    assert line_of(second.seeds[0].found) == [(0.0, 100.0), (100.0, 100.0), (100.0, 0.0)]
    whole = first.seeds[0].found
    line = line_of(whole)
    assert line[0] == (0.0, pytest.approx(100 * whole.seen[0], abs=0.11))
    assert line[-1] == (pytest.approx(100 * whole.unseen[-1], abs=0.11), 0.0)
    assert area_below(line) / 1e4 == pytest.approx(whole.area, abs=0.002)
    assert html.count("S over U at every bias: ") == 2 * 2  # the title, and what is read aloud


def test_predictions_of_other_classes_are_one_line(paths: list[Path], tmp_path: Path) -> None:
    path = written(tmp_path, "avca", 0, CLIPS)
    value = scores.read(path)
    scores.write(path, scores_of(value.run, per_class=value.per_class[:2]))
    files = report_files(
        scores=[path],
        embeddings=[path.with_name("embeddings.h5")],
        predictions=[path.with_name("predictions.csv")],
    )
    request = ReportRequest(runs=[ReportedRun(run=value.run, candidates=[])], datasets=[])
    with pytest.raises(FormatError, match=r"predictions\.csv: class .* delete the file, evaluate"):
        report.run(request, files, tmp_path / "r.html", tmp_path / "t.csv")
    assert not (tmp_path / "r.html").exists()


def test_without_thumbnails_no_media_are_read(paths: list[Path], tmp_path: Path) -> None:
    files = report_files(
        scores=paths[:1],
        embeddings=[paths[0].with_name("embeddings.h5")],
        predictions=[paths[0].with_name("predictions.csv")],
    )
    for are_wanted, words in ((True, "were not here"), (False, "are switched off")):
        runs = [ReportedRun(run=scores.read(paths[0]).run, candidates=[])]
        request = ReportRequest(runs=runs, datasets=[], thumbnails=are_wanted)
        report.run(request, files, tmp_path / "r.html", tmp_path / "t.csv")
        assert words in (tmp_path / "r.html").read_text(encoding="utf-8")
