"""What `avca predict` and `avca bundle` refuse before they lose work or files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline import PipelineError, cli, registry
from avca_pipeline.artifacts import bundle
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone, BundledText, Description
from avca_pipeline.commands.predict import class_names, run
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.video_features import Environment
from avca_pipeline.stages import VERSIONS

OWN = ("a beep, then a click", "surfing")


@pytest.fixture
def trained(tmp_path: Path) -> TrainedRun:
    """A run whose network is never needed, because no video can be used."""
    settings = registry.load("backbones", "vggish").Settings().model_dump(mode="json")
    version = VERSIONS["extract"]
    described = Description(
        name="d/runs/s", model="devise", model_package="", model_settings={}, bias=0.0,
        class_names=OWN, is_unseen=(False, True),
        backbones={"audio": BundledBackbone("sound", "vggish", "", version, settings)},
        text=BundledText("hashed", "", {"dim": 4}, (), 4), max_pixels=100, max_duration_s=9.5,
    )  # fmt: skip
    arrays = {"class_vectors": np.ones((2, 4), np.float32)}
    return TrainedRun(Bundle(described, {}, arrays), Environment(tmp_path, "cpu", 1, version), {})


def classify(trained: TrainedRun, *videos: str, **options: Any) -> None:
    run(
        trained,
        videos,
        **{
            "classes": None,
            "top": 5,
            "timeline": False,
            "leave_out_seen": False,
            "out": None,
            **options,
        },
    )


def test_a_class_with_commas_in_its_name_is_one_name() -> None:
    assert class_names("A beep, then a click", OWN) == ["A beep, then a click"]
    assert class_names("riding, surfing", OWN) == ["riding", "surfing"]
    assert class_names("surfing", OWN) == ["surfing"]


def test_what_names_a_file_is_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names").write_text("one\n\n a, b \n")
    assert class_names("names", OWN) == ["one", "a, b"]
    missing = ("missing.lst", "a/missing", ".", "~/missing", "a.TXT", "x,y.csv", "~nosuchuser")
    for text in missing:
        with pytest.raises(PipelineError, match=r"--classes: .* one class a line, or class names"):
            class_names(text, OWN)
    for text in (300 * "a", "rock / pop, jazz"):
        assert class_names(text, OWN) == [name.strip() for name in text.split(",")]


def test_without_a_usable_video_the_exit_code_is_1_and_the_reasons_are_there(
    trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PipelineError, match=r"no video can be used \(of 2\); .* are above"):
        classify(trained, "none.mp4", str(tmp_path))
    assert capsys.readouterr().out.count("cannot be used: ") == 2
    with pytest.raises(PipelineError, match=r"no video can be used .* are in .*out\.json"):
        classify(trained, "none.mp4", out=tmp_path / "new/out.json")
    found = json.loads((tmp_path / "new/out.json").read_text())
    assert found["predictions"][0]["reason"] == "missing file"


def test_a_target_is_checked_before_any_video(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    wrong = {
        "folder.csv": "is a folder",
        "file/new/out.csv": "file is no folder that you may write to|Not a directory",
        "out.txt": "ends with",
        f"{300 * 'a'}.csv": "File name too long",
    }
    before = sorted(tmp_path.rglob("*"))
    for name, message in wrong.items():
        with pytest.raises(PipelineError, match=message):
            classify(trained, "none.mp4", out=tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PipelineError, match="no video can be used"):
        classify(trained, "none.mp4", out=Path("~/out.csv"))
    assert (tmp_path / "out.csv").is_file()


@pytest.mark.parametrize("top", [-1, 0, 2.5, "3", True])
def test_the_length_of_a_ranking_is_checked(trained: TrainedRun, top: Any) -> None:
    with pytest.raises(PipelineError, match=r"top: expected a whole number from 1 on"):
        trained.predict("none.mp4", top=top)


def test_a_text_is_no_list_of_classes(trained: TrainedRun) -> None:
    with pytest.raises(
        PipelineError, match=r"expected a list of names, such as .*, found 'surfing'"
    ):
        trained.predict("none.mp4", classes="surfing")


@pytest.mark.parametrize("option", ["--threads", "--top"])
@pytest.mark.parametrize("value", ["-3", "0", "1.5"])
def test_numbers_of_things_are_checked(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["predict", "none.mp4", "--run", "none", option, value])
    assert f"{option}: expected a whole number from 1 on" in capsys.readouterr().err


def test_a_bundle_replaces_nothing_but_a_bundle(
    trained: TrainedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    described = replace(trained.bundle, scores="")
    for name in ("mine", "more"):
        bundle.write(tmp_path / name, described, "")
    (tmp_path / "more/photo.jpg").write_text("")
    (tmp_path / "photos.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "others.zip", "w") as archive:
        archive.writestr("others/photo.jpg", "")
    (tmp_path / "file").write_text("")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    wrong = {
        "photos": "photos.zip: is there and no bundle",
        "others": "others.zip: is there and no bundle",
        "more": "'photo.jpg'",
        "photos.zip": "is there and no bundle",
        "mine.zip": "is there and no bundle",
        "file": "is there and no bundle",
        ".": "is there and no bundle",
        300 * "a": "File name too long",
        "mine": "norun",  # it may be replaced, and the run is what is missing
        "~nosuchuser": "norun",
    }
    for out, message in wrong.items():
        assert cli.main(["bundle", "norun", out]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line, out
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
