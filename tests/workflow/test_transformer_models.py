"""Models of the library transformers through the workflow: from clips to features and vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from avca_pipeline import registry
from avca_pipeline.artifacts import features, fetched, labels
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.media import Limits
from avca_pipeline.text_embeddings import transformers_text
from tests.transformer_models import saved
from tests.workflow.driving import snakemake, tiny

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=60.0)


def test_clips_become_features_and_class_names_become_vectors(tmp_path: Path) -> None:
    folders = {family: str(saved(family, tmp_path / "models")) for family in ("clip", "clap")}
    plugins = {"clip": "transformers_images", "clap": "transformers_audio"}
    config = tiny(
        datasets={"tiny": {"plugin": "demo", "num_classes": 6, "sources_per_class": 3}},
        backbones={name: {"plugin": plugins[name], "model": folders[name]} for name in plugins},
        feature_sets={"both": {"video": "clip", "audio": "clap"}},
        text_embeddings={
            "texts": {
                "plugin": "concatenated",
                "parts": [
                    {"plugin": "transformers_text", "settings": {"model": folders["clip"]}},
                    {
                        "plugin": "transformers_text",
                        "settings": {"model": folders["clap"], "templates": "the sound of {}"},
                    },
                ],
            }
        },
    )
    config["experiment"] |= {"text_embeddings": ["texts"]}
    results = tmp_path / "run" / "results" / "tiny"
    targets = ["features/clip.h5", "features/clap.h5", "labels/texts.h5"]
    done = snakemake(tmp_path / "run", config, *(f"results/tiny/{name}" for name in targets))
    assert done.returncode == 0, done.stdout + done.stderr

    (table,) = (results / "fetched").glob("*.csv")
    media = {row.clip_id: Path(row.path) for row in fetched.read(table)}
    for name, plugin in plugins.items():
        made = features.read(results / "features" / f"{name}.h5")
        assert set(made.clip_ids) <= set(media)
        assert len(made.clip_ids) >= 18  # The demo breaks some of the others on purpose.
        module = registry.load("backbones", plugin)
        settings = module.Settings(model=folders[name])
        network, weights = module.build(settings, tmp_path)
        assert made.attributes["weights"] == weights
        path = tmp_path / "run" / media[made.clip_ids[0]]
        windows = list(module.windows(settings, MediaSegment(path), LIMITS))
        data = torch.from_numpy(np.stack([window.data for window in windows]))
        num_valid = torch.tensor([window.num_valid for window in windows])
        with torch.inference_mode():
            mean = module.encode(settings, network, data, num_valid).mean(dim=0)
        np.testing.assert_allclose(made.features[0], mean.numpy(), rtol=0, atol=1e-6)
        assert made.features.std(axis=0).max() > 1e-4

    vectors = labels.read(results / "labels" / "texts.h5")
    expected = [
        transformers_text.vectors(
            transformers_text.Settings(model=folders[name], templates=template),
            vectors.class_names,
        )
        for name, template in (("clip", "a video of {}"), ("clap", "the sound of {}"))
    ]
    np.testing.assert_array_equal(vectors.vectors, np.concatenate(expected, axis=1))
    assert str(tmp_path) not in vectors.text_embedding
    assert "'the sound of {}'" in vectors.text_embedding
