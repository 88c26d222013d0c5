"""The report of tiny made-up results: its numbers, its escaping, and that nothing is lost."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import (
    audits,
    features,
    fetched,
    manifest,
    predictions,
    scores,
    training,
)
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Accuracies, Choice, ClassAccuracy, Embeddings
from avca_pipeline.artifacts.split import BuiltSplit, SplitClip
from avca_pipeline.errors import FormatError
from avca_pipeline.evaluation import accuracy
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.ranking import predictions_of
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.models import ale
from avca_pipeline.published.checksums import known_checksums
from avca_pipeline.reporting.figures import embedding_plot
from avca_pipeline.requests import ReportedDataset, ReportedRun, ReportRequest
from avca_pipeline.stages import report
from avca_pipeline.stages.report import ReportFiles
from tests.builders import VALIDATION, history_of, report_files, scores_of

HOSTILE = '<script>alert(1)</script> & "x" $\\alpha_'
CLASSES = ("archery", "bowling", HOSTILE, "drumming")
UNSEEN = (HOSTILE, "drumming")
SHARDS = ("00000-of-00002", "00001-of-00002")
BACKBONES = ("c3d", "vggish")
CANDIDATES = ("dropout=0.0", "dropout=0.2 <i>")
SEEN = {("one", "avca"): (0.5, 0.7), ("one", "ale"): (0.3, 0.4), ("two", "avca"): (0.25, 0.25)}
SPECIAL = {"ale": {"heads": HOSTILE}}
UNFETCHED, UNHEARD = "archery-0", "bowling-0"
AVCA_PAPER = "https://arxiv.org/abs/2203.03598"
VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}


@dataclass
class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the text of table cells."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += f" {data.strip()}" if data.strip() else ""

    def row(self, *start: str) -> list[str]:
        """Returns the cells of the only row that starts with these."""
        stripped = [[cell.strip() for cell in row] for row in self.rows]
        (found,) = [row for row in stripped if row[: len(start)] == list(start)]
        return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets with one split each, and two models on the first of them."""
    root = tmp_path_factory.mktemp("results")
    for dataset in ("one", "two"):
        _dataset(root / dataset)
    for (dataset, model), values in SEEN.items():
        for seed, value in enumerate(values):
            _run(root, dataset, model, seed, value)
    _report(root, root)
    return root


@pytest.fixture(scope="module")
def page(results: Path) -> Page:
    """The report of them."""
    return _parsed(results / "report.html")


def test_names_are_escaped(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "b"}
    rows = [[cell.strip() for cell in row] for row in page.rows]
    assert [HOSTILE, "unseen", "3", "50.0 ± 0.0", "50.0 ± 0.0"] in rows
    # For each row in the table of classes, the legend, and where the pointer rests on clips and on
    # the class; a hyper-parameter in the result table and in the provenance.
    assert page.text.count(HOSTILE) >= 4 * len(SEEN) + 2
    assert CANDIDATES[1] in page.text


def test_page_needs_nothing_else(page: Page) -> None:
    policy = [a.get("content") for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "img")
        for name in ("src", "href", "xlink:href"):
            # Within the page, or to a file that the page holds.
            assert (attributes.get(name) or "#").startswith(
                ("#", "data:text/", "data:application/")
            )
        assert not any(name.startswith("on") for name in attributes)


def test_ids_are_unique_and_drawings_described(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    # HM and ZSL of all rows; a map and the learning rate of each row; HM and loss of each seed. No
    # curve without seen clips.
    assert len(drawings) == 2 + 2 * len(SEEN) + 2 * sum(len(values) for values in SEEN.values())
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)


def test_the_selected_candidate_is_drawn_in_every_seed_s_panel(results: Path) -> None:
    html = (results / "report.html").read_text(encoding="utf-8")
    assert html.count("stroke-width:2.4;") == 2 * sum(len(values) for values in SEEN.values())


FEW = "U and ZSL: 6 clips of 2 unseen classes"


def test_a_model_is_named_with_what_is_special_about_it(page: Page) -> None:
    rows = [[cell.strip() for cell in row] for row in page.rows]
    group = rows.index([f"one · built · c3d-vggish · hashed {FEW}"])
    assert [row[0] for row in rows[group + 1 : group + 3]] == [f"ale heads: {HOSTILE}", "avca"]


