"""What a stage is given of a config, and what an experiment uses, written out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline import config as avca_config

RAW: dict[str, Any] = {
    "datasets": {
        "small": {"plugin": "demo", "num_shards": 3, "max_missing": 0.1},
        "other": {"plugin": "table", "path": "clips.csv"},
    },
    "limits": {"max_pixels": 1000, "max_duration_s": 9},
    "backbones": {
        "frames": {"plugin": "timm_frames"},
        "known": {"plugin": "timm_frames", "weights": "published"},
        "stated": {"plugin": "timm_frames", "pretraining_classes": "classes.txt"},
        "vggish": {},
    },
    "imported": {"there": {"modality": "audio", "path": "features"}},
    "feature_sets": {
        "plain": {"video": "frames", "audio": "vggish"},
        "scaled": {"video": "known", "audio": "there", "scaling": "standard"},
        "told": {"video": "stated", "audio": "vggish"},
    },
    "text_embeddings": {"hashed": {}, "short": {"plugin": "hashed", "dim": 9}},
    "splits": {
        "built": {"exclude_pretraining_of": ["known"]},
        "free": {"plugin": "built"},
        "official": {"path": "lists", "benchmark": "UCF", "lists": "cls"},
    },
    "models": {
        "avca": {"epochs": 7, "search": {"learning_rate": [0.25, 0.5]}},
        "sje": {},
    },
    "experiment": [
        {"datasets": ["small"], "feature_sets": ["plain"], "text_embeddings": ["hashed"],
         "splits": ["built"], "models": ["avca"], "seeds": [0, 1]},
        {"datasets": ["small"], "feature_sets": ["plain", "scaled"], "text_embeddings": ["short"],
         "splits": ["free"], "models": ["sje"], "seeds": [0]},
        {"datasets": ["other"], "feature_sets": ["told"], "text_embeddings": ["hashed"],
         "splits": ["free", "official"], "models": ["sje"]},
        {"datasets": ["small"], "feature_sets": ["plain"], "text_embeddings": ["hashed"],
         "splits": ["built"], "models": ["avca"], "seeds": [1, 2]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def config() -> avca_config.Config:
    return avca_config.parse(RAW)


def part(config: avca_config.Config, stage: str, name: str, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(avca_config.settings_of(config, stage, name, **more))
    return value


def test_what_is_kept_of_a_dataset(config: avca_config.Config) -> None:
    assert config.num_shards == {"small": 3, "other": 1}
    assert config.max_missing == {"small": 0.1, "other": 0.3}
    assert part(config, "manifest", "other", version=4) == {
        "plugin": "table", "settings": {"path": "clips.csv"}, "version": 4
    }  # fmt: skip


def test_what_extraction_is_given(config: avca_config.Config) -> None:
    given = part(config, "extract", "frames")
    assert given["plugin"] == "timm_frames"
    assert given["settings"]["weights"] == "random"
    assert given["limits"]["max_pixels"] == 1000
    assert given["limits"]["max_duration_s"] == 9


def test_what_a_split_and_its_audits_are_given(config: avca_config.Config) -> None:
    # Random weights without a list know no class; what is excluded counts even if unused.
    given = part(config, "split", "built")
    assert set(given["backbones"]) == {"known"}
    assert given["backbones"]["known"]["settings"]["weights"] == "published"
    given = part(config, "split", "free")
    assert set(given["backbones"]) == {"known", "stated", "there"}
    assert given["backbones"]["there"] is None
    assert set(part(config, "split", "official")["backbones"]) == {"stated"}
    assert config.pretraining_lists("free") == [Path("classes.txt")]
    assert config.pretraining_lists("built") == []
    for dataset, share in (("small", 0.1), ("other", 0.3)):
        given = part(config, "audit", "free", dataset=dataset)
        assert (given["plugin"], given["max_missing"]) == ("built", share)
        assert "dataset" not in given


def test_what_export_and_import_are_given(config: avca_config.Config) -> None:
    assert part(config, "export", "official", dataset="other") == {
        "benchmark": "UCF", "lists": "cls"
    }  # fmt: skip
    assert part(config, "export", "free", dataset="other") == {
        "benchmark": "other",
        "lists": "main",
    }
    assert part(config, "import", "there") == {
        "settings": {"modality": "audio", "path": "features"}
    }  # fmt: skip


def test_what_training_is_given(config: avca_config.Config) -> None:
    given = part(config, "train", "avca", feature_set="scaled", seed=3)
    assert (given["plugin"], given["scaling"], given["seed"]) == ("avca", "standard", 3)
    rates = {name: one["learning_rate"] for name, one in given["candidates"].items()}
    assert rates == {"learning_rate=0.25": 0.25, "learning_rate=0.5": 0.5}
    assert {one["epochs"] for one in given["candidates"].values()} == {7}
    given = part(config, "train", "avca", feature_set="plain", candidate="learning_rate=0.5")
    assert given["scaling"] == "none"
    assert {name: one["learning_rate"] for name, one in given["candidates"].items()} == {
        "learning_rate=0.5": 0.5
    }
    assert not {"candidate", "feature_set"} & set(given)
    assert list(part(config, "train", "sje", feature_set="plain")["candidates"]) == ["default"]


def test_what_an_experiment_uses(config: avca_config.Config) -> None:
    assert sorted(run.path for run in config.runs()) == [
        "other/runs/free/told/hashed/sje/seed0",
        "other/runs/official/told/hashed/sje/seed0",
        "small/runs/built/plain/hashed/avca/seed0",
        "small/runs/built/plain/hashed/avca/seed1",
        "small/runs/built/plain/hashed/avca/seed2",
        "small/runs/free/plain/short/sje/seed0",
        "small/runs/free/scaled/short/sje/seed0",
    ]
    assert config.used_with("free") == ["frames", "known", "stated", "there", "vggish"]
    assert config.used_with("free", "other") == ["stated", "vggish"]
    assert config.used_with("built") == ["frames", "vggish"]
    assert config.text_embeddings_with("free", "small") == ["short"]
    assert config.text_embeddings_with("free", "other") == ["hashed"]
    assert config.text_embeddings_with("built", "other") == []
    assert config.used_backbones() == ["frames", "known", "stated", "there", "vggish"]
    assert config.with_media() == ["other", "small"]
