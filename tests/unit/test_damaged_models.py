"""Values of a model's files that nothing can be done with are one line with folder and key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from avca_pipeline.backbones import transformers_images
from avca_pipeline.errors import PipelineError
from avca_pipeline.text_embeddings import transformers_text
from avca_pipeline.transformer_models import loading, sound
from avca_pipeline.transformer_models.families import TOWERS
from tests.transformer_models import saved

PICTURES = "preprocessor_config.json"
TOKENIZER = "tokenizer_config.json"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("clip", tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def is_one_line_with(use: Callable[[], object], path: Path, key: str) -> None:
    with pytest.raises(PipelineError) as caught:
        use()
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert key in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", {"shortest_edge": "abc"}),
        ("size", {"shortest_edge": -1}),
        ("crop_size", {"height": -3, "width": 5}),
        ("crop_size", {"height": 32.5, "width": 5}),
        ("image_mean", [0.5, 0.5]),
        ("image_mean", "abc"),
        ("image_mean", [0.5, 0.5, None]),
        ("image_std", [0.5, 0.5, 0]),
        ("rescale_factor", "x"),
        ("rescale_factor", 0),
    ],
)
def test_settings_of_pictures(key: str, value: Any, folder: Path) -> None:
    (path,) = folder.glob("*processor_config.json")
    changed(path, **{key: value})
    settings = transformers_images.Settings(model=str(folder))
    is_one_line_with(lambda: transformers_images.spec(settings), folder, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hop_length", 0), ("hop_length", 1.5), ("sampling_rate", 10), ("sampling_rate", -48000)],
)
def test_settings_of_sound(key: str, value: Any, tmp_path: Path) -> None:
    transformers.ClapFeatureExtractor().save_pretrained(tmp_path)
    changed(tmp_path / PICTURES, **{key: value})
    is_one_line_with(lambda: sound.sound(tmp_path, "ClapFeatureExtractor", None), tmp_path, key)


@pytest.mark.parametrize("value", [0, -4, "x", [4], None])
def test_number_of_frames(value: Any, tmp_path: Path) -> None:
    transformers.VideoMAEConfig().save_pretrained(tmp_path)
    changed(tmp_path / "config.json", num_frames=value)
    chosen = TOWERS["video"]["videomae"]
    is_one_line_with(lambda: loading.num_frames(tmp_path, chosen, 8), tmp_path, "num_frames")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_max_length", -5),
        ("model_max_length", 2),
        ("model_max_length", "x"),
        ("pad_token", None),
    ],
)
def test_settings_of_text(key: str, value: Any, folder: Path) -> None:
    changed(folder / TOKENIZER, **{key: value})
    settings = transformers_text.Settings(model=str(folder))
    is_one_line_with(lambda: transformers_text.vectors(settings, ["a", "bb"]), folder, key)


def test_the_length_of_texts_that_a_config_leaves_out_is_the_librarys(folder: Path) -> None:
    """The length is the default of the library's class, where the tokenizer says none either."""
    default = transformers.CLIPTextConfig().max_position_embeddings
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = default
    network = transformers.CLIPModel(transformers.CLIPConfig(**config))
    network.save_pretrained(folder)
    settings = transformers_text.Settings(model=str(folder))
    stated = transformers_text.vectors(settings, ["surfing", "x" * 100])
    config = json.loads((folder / "config.json").read_text())
    del config["text_config"]["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    left_out = transformers_text.vectors(settings, ["surfing", "x" * 100])
    np.testing.assert_array_equal(left_out, stated)