def test_table_has_mean_std_and_chance(page: Page) -> None:
    row = page.row("avca", "2", "60.0 ± 14.1 chance 25.0 n = 0")
    # 0.5 and 0.7: mean 0.6, sample standard deviation sqrt(0.02) = 0.1414
    assert [re.sub(r" 95 %: [\d.]+ to [\d.]+", "", cell) for cell in row[1:]] == [
        "2",
        "60.0 ± 14.1 chance 25.0 n = 0",
        "40.0 ± 0.0 chance 25.0 n = 6",
        "50.0 ± 0.0 chance 25.0 n = 6",
        "80.0 ± 0.0 chance 50.0 n = 6",
    ]


def test_nothing_is_bold_where_two_classes_are_all_the_evidence(results: Path) -> None:
    html = (results / "report.html").read_text(encoding="utf-8")
    assert "Bold:" not in html
    assert not re.search(r"<strong>\d", html)


def test_csv_has_the_same_numbers(results: Path) -> None:
    with open(results / "table.csv", newline="", encoding="utf-8") as file:
        table = {(row["dataset"], row["model"]): row for row in csv.DictReader(file)}
    assert set(table) == set(SEEN)
    row = table["one", "avca"]
    assert float(row["seen_mean_percent"]) == pytest.approx(60)
    assert float(row["seen_std_percent"]) == pytest.approx(14.1421, abs=1e-4)
    assert float(row["hm_chance_percent"]) == pytest.approx(25)
    assert (row["num_seeds"], row["bias_mean"], row["epochs"]) == ("2", "0.6", "2;3")


def test_published_number_stands_beside_the_same_thing_only(results: Path, tmp_path: Path) -> None:
    """The number goes with what the inputs are, and not with the names that a config gives them."""
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    split = audits.SplitMethod("official", {"benchmark": "UCF", "lists": "main"})
    audit = folder / "one/splits/built.audit.json"
    audits.write_split_audit(audit, replace(audits.read_split_audit(audit), split=split))
    paths = [folder / _identity("one", "ale", seed).path / "scores.json" for seed in (0, 1)]
    for path in paths:
        value = scores.read(path)
        scores.write(path, replace(value, provenance=_as_published(value.provenance)))
    page, row = _reported(folder)
    assert "published 14.9" in page.row(f"ale published: {AVCA_PAPER}")[3]
    assert [row[f"{name}_published_percent"] for name in ("seen", "unseen", "hm", "zsl")] == [
        "57.5900", "14.8900", "23.6600", "16.3200",
    ]  # fmt: skip
    assert (row["published_source"], row["published_chosen_on_test"]) == (AVCA_PAPER, "no")
    assert AVCA_PAPER in page.text

    value = scores.read(paths[1])
    random = {**value.provenance.video, "backbone": "timm_frames", "weights": "random:0"}
    scores.write(paths[1], replace(value, provenance=replace(value.provenance, video=random)))
    page, row = _reported(folder)
    assert "published" not in " ".join(page.row("ale", "2"))
    assert row["seen_published_percent"] == row["published_source"] == ""


