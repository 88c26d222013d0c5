"""Real clips in a folder, from the command line to the report, with towers of transformers."""

from __future__ import annotations

import html
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avca_pipeline import registry
from avca_pipeline.artifacts import features, fetched, labels, scores
from avca_pipeline.artifacts.features import Features
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.media import Limits
from avca_pipeline.text_embeddings import transformers_text
from tests.conftest import shared_folder
from tests.transformer_models import saved
from tests.workflow.driving import snakemake, tiny

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=60.0)
PLUGINS = {"clip": "transformers_images", "clap_without_fusion": "transformers_audio"}
SETTINGS: dict[str, dict[str, Any]] = {"clip": {"frames": 4}, "clap_without_fusion": {}}
TEMPLATES = {"clip": "a video of {}", "clap_without_fusion": "the sound of {}"}
# A class that is trained on needs three files, one of validation two.
CLASSES = {
    "drawn animals": (
        "mpy_big_buck_bunny_432_433.webm", "skv_bigbuckbunny.mp4", "mpy_transparent.webm",
    ),
    "people": ("mpy_chaplin.mp4", "mma_demo.mp4", "mma_test.avi"),
    "testPattern": ("mpy_smpte-2997.mp4", "tc2_sine_stereo_mp2.mpg"),
    "snow": ("vf_v_ZNVhz7ctTq0.mp4",),
}  # fmt: skip
SEED = 8  # of a split in which every partition has a clip with sound
WITHOUT_SOUND = "people:mma_demo.mp4"


def raw_clips(folder: Path) -> Path:
    """Copies real clips into a folder for each class."""
    media = shared_folder("media")
    for class_name, names in CLASSES.items():
        (folder / class_name).mkdir(parents=True)
        for name in names:
            shutil.copyfile(media / name, folder / class_name / name)
    return folder


def config_of(raw: Path, models: dict[str, str]) -> dict[str, Any]:
    """Returns a config in which the text towers of both encoders classify without training."""
    parts = [
        {
            "plugin": "transformers_text",
            "settings": {"model": models[name], "templates": template},
        }
        for name, template in TEMPLATES.items()
    ]
    config = tiny(
        datasets={"own": {"plugin": "folder", "path": str(raw), "num_shards": 1}},
        backbones={
            name: {"plugin": plugin, "model": models[name], **SETTINGS[name]}
            for name, plugin in PLUGINS.items()
        },
        feature_sets={"both": {"video": "clip", "audio": "clap_without_fusion"}},
        text_embeddings={"texts": {"plugin": "concatenated", "parts": parts}},
        splits={
            "built": {
                "seed": SEED, "val_unseen_classes": 0.25, "test_unseen_classes": 0.25,
                "val_seen_sources": 0.3, "test_seen_sources": 0.3,
            }
        },
        models={"zero_shot": {}},
    )  # fmt: skip
    config["experiment"] |= {
        "datasets": ["own"], "text_embeddings": ["texts"], "models": ["zero_shot"],
    }  # fmt: skip
    return config


def check_features(name: str, made: Features, model: str, media: dict[str, Path]) -> None:
    """Compares a clip's features with the mean over its windows, encoded here."""
    module = registry.load("backbones", PLUGINS[name])
    settings = module.Settings(model=model, **SETTINGS[name])
    network, weights = module.build(settings, Path("unused"))
    assert made.attributes["weights"] == weights
    windows = list(module.windows(settings, MediaSegment(media[made.clip_ids[0]]), LIMITS))
    data = torch.from_numpy(np.stack([window.data for window in windows]))
    num_valid = torch.tensor([window.num_valid for window in windows])
    with torch.inference_mode():
        mean = module.encode(settings, network, data, num_valid).mean(dim=0)
    np.testing.assert_allclose(made.features[0], mean.numpy(), rtol=0, atol=1e-6)
    assert made.features.std(axis=0).max() > 1e-4


def test_real_clips_of_a_folder_get_to_the_report_by_two_towers(tmp_path: Path) -> None:
    raw = raw_clips(tmp_path / "raw")
    models = {family: str(saved(family, tmp_path / "models")) for family in PLUGINS}
    done = snakemake(tmp_path / "run", config_of(raw, models))
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "run" / "results" / "own"
    (table,) = (results / "fetched").glob("*.csv")
    media = {row.clip_id: Path(row.path) for row in fetched.read(table)}
    assert len(media) == 9
    made = {name: features.read(results / "features" / f"{name}.h5") for name in PLUGINS}
    assert dict(made["clip"].rejected) == {}
    assert list(made["clap_without_fusion"].rejected) == [WITHOUT_SOUND]
    for name in PLUGINS:
        check_features(name, made[name], models[name], media)
    texts = labels.read(results / "labels" / "texts.h5")
    assert list(texts.class_names) == sorted(CLASSES)
    expected = [
        transformers_text.vectors(
            transformers_text.Settings(model=models[name], templates=template), texts.class_names
        )
        for name, template in TEMPLATES.items()
    ]
    np.testing.assert_array_equal(texts.vectors, np.concatenate(expected, axis=1))
    assert str(tmp_path) not in texts.text_embedding
    assert "'the sound of {}'" in texts.text_embedding

    run = results / "runs" / "built" / "both" / "texts" / "zero_shot" / "seed0"
    found = scores.read(run / "scores.json")
    tested = {row.class_name: row.num_clips for row in found.per_class}
    assert tested == {"drawn animals": 1, "people": 1, "snow": 1, "testPattern": 1}
    report = (tmp_path / "run" / "results" / "report.html").read_text()
    for said in (WITHOUT_SOUND, "zero_shot", "the sound of {}"):
        assert html.escape(said) in report
