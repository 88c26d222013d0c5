"""The rule ``apply``: the answers of ``evaluate`` and ``avca predict``, from a run or a bundle."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import avca_pipeline
from avca_pipeline import cli
from avca_pipeline.artifacts import answers, bundle, features, fetched, manifest
from avca_pipeline.artifacts.answers import Answer
from avca_pipeline.config import parse
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.planning.staleness import staleness
from avca_pipeline.stages import VERSIONS
from tests.workflow import kill_apply
from tests.workflow.driving import planned, snakemake, tiny
from tests.workflow.test_inference import RUN, StoredTest

NEW = ["a storm at sea", "playing the guitar"]


def config() -> dict[str, Any]:
    """Returns the tiny config that classifies its own clips, with the run and with its bundle."""
    return tiny(
        apply={
            "by-run": {"dataset": "tiny", "run": RUN, "top": 99},
            "by-bundle": {"dataset": "tiny", "run": "mine.zip"},
            "new": {"dataset": "tiny", "run": "mine", "classes": "names.txt", "top": 1},
        }
    )


@pytest.fixture(scope="module")
def applied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny workflow has run, and classified its clips."""
    folder = tmp_path_factory.mktemp("apply") / "folder"
    shutil.copytree(finished, folder, symlinks=True)
    assert cli.main(["bundle", str(folder / RUN), str(folder / "mine")]) == 0
    (folder / "names.txt").write_text("\n".join(NEW) + "\n")
    done = snakemake(folder, config())
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def table(folder: Path, name: str) -> dict[str, Answer]:
    """Returns the answer for each clip; none stands there twice."""
    read = answers.read(folder / f"results/tiny/predictions/{name}.csv")
    listed = [clip.clip_id for clip in manifest.read(folder / "results/tiny/manifest.csv")]
    assert [answer.clip_id for answer in read] == listed
    return {answer.clip_id: answer for answer in read}


@pytest.mark.parametrize("name", ["by-run", "by-bundle"])
def test_each_test_clip_gets_the_class_and_the_distances_by_which_it_was_scored(
    applied: Path, name: str
) -> None:
    tested, found = StoredTest(applied), table(applied, name)
    columns = {name: column for column, name in enumerate(tested.embeddings.class_names)}
    nearest = []
    for clip_id, distances in zip(tested.embeddings.clip_ids, tested.distances, strict=True):
        ranking = found[clip_id].ranking
        assert len(ranking) == (len(columns) if name == "by-run" else 5)
        assert [one.distance for one in ranking] == [
            distances[columns[one.class_name]] for one in ranking
        ]
        nearest.append(ranking[0].class_name)
    tested.check(tested.distances, nearest)
    assert found[clip_id].class_name == tested.embeddings.class_of_clip[-1]


def test_each_clip_without_an_answer_has_the_reason_and_the_report_counts_it(
    applied: Path,
) -> None:
    shards = [applied / f"results/tiny/fetched/0000{n}-of-00002.csv" for n in range(2)]
    lost = {row.clip_id: row.reason for path in shards for row in fetched.read(path) if row.reason}
    for name in ("frames", "vggish"):
        lost |= features.read(applied / f"results/tiny/features/{name}.h5").rejected
    assert len(lost) > 1
    found = table(applied, "new")
    assert {clip: answer.reason for clip, answer in found.items() if answer.reason} == lost
    assert {one.class_name for answer in found.values() for one in answer.ranking} <= {*NEW}
    assert not any(one.is_seen for answer in found.values() for one in answer.ranking)
    page = (applied / "results/report.html").read_text()
    for name in config()["apply"]:
        counts = f'<td class="n">{len(found)}</td>', f'<td class="n">{len(found) - len(lost)}</td>'
        row = f'<th scope="row">apply {name}</th>{"".join(counts)}<td class="n">{len(lost)}</td>'
        assert row in page
    assert "astray" not in page


def test_the_answers_are_those_of_predict(applied: Path) -> None:
    tested, found = StoredTest(applied), table(applied, "new")
    made = avca_pipeline.load_run(tested.run, device="cpu").predict(
        tested.videos, classes=NEW, top=1
    )
    rankings = [found[clip_id].ranking for clip_id in tested.embeddings.clip_ids]
    assert rankings == [prediction.ranking for prediction in made]
    with open(applied / "results/tiny/predictions/new.csv", newline="") as file:
        header = next(csv.reader(file))
    assert header == [
        "clip_id", "class_name", "reason", "top1", "top1_kind", "top1_distance", "top1_score"
    ]  # fmt: skip


def stale(folder: Path, changed: dict[str, Any]) -> dict[str, str]:
    """Returns the predictions that are out of date, and why or that they may be."""
    jobs = Jobs(parse(changed), VERSIONS, Digests(folder / "digests.json"))
    found = staleness(jobs)
    paths = {*found.because_of, *found.perhaps}
    return {
        Path(path).stem: found.because_of.get(path, "perhaps")
        for path in paths
        if "/predictions/" in path
    }


def other_names(folder: Path, written: dict[str, Any]) -> None:
    (folder / "names.txt").write_text("another name\n")


def other_bundle(folder: Path, written: dict[str, Any]) -> None:
    made = bundle.read(folder / "mine")
    described = replace(made.description, bias=made.description.bias + 1)
    bundle.write(folder / "mine", replace(made, description=described), "")