def _reported(root: Path) -> tuple[Page, dict[str, str]]:
    """Returns the page and the line of ``table.csv`` about ALE on the first dataset."""
    page = _parsed(_report(root, root, {("one", "ale"): (0, 1)}))
    with open(root / "table.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return page, row


def _as_published(provenance: scores.Provenance) -> scores.Provenance:
    """Returns the provenance of scores of ALE on UCF-GZSL, main lists, as published."""
    checksums = known_checksums()["UCF"]
    files = [[path, sha] for path, sha in checksums.items() if "w2v" in path]
    path = "features/avgzsl_benchmark_datasets/UCF/features/main_features"
    video, audio = (
        {
            "name": f"my {modality}",
            "dim": "512",
            "backbone": "imported",
            "weights": "imported",
            "preprocessing": json.dumps({"modality": modality, "path": path}),
        }
        for modality in ("video", "audio")
    )
    return replace(
        provenance,
        video=video,
        audio=audio,
        text={"name": "mine", "plugin": "precomputed", "files": json.dumps(files)},
        model="ale",
        settings=ale.Settings().model_dump(mode="json"),
    )


def test_single_seed_has_no_deviation(results: Path, tmp_path: Path) -> None:
    html = _report(results, tmp_path, {("two", "avca"): (0,)}).read_text(encoding="utf-8")
    assert "50.0<span" in html
    assert "±" not in html[html.index("<tbody") : html.index("</tbody")]


def test_every_clip_is_accounted_for(page: Page) -> None:
    assert "Every clip is accounted for" in page.text
    rows = [[cell.strip() for cell in row] for row in page.rows]
    for first, numbers in (
        ("fetch", ["12", "11", "1"]),
        ("extract c3d 2 shorter than one window, padded", ["11", "11", "0"]),
        ("extract vggish", ["11", "10", "1"]),
        ("test clips of split built with c3d-vggish", ["6", "6", "0"]),
    ):
        found = [row[1:4] for row in rows if row and row[0] == first]
        assert found == [numbers, numbers], first  # once for each dataset
    assert ["one", "fetch", "missing", "1"] in rows
    assert ["two", "extract vggish", UNHEARD, "no audio: <b>silent</b>"] in rows


def test_lost_clip_is_noticed(results: Path, tmp_path: Path) -> None:
    table = results / "one/fetched" / f"{SHARDS[1]}.csv"
    whole = fetched.read(table)
    fetched.write(table, [*whole[:-1], FetchedClip("stranger", OK)])
    try:
        page = _parsed(_report(results, tmp_path, {("two", "avca"): (0,)}))
    finally:
        fetched.write(table, whole)
    assert "The counts do not add up" in page.text
    assert "2 astray" in " ".join(cell for row in page.rows for cell in row)


def test_says_what_the_weights_are(page: Page) -> None:
    assert "seeded random weights: these numbers show that the pipeline works" in page.text


def test_same_files_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    _report(results, tmp_path)
    for name in ("report.html", "table.csv"):
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes()


def test_seeds_of_one_row_have_the_same_classes(results: Path, tmp_path: Path) -> None:
    path = results / "two/runs/built/c3d-vggish/hashed/avca/seed1/scores.json"
    value = scores.read(path)
    changed = replace(value.per_class[0], num_clips=value.per_class[0].num_clips + 1)
    other = tmp_path / "scores.json"
    scores.write(other, replace(value, per_class=(changed, *value.per_class[1:])))
    folder = path.parents[1]
    request = ReportRequest(
        runs=[ReportedRun(run=_identity("two", "avca", seed), candidates=[]) for seed in (0, 1)],
        datasets=[],
    )
    files = report_files(
        scores=[folder / "seed0/scores.json", other],
        embeddings=[folder / f"seed{seed}/embeddings.h5" for seed in (0, 1)],
        predictions=[folder / f"seed{seed}/predictions.csv" for seed in (0, 1)],
    )
    with pytest.raises(FormatError, match="other classes or clips"):
        report.run(request, files, tmp_path / "report.html", tmp_path / "table.csv")


def test_scores_of_another_run_are_refused(results: Path, tmp_path: Path) -> None:
    """A file in the place of another would give a row the scores of the wrong seed."""
    folder = results / "two/runs/built/c3d-vggish/hashed/avca"
    request = ReportRequest(
        runs=[ReportedRun(run=_identity("two", "avca", 0), candidates=[])], datasets=[]
    )
    files = report_files(
        scores=[folder / "seed1/scores.json"], embeddings=[folder / "seed0/embeddings.h5"]
    )
    with pytest.raises(FormatError, match=r"scores of .*seed1, not of .*seed0"):
        report.run(request, files, tmp_path / "report.html", tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_clips", [1, 3, 40])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_few_or_collapsed_embeddings(num_clips: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    plot = embedding_plot(
        Embeddings(
            [f"c{i}" for i in range(num_clips)],
            [HOSTILE] * num_clips,
            spread * rng.normal(size=(num_clips, 8)).astype(np.float32),
            [HOSTILE, "seen"],
            np.array([True, False]),
            spread * rng.normal(size=(2, 8)).astype(np.float32),
        ),
        "title",
    )
    assert bool(plot.svgs) == (spread > 0 and num_clips > 2)
    assert plot.svgs or plot.note


def test_torch_is_not_imported() -> None:
    code = "import sys, avca_pipeline.stages.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def _report(
    root: Path, out: Path, seeds_of: dict[tuple[str, str], tuple[int, ...]] | None = None
) -> Path:
    """Writes the report about some runs, or all."""
    if seeds_of is None:
        seeds_of = {key: tuple(range(len(values))) for key, values in SEEN.items()}
    runs = [_identity(*key, seed) for key, seeds in seeds_of.items() for seed in seeds]
    names = ("one", "two")
    request = ReportRequest(
        runs=[ReportedRun(run=run, candidates=CANDIDATES) for run in runs],
        datasets=[
            ReportedDataset(dataset=name, num_shards=2, features=BACKBONES, splits=["built"])
            for name in names
        ],
    )
    folders = [root / run.path for run in runs]
    files = ReportFiles(
        scores=[folder / "scores.json" for folder in folders],
        embeddings=[folder / "embeddings.h5" for folder in folders],
        predictions=[folder / "predictions.csv" for folder in folders],
        histories=[
            folder / "stage1" / name / "history.json" for folder in folders for name in CANDIDATES
        ],
        audits=[root / name / "splits/built.audit.json" for name in names],
        data_audits=[root / name / "audits/built.json" for name in names],
        manifests=[root / name / "manifest.csv" for name in names],
        fetched=[root / name / f"fetched/{shard}.csv" for name in names for shard in SHARDS],
        features=[root / name / f"features/{part}.h5" for name in names for part in BACKBONES],
    )
    report.run(request, files, out / "report.html", out / "table.csv")
    return out / "report.html"


def _identity(dataset: str, model: str, seed: int) -> Run:
    return Run(dataset, "built", "c3d-vggish", "hashed", model, seed)


def _clips() -> list[Clip]:
    return [
        Clip(f"{'hostile' if name == HOSTILE else name}-{i}", f"{number}-{i}", name, "clip.mp4")
        for number, name in enumerate(CLASSES)
        for i in range(3)
    ]


def _dataset(folder: Path) -> None:
    clips = _clips()
    manifest.write(folder / "manifest.csv", clips)
    for shard, some in zip(SHARDS, (clips[:5], clips[5:]), strict=True):
        fetched.write(
            folder / "fetched" / f"{shard}.csv",
            [
                FetchedClip(clip.clip_id, REJECTED, "missing: no such file")
                if clip.clip_id == UNFETCHED
                else FetchedClip(clip.clip_id, OK, path="clip.mp4")
                for clip in some
            ],
        )
    fetched_clips = [clip.clip_id for clip in clips if clip.clip_id != UNFETCHED]
    for backbone in BACKBONES:
        refused = {UNHEARD: "no audio: <b>silent</b>"} if backbone == "vggish" else {}
        ids = [clip for clip in fetched_clips if clip not in refused]
        padded = np.isin(np.arange(len(ids)), (0, 4) if backbone == "c3d" else ())
        value = Features(ids, np.ones((len(ids), 2)), np.ones(len(ids)), padded, rejected=refused)
        features.write(folder / "features" / f"{backbone}.h5", value)
    rows = [
        SplitClip(
            c.clip_id,
            c.class_name,
            c.source_id,
            "test_unseen" if c.class_name in UNSEEN else "train",
        )
        for c in clips
    ]
    audits.write_split_audit(
        folder / "splits/built.audit.json",
        audit_split(SplitUnderAudit(clips, BuiltSplit(rows, {}))),
    )
    nothing = audits.DataAudit(passed=True, checks=[], coverage=audits.Coverage({}, {}))
    audits.write_data_audit(folder / "audits/built.json", nothing)


def _run(root: Path, dataset: str, model: str, seed: int, seen: float) -> None:
    folder = root / dataset / "runs/built/c3d-vggish/hashed" / model / f"seed{seed}"
    tested = [clip for clip in _clips() if clip.class_name in UNSEEN]
    rng = np.random.default_rng(seed)
    classes = sorted(CLASSES)
    is_unseen = np.array([name in UNSEEN for name in classes])
    scores.write_embeddings(
        folder / "embeddings.h5",
        Embeddings(
            [clip.clip_id for clip in tested],
            [clip.class_name for clip in tested],
            rng.normal(size=(len(tested), 4)),
            classes,
            is_unseen,
            rng.normal(size=(len(classes), 4)),
        ),
    )
    predictions.write(
        folder / "predictions.csv",
        0.6,
        predictions_of(
            Distances(rng.random((len(tested), len(classes)))),
            [clip.clip_id for clip in tested],
            classes,
            np.array([classes.index(clip.class_name) for clip in tested]),
            is_unseen,
            bias=0.6,
        ),
    )
    for candidate in CANDIDATES:
        path = folder / "stage1" / candidate / "history.json"
        training.write_history(path, history_of(candidate, 1, 0.27, 0.27, 0.27))
    provenance = scores_of().provenance
    settings = {"learning_rate": 0.001, "dropout": 0.1 * seed, "heads": 3}
    value = scores_of(
        _identity(dataset, model, seed),
        scores=Accuracies(seen=seen, unseen=0.4, hm=0.5, zsl=0.8),
        chance=Accuracies(**vars(accuracy.chance(2, 2))),
        bias=0.6,
        selection=Choice(CANDIDATES[1], 1 + seed, VALIDATION, 2, is_on_test=False),
        per_class=tuple(_class(name) for name in classes),
        num_missing={"train": 2},
        provenance=replace(provenance, settings=settings | SPECIAL.get(model, {})),
    )
    scores.write(folder / "scores.json", value)


def _class(name: str) -> ClassAccuracy:
    share = 0.5 if name in UNSEEN else None
    return ClassAccuracy(name, name in UNSEEN, 3 if name in UNSEEN else 0, share, share)
