"""A bundle gives back what it was made of, and refuses everything else in one line."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from avca_pipeline.artifacts import bundle, scores
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone, BundledText, Description
from avca_pipeline.artifacts.scores import ClassAccuracy
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference import card
from avca_pipeline.inference.class_vectors import new_vectors
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.video_features import Environment
from tests.builders import scores_of

NAMES = ("a cat", "dogs | <b>")


def made(folder: Path) -> Bundle:
    """Returns a bundle with numbers drawn at random."""
    generator = np.random.default_rng(0)
    backbone = BundledBackbone("frames", "timm_frames", "", 2, {"model": "m"}, "ab" * 32, 3)
    described = Description(
        name="d/runs/s",
        model="devise",
        model_package="",
        model_settings={"epochs": 1},
        bias=0.4,
        class_names=NAMES,
        is_unseen=(False, True),
        backbones={"video": backbone, "audio": replace(backbone, name="sound", dim=2)},
        text=BundledText("hashed", "", {"dim": 4}, (("names.csv", "cd" * 32),), 4),
        max_pixels=100,
        max_duration_s=9.5,
    )
    arrays = {
        "class_vectors": generator.standard_normal((2, 4)).astype(np.float32),
        **{f"scaling.video_{name}": generator.standard_normal(3) for name in ("mean", "factor")},
        **{f"scaling.audio_{name}": generator.standard_normal(2) for name in ("mean", "factor")},
    }
    shared = torch.randn(5, generator=torch.Generator().manual_seed(0))
    network = {"weight": shared, "same": shared, "count": torch.tensor(7)}
    per_class = tuple(
        ClassAccuracy(name, is_unseen, 1, 0.5, None)
        for name, is_unseen in zip(NAMES, (False, True), strict=True)
    )
    scores.write(folder / "scores.json", scores_of(per_class=per_class))
    texts = ((folder / "scores.json").read_text(), "clip_id,…\n")
    return Bundle(described, network, arrays, *texts)


def written(folder: Path) -> Path:
    value = made(folder)
    bundle.write(folder / "mine", value, card.text(value))
    return folder / "mine"


def test_folder_and_zip_give_back_what_was_written(tmp_path: Path) -> None:
    expected, out = made(tmp_path), written(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.zip", "scores.json"]
    for path in (out, tmp_path / "mine.zip"):
        found = bundle.read(path)
        assert replace(found.description, sha256={}) == expected.description
        assert found.network.keys() == expected.network.keys()
        for name, tensor in expected.network.items():
            assert torch.equal(found.network[name], tensor), name
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array)
            assert found.arrays[name].dtype == array.dtype
        assert (found.scores, found.predictions) == (expected.scores, expected.predictions)
        assert found.typed_scores() == expected.typed_scores()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = (written(tmp_path).parent / "mine.zip").read_bytes()
    assert (written(tmp_path).parent / "mine.zip").read_bytes() == first


def test_the_card_is_one_of_hugging_face_and_names_what_is_in_the_bundle(tmp_path: Path) -> None:
    text = (written(tmp_path) / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    header = yaml.safe_load(front)
    assert header["pipeline_tag"] == "video-classification"
    (result,) = header["model-index"][0]["results"]
    assert [metric["value"] for metric in result["metrics"]] == [0.1, 0.2, 0.3, 0.4]
    assert set(result) >= {"task", "dataset", "metrics"}
    assert set(result["dataset"]) == {"name", "type"}
    assert f"`{'ab' * 32}`" in body
    assert "Seen classes (1): a cat." in body
    assert "<b>" not in body.replace("\\<b\\>", "")  # a name is text and no markup


def test_no_password_or_token_is_in_a_bundle(tmp_path: Path) -> None:
    value = made(tmp_path)
    address = "https://me:hunter2@example.org/vggish.pth?token=SECRET"
    audio = BundledBackbone("sound", "vggish", "", 3, {"weights": address}, "ab" * 32, 2)
    described = replace(
        value.description,
        backbones={**value.description.backbones, "audio": audio},
        text=replace(value.description.text, settings={"parts": [{"path": address}]}),
        class_names=("a cat", "https://example.org/?a=name"),
        model_settings={"start": {"from": address}, "epochs": 1},
    )
    bundle.write(tmp_path / "mine", replace(value, description=described), "")
    for path in (tmp_path / "mine/bundle.json", tmp_path / "mine.zip"):
        assert b"hunter2" not in path.read_bytes()
        assert b"SECRET" not in path.read_bytes()
    found = bundle.read(tmp_path / "mine.zip")
    assert found.description.class_names == described.class_names
    assert found.description.model_settings["epochs"] == 1
    audio = found.description.backbones["audio"]
    found = replace(found, description=replace(found.description, backbones={"audio": audio}))
    environment = Environment(tmp_path, "cpu", 1, 3)
    with pytest.raises(PipelineError) as error:
        TrainedRun(found, environment, {})
    (line,) = error.value.lines
    assert "https://example.org/vggish.pth" in line
    assert "--weights sound=FILE" in line
    run = TrainedRun(found, environment, {"sound": "here.pth"})
    assert run.backbones["audio"].settings == {"weights": "here.pth"}
    with pytest.raises(PipelineError, match="is not in the bundle, and class 'fox' has no vector"):
        new_vectors(found.description.text, ["fox"], tmp_path)


def repacked(folder: Path, change: Callable[[dict[str, bytes]], None], **options: Any) -> Path:
    """Returns a zip whose members were changed."""
    with zipfile.ZipFile(folder.parent / "mine.zip") as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(members)
    with zipfile.ZipFile(folder.parent / "other.zip", "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return folder.parent / "other.zip"


def rewritten(
    folder: Path, change: Callable[[dict[str, Any]], None], *, is_hidden: bool = False
) -> Path:
    """Returns the folder with a changed description, also with one whose digest is right."""
    path = folder / "bundle.json"
    described = json.loads(path.read_text())
    change(described)
    if is_hidden:
        digests = described.pop("sha256")
        text = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digests[path.name] = hashlib.sha256(text.encode()).hexdigest()
        described["sha256"] = digests
    path.write_text(json.dumps(described))
    return folder


def shortened(folder: Path, *, is_hidden: bool) -> Path:
    path = folder / "network.safetensors"
    content = path.read_bytes()[:-4]
    path.write_bytes(content)
    if not is_hidden:
        return folder
    digest = hashlib.sha256(content).hexdigest()
    return rewritten(folder, lambda d: d["sha256"].update({path.name: digest}))


def without(folder: Path, name: str) -> Path:
    (folder / name).unlink()
    return folder


def replaced(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content)
    return folder


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a path that climbs": (
        lambda f: repacked(f, lambda m: m.update({"mine/../../evil.py": b"x"})), "evil.py",
    ),
    "a folder called ..": (
        lambda f: repacked(f, lambda m: m.update({"../bundle.json": b"{}"})), "../bundle.json",
    ),
    "an absolute path": (
        lambda f: repacked(f, lambda m: m.update({"/etc/bundle.json": b"x"})), "/etc/bundle.json",
    ),
    "compressed members": (
        lambda f: repacked(f, lambda m: None, compression=zipfile.ZIP_DEFLATED),
        "is compressed; pass the folder, or zip it with: zip -0 -r",
    ),
    "a member too few": (
        lambda f: repacked(f, lambda m: m.pop("mine/arrays.safetensors")), "arrays.safetensors",
    ),
    "half a zip": (
        lambda f: shutil.copy(f.parent / "mine.zip", f.parent / "half.zip")
        and (f.parent / "half.zip").write_bytes((f.parent / "mine.zip").read_bytes()[:900])
        and f.parent / "half.zip",
        "half.zip: damaged or not a zip",
    ),
    "a file too few": (lambda f: without(f, "network.safetensors"), "network.safetensors"),
    "truncated numbers": (
        lambda f: shortened(f, is_hidden=False), "network.safetensors is damaged",
    ),
    "truncated numbers with their digest": (
        lambda f: shortened(f, is_hidden=True), "its numbers cannot be read",
    ),
    "other scores": (lambda f: replaced(f, "scores.json", "{}"), "scores.json is damaged"),
    "no JSON": (lambda f: replaced(f, "bundle.json", "{"), "bundle.json: cannot be read as JSON"),
    "a list": (lambda f: replaced(f, "bundle.json", "[]"), "bundle.json: format version"),
    "another version": (
        lambda f: rewritten(f, lambda d: d.update(format_version=9)), "format version 9",
    ),
    "a wrong type": (
        lambda f: rewritten(f, lambda d: d.update(bias="0.4")), "bias: Input should be a valid",
    ),
    "a wrong type further in": (
        lambda f: rewritten(f, lambda d: d["backbones"]["video"].update(dim="3")),
        "backbones.video.dim: Input should be a valid",
    ),
    "an unknown key": (lambda f: rewritten(f, lambda d: d.update(code="x")), "code: Unexpected"),
    "other preprocessing": (
        lambda f: rewritten(f, lambda d: d["backbones"]["video"]["settings"].update(model="n")),
        "bundle.json was changed since it was written",
    ),
    "another bias": (
        lambda f: rewritten(f, lambda d: d.update(bias=0.5)), "bundle.json was changed",
    ),
    "classes in another order": (
        lambda f: rewritten(f, lambda d: d["class_names"].reverse()), "bundle.json was changed",
    ),
    "another seed of the text embedding": (
        lambda f: rewritten(f, lambda d: d["text"]["settings"].update(seed=1)),
        "bundle.json was changed",
    ),
    "files of macOS": (
        lambda f: repacked(f, lambda m: m.update({"__MACOSX/mine/._bundle.json": b"x"})),
        "pass the folder, or zip it with: zip -0 -r",
    ),
    "no folder in the zip": (
        lambda f: repacked(f, lambda m: m.update({"bundle.json": m.pop("mine/bundle.json")})),
        "pass the folder, or zip it with: zip -0 -r",
    ),
    "a class more": (
        lambda f: rewritten(f, lambda d: d["class_names"].append("c"), is_hidden=True),
        "class_vectors must have shape (3, 4), found (2, 4)",
    ),
    "a class twice": (
        lambda f: rewritten(f, lambda d: d.update(class_names=["c", "c"]), is_hidden=True),
        "do not fit together",
    ),
}  # fmt: skip


def test_the_name_of_a_run_is_shown_in_one_line(tmp_path: Path) -> None:
    value = made(tmp_path)
    described = replace(value.description, name="two\nlines", backbones={})
    run = TrainedRun(replace(value, description=described), Environment(tmp_path, "cpu", 1, 3), {})
    assert repr(run) == "<two\\nlines: , 1 seen and 1 unseen classes>"


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_bundle_of_ours_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    damage, message = WRONG[case]
    path = damage(written(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PipelineError) as error:
        bundle.read(path)
    (line,) = error.value.lines
    assert message in line
    assert str(path) in line
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked
