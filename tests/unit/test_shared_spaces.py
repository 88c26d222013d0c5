"""Methods that compare features with text embeddings as they are need both in one space."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline.cli import main
from avca_pipeline.planning.requests import Requests
from avca_pipeline.stages import VERSIONS
from tests.transformer_models import saved
from tests.workflow.driving import tiny


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of tiny models by family; ``copy`` is another folder with the model of ``clip``."""
    folder = tmp_path_factory.mktemp("models")
    names = ("clip", "clap", "videomae", "pe_audio_video")
    paths = {name: str(saved(name, folder)) for name in names}
    paths["copy"] = str(shutil.copytree(paths["clip"], folder / "copy"))
    return paths


def text(model: str, **settings: Any) -> dict[str, Any]:
    return {"plugin": "transformers_text", "model": model} | settings


def side_by_side(*models: str | dict[str, Any]) -> dict[str, Any]:
    named = ({"model": model} if isinstance(model, str) else model for model in models)
    parts = [{"plugin": "transformers_text", "settings": settings} for settings in named]
    return {"plugin": "concatenated", "parts": parts}


def checked(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    text_embedding: dict[str, Any],
    model: dict[str, Any],
    *,
    scaling: str = "none",
    imported: dict[str, Any] | None = None,
    **backbones: dict[str, Any],
) -> list[str]:
    """Returns the lines of ``avca check``; nothing for a good config."""
    config = tiny(
        backbones=backbones,
        feature_sets={"both": {"video": "video", "audio": "audio", "scaling": scaling}},
        text_embeddings={"texts": text_embedding},
        models={"method": model},
    )
    if imported:
        config["imported"] = imported
    config["experiment"] |= {
        "feature_sets": ["both"], "text_embeddings": ["texts"], "models": ["method"],
    }  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    code = main(["check", str(path)])
    lines = capsys.readouterr().err.splitlines()
    lines = [line for line in lines if not line.endswith("config.yaml: good")]
    lines = [line for line in lines if not line.startswith("plan: ")]
    assert code == (1 if lines else 0), lines
    return lines


def images(models: dict[str, str], **settings: Any) -> dict[str, Any]:
    return {"plugin": "transformers_images", "model": models["clip"]} | settings


def sound(models: dict[str, str], **settings: Any) -> dict[str, Any]:
    return {"plugin": "transformers_audio", "model": models["clap"]} | settings


ZERO_SHOT = {"plugin": "zero_shot"}
RAW = {"plugin": "clipclap", "raw_weight": 0.5}


@pytest.mark.parametrize("method", [ZERO_SHOT, RAW], ids=["zero_shot", "clipclap"])
def test_the_text_towers_of_the_features_are_taken_in_the_order_of_the_modalities(
    method: dict[str, Any], models: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    backbones = {"video": images(models), "audio": sound(models)}
    good = side_by_side(models["clip"], models["clap"])
    assert checked(tmp_path, capsys, good, method, **backbones) == []
    for wrong in (
        side_by_side(models["clap"], models["clip"]),
        side_by_side(models["copy"], models["clap"]),
        text(models["clip"]),
        {"plugin": "hashed", "dim": 48},
    ):
        (line,) = checked(tmp_path, capsys, wrong, method, **backbones)
        assert "models.method: compares features with text embeddings" in line
        assert models["clip"] in line
        assert "text_embeddings.texts" in line
        assert "use the text towers" in line


def test_one_modality_needs_its_own_space_alone(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbones = {"video": images(models), "audio": {"plugin": "vggish"}}
    for plugin in ("zero_shot", "clipclap"):
        method = {"plugin": plugin, "modalities": "video"}
        method |= {"raw_weight": 1} if plugin == "clipclap" else {}
        assert checked(tmp_path, capsys, text(models["clip"]), method, **backbones) == []
        assert len(checked(tmp_path, capsys, text(models["clap"]), method, **backbones)) == 1
        both = side_by_side(models["clip"], models["clap"])
        assert len(checked(tmp_path, capsys, both, method, **backbones)) == 1


@pytest.mark.parametrize("weights", ["random", "published"])
def test_random_weights_and_models_without_text_share_no_space(
    weights: str, models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = ZERO_SHOT | {"modalities": "video"}
    video = images(models, weights="random")
    if weights == "published":
        video = {"plugin": "transformers_video", "model": models["videomae"]}
    (line,) = checked(
        tmp_path, capsys, text(models["clip"]), method, video=video, audio=sound(models)
    )
    assert "video none" in line


def test_a_model_with_a_text_head_for_each_modality_needs_the_right_one(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = models["pe_audio_video"]
    backbones = {
        "video": {"plugin": "transformers_video", "model": model},
        "audio": {"plugin": "transformers_audio", "model": model},
    }
    heads = [{"model": model, "head": head} for head in ("video", "audio")]
    assert checked(tmp_path, capsys, side_by_side(*heads), ZERO_SHOT, **backbones) == []
    swapped = side_by_side(*reversed(heads))
    assert len(checked(tmp_path, capsys, swapped, ZERO_SHOT, **backbones)) == 1
    one = text(model, head="both")
    assert len(checked(tmp_path, capsys, one, ZERO_SHOT, **backbones)) == 1


def test_scaled_features_have_left_their_space(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = checked(
        tmp_path, capsys, side_by_side(models["clip"], models["clap"]), ZERO_SHOT,
        scaling="standard", video=images(models), audio=sound(models),
    )  # fmt: skip
    assert "feature_sets.both.scaling: standard" in line
    assert line.endswith("use none")


def test_methods_that_learn_a_space_take_any(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbones = {"video": images(models), "audio": {"plugin": "vggish"}}
    hashed = {"plugin": "hashed"}
    learned = {"plugin": "clipclap"}
    for method in ({"plugin": "avca"}, learned):
        assert checked(tmp_path, capsys, hashed, method, scaling="standard", **backbones) == []
    searched = learned | {"search": {"raw_weight": [0, 1]}}
    assert len(checked(tmp_path, capsys, hashed, searched, **backbones)) == 1


@pytest.mark.parametrize(
    ("spaces", "num_mistakes"), [(["a", "b"], 0), (["b", "a"], 1), (["a"], 1), ([], 1)]
)
def test_the_user_names_the_space_of_files(
    spaces: list[str], num_mistakes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for modality in ("video", "audio"):
        (tmp_path / "features" / modality / "stage_1_train").mkdir(parents=True)
    imported = {
        name: {"modality": name, "path": str(tmp_path / "features"), "space": space}
        for name, space in (("video", "a"), ("audio", "b"))
    }
    (tmp_path / "vectors.npy").touch()
    vectors = {"plugin": "precomputed", "path": str(tmp_path / "vectors.npy"), "spaces": spaces}
    lines = checked(tmp_path, capsys, vectors, ZERO_SHOT, imported=imported)
    assert len(lines) == num_mistakes


def test_the_name_of_a_space_makes_no_result_anew(tmp_path: Path) -> None:
    def requests(space: str | None, spaces: list[str]) -> list[str]:
        raw = tiny(
            imported={"video": {"modality": "video", "path": "features", "space": space}},
            text_embeddings={"texts": {"plugin": "precomputed", "path": "a", "spaces": spaces}},
        )
        raw["experiment"] |= {"text_embeddings": ["texts"]}
        request = Requests(avca_config.parse(raw), VERSIONS)
        asked = (request.import_("tiny", "video", "00000"), request.embed("tiny", "texts"))
        return [one.model_dump_json() for one in asked]

    assert requests("a", ["a", "b"]) == requests(None, [])