def other_run(folder: Path, written: dict[str, Any]) -> None:
    written["models"]["avca"]["epochs"] = 3


def other_top(folder: Path, written: dict[str, Any]) -> None:
    written["apply"]["by-bundle"]["top"] = 3


def other_clips(folder: Path, written: dict[str, Any]) -> None:
    written["datasets"]["tiny"]["sources_per_class"] = 4


def other_features(folder: Path, written: dict[str, Any]) -> None:
    written["backbones"]["vggish"] = {"seed": 1}


def nothing(folder: Path, written: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, set()),
        (other_names, {"new"}),
        (other_bundle, {"by-bundle", "new"}),
        (other_run, {"by-run"}),
        (other_top, {"by-bundle"}),
        (other_clips, {"by-run", "by-bundle", "new"}),
        (other_features, {"by-run", "by-bundle", "new"}),
    ],
)
def test_what_has_changed_is_applied_anew(
    applied: Path,
    change: Callable[[Path, dict[str, Any]], None],
    expected: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(applied, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    written = config()
    change(tmp_path / "copy", written)
    assert set(stale(tmp_path / "copy", written)) == expected


def test_a_second_run_does_nothing(applied: Path) -> None:
    assert planned(applied, None) == {}


def apply(folder: Path, written: dict[str, Any], name: str) -> int:
    """Runs the stage of one entry on the features that are there; returns the exit code."""
    config = parse(written)
    jobs = Jobs(config, VERSIONS, Digests(folder / "digests.json"))
    data = folder / "results/tiny"
    given = [
        f"--{m}={data / f'features/{b}.h5'}" for m, b in config.features_of_applied(name).items()
    ]
    return cli.main([
        "apply", "--settings", jobs.settings("apply", "tiny", name),
        "--clips", str(data / "manifest.csv"),
        "--fetched", str(data / "fetched/00000-of-00002.csv"), *given,
        "--out", str(folder / "out.csv"), "--cache", str(folder), "--device", "cpu",
    ])  # fmt: skip


def test_other_features_than_those_of_the_bundle_are_refused(
    applied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By ``avca check`` where the config shows it, and by the stage where the features do."""
    shutil.copytree(applied, tmp_path / "copy", symlinks=True)
    folder = tmp_path / "copy"
    monkeypatch.chdir(folder)

    def refused(written: dict[str, Any]) -> str:
        capsys.readouterr()
        (folder / "other.yaml").write_text(yaml.safe_dump(written))
        assert cli.main(["check", "other.yaml"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    small = {key: config()[key] for key in ("datasets", "backbones", "feature_sets")}
    small["apply"] = {"by-bundle": config()["apply"]["by-bundle"]}
    (folder / "small.yaml").write_text(yaml.safe_dump(small))
    assert cli.main(["check", "small.yaml"]) == 0
    other = {**small, "backbones": {**small["backbones"], "vggish": {"seed": 2}}}
    assert "backbones.vggish.seed: found '2', and the run was trained with '0'" in refused(other)
    other = {
        **small,
        "backbones": {**small["backbones"], "vggish": {"postprocess": "pca-quantised"}},
    }
    assert "backbones.vggish.postprocess: found 'pca-quantised', and the run was" in refused(other)
    other = {**small, "feature_sets": {"both": {"video": "frames"}}}
    assert "the run was trained on video and audio, found video" in refused(other)
    (folder / "vggish.pth").write_text("weights")
    weights = {"weights": "vggish.pth"}
    other = {**small, "backbones": {**small["backbones"], "vggish": weights}}
    assert "backbones.vggish.weights: found vggish.pth" in refused(other)

    assert apply(folder, small, "by-bundle") == 0
    assert table(applied, "by-bundle") == {
        answer.clip_id: answer for answer in answers.read(folder / "out.csv")
    }
    path = folder / "results/tiny/features/vggish.h5"
    read = features.read(path)
    features.write(path, replace(read, attributes={**read.attributes, "weights": "random:7"}))
    (folder / "out.csv").unlink()
    capsys.readouterr()
    assert apply(folder, small, "by-bundle") == 1
    _on_which_device, line = capsys.readouterr().err.splitlines()
    assert "backbones.vggish: the features were made with weights random:7" in line
    assert not (folder / "out.csv").exists()


def test_a_class_without_a_vector_is_found_before_the_first_clip_is_fetched(
    applied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [one.class_name for one in table(applied, "by-run").popitem()[1].ranking]
    known = {name: np.ones(16, np.float32) for name in names}
    np.save(tmp_path / "v.npy", np.array(known, dtype=object), allow_pickle=True)
    written = config()
    written["text_embeddings"] = {"hashed": {"plugin": "precomputed", "path": "v.npy"}}
    written["apply"] = {
        "mine": {"dataset": "tiny", "run": RUN, "classes": [names[0], "snow angels"]}
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(written))
    assert cli.main(["check", "config.yaml"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "apply.mine: v.npy: no vector for class 'snow angels'" in line


@pytest.mark.timeout(1800)
def test_many_clips_with_two_kills_have_one_row_each(tmp_path: Path) -> None:
    """`kill_apply` with few clips; by hand it takes thousands."""
    jobs = kill_apply.run(tmp_path / "run", num_clips=40, num_shards=2)
    assert jobs["gather"] == 1
