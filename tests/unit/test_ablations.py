"""The ready experiment of ablations: complete, and one change each."""

from __future__ import annotations

import yaml

from avca_pipeline import config as avca_config
from avca_pipeline.models import avca
from tests.conftest import REPOSITORY

RAW = yaml.safe_load((REPOSITORY / "workflow" / "experiments" / "ablations.yaml").read_text())
LOSSES = {
    "reconstruction", "decoded_triplets", "text_triplets", "cross_triplets", "regression",
}  # fmt: skip


def test_every_part_is_left_out_once() -> None:
    config = avca_config.parse(RAW)
    changed = {
        name: entry.settings.model_dump(exclude_defaults=True)
        for name, entry in config.models.items()
    }
    assert changed.pop("avca") == {}
    assert changed.pop("audio-only") == {"modalities": "audio", "scored_embedding": "audio"}
    assert all(len(change) == 1 for change in changed.values())
    left_out = {name for change in changed.values() for name, value in change.items() if not value}
    assert left_out == LOSSES | {"cross_attention"}
    assert {"modalities": "video"} in changed.values()
    assert {"scored_embedding": "audio"} in changed.values()
    assert {change.get("embedding_dim", 64) for change in changed.values()} > {64}


def test_the_ablations_of_the_demo_use_what_the_demo_has_made() -> None:
    """The same features, vectors, split and whole model, so that nothing is made again."""
    demo, ablations = (
        avca_config.parse(yaml.safe_load((REPOSITORY / path).read_text()))
        for path in ("config.yaml", "workflow/experiments/demo-ablations.yaml")
    )
    for section in ("datasets", "backbones", "feature_sets", "text_embeddings", "splits"):
        assert getattr(ablations, section) == getattr(demo, section)
    assert ablations.results == demo.results
    whole = [run for run in ablations.runs() if run.model == "avca"]
    assert whole == demo.runs()
    assert [ablations.candidates(run) for run in whole] == [demo.candidates(run) for run in whole]
    small = ablations.models["avca"].settings.model_dump()
    for name, entry in ablations.models.items():
        changed = {key for key, value in entry.settings.model_dump().items() if value != small[key]}
        assert (name == "avca") == (changed == set()), name
        assert changed <= LOSSES | {"cross_attention", "scored_embedding", "modalities"}


def test_all_are_run_and_text_embeddings_with_the_whole_model_only() -> None:
    config = avca_config.parse(RAW)
    assert {run.model for run in config.runs()} == set(config.models)
    of_text = {
        name: {run.model for run in config.runs() if run.text_embedding == name}
        for name in config.text_embeddings
    }
    assert of_text.pop("word2vec") == set(config.models)
    assert of_text == {"word2vec-as-published": {"avca"}, "hashed": {"avca"}}
    assert config.models["avca"].settings == avca.Settings()
