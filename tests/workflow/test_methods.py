"""All methods in one table, on a tiny stand-in for the data of a ready benchmark."""

from __future__ import annotations

import csv
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline import models, registry
from tests.builders import World, content_of, trained_and_scored
from tests.conftest import REPOSITORY
from tests.workflow.driving import planned, snakemake

BENCHMARK = REPOSITORY / "workflow/benchmarks/ucf-gzsl.yaml"
LATER_METHODS = ["clipclap", "tcaf", "zero_shot"]
METHODS = [*yaml.safe_load(BENCHMARK.read_text())["experiment"][0]["models"], *LATER_METHODS]
DIMS = {"video": 6, "audio": 4}
SHORT = {"epochs": 1, "batches_per_epoch": 2, "batch_size": 8}

NINTH = '''"""One more method: mean squared error."""

from avca_pipeline.models._compatibility import ConcatenatingSettings, concatenated, embed_clips
from avca_pipeline.models.defaults import distances, embed_classes, adapt_to_classes, trainable
from avca_pipeline.runtime.lazy import torch


class Settings(ConcatenatingSettings):
    """Nothing of its own."""


def build(settings, dims):
    return torch.nn.ModuleDict({"map": torch.nn.Linear(dims.video + dims.audio, dims.text)})


def steps(settings, network, batch):
    mapped = embed_clips(settings, network, batch.video, batch.audio)
    yield {"total": torch.nn.functional.mse_loss(mapped, batch.text)}
'''

# Class number to the published stages that it has clips in.
STAGES = {
    0: ("stage_1_train", "stage_1_val_seen", "stage_2_test_seen"),
    1: ("stage_1_train", "stage_1_val_seen", "stage_2_test_seen"),
    2: ("stage_1_train", "stage_2_test_seen"),
    3: ("stage_1_val_unseen", "stage_2_test_seen"),
    4: ("stage_1_val_unseen", "stage_2_test_seen"),
    5: ("stage_2_test_unseen",),
    6: ("stage_2_test_unseen",),
}
TRAINING = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen")


def write_benchmark(folder: Path) -> None:
    """Writes lists, features over time and vectors of seven classes in the published layout."""
    top = folder / "avgzsl_benchmark_datasets/UCF"
    generator = np.random.default_rng(0)
    names = {number: f"Class{letter}" for number, letter in enumerate("ABCDEFG")}
    vectors = generator.standard_normal((len(names), sum(DIMS.values()))).astype(np.float32)
    (folder / "w2v_features").mkdir(parents=True)
    np.save(
        folder / "w2v_features/word_embeddings_ucf_normed.npy",
        np.array({f"class {n[-1]}": v for n, v in zip(names.values(), vectors, strict=True)}),
    )
    lists = top / "class-split/main_split"
    lists.mkdir(parents=True)
    (lists.parent / "all_class.txt").write_text("\n".join(names.values()))
    pairs = [f"{name},class {name[-1]}" for name in names.values()]
    (lists.parent / "ucf_w2v_class_names.csv").write_text("\n".join(["original,manual", *pairs]))
    clips: dict[str, list[tuple[str, int]]] = {}
    for number, stages in STAGES.items():
        for index, stage in enumerate(stages):
            clips.setdefault(stage, []).extend(
                (f"v_{names[number]}_g{index:02}_c{take:02}", number) for take in range(4)
            )
    clips["stage_2_train"] = [clip for stage in TRAINING for clip in clips[stage]]
    for stage, rows in clips.items():
        lines = [f"{clip},{names[number]},{number}" for clip, number in rows]
        (lists / f"{stage}.csv").write_text("\n".join(["filename,label,label_code", *lines]))
        classes = sorted({names[number] for _, number in rows})
        (lists / f"{stage}.txt").write_text("\n".join(classes))
        if stage != "stage_2_train":
            write_features(top / "features/main_features", stage, rows, names, vectors)


def write_features(
    folder: Path,
    stage: str,
    rows: list[tuple[str, int]],
    names: dict[int, str],
    vectors: np.ndarray,
) -> None:
    for modality, dim in DIMS.items():
        (folder / modality / stage).mkdir(parents=True)
        for number in {number for _, number in rows}:
            found = [clip for clip, label in rows if label == number]
            noise = np.random.default_rng([number, dim]).random((len(found), 2, dim))
            windows = (np.abs(np.resize(vectors[number], dim)) + noise).astype(np.float32)
            content = {"features": [*windows], "video_names": found}
            path = folder / modality / stage / f"{names[number]}.pkl"
            path.write_bytes(pickle.dumps(content))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of one command."""
    folder = tmp_path_factory.mktemp("methods")
    write_benchmark(folder / "data/official")
    done = snakemake(folder, config())
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def config() -> dict[str, Any]:
    """Returns the ready benchmark's main half with later methods, for seconds instead of days."""
    raw: dict[str, Any] = yaml.safe_load(BENCHMARK.read_text())
    raw["experiment"] = {**raw["experiment"][0], "models": METHODS, "seeds": [42]}
    raw["models"] = {name: raw["models"].get(name, {}) for name in METHODS}
    for name in set(METHODS) - {"zero_shot"}:
        raw["models"][name] |= SHORT
    raw["models"]["fvaegan"] |= {
        "synthetic_per_class": 8, "classifier_batch": 16, "classifier_epochs": 1
    }  # fmt: skip
    raw["models"]["tcaf"] |= {"depth": 1}
    for modality in DIMS:  # TCaF asks for windows, and zero_shot for the space
        raw["imported"][f"selavi-{modality}"] |= {
            "space": modality, "keep_windows": True, "window_s": 1.0, "hop_s": 1.0
        }  # fmt: skip
    raw["text_embeddings"]["word2vec"]["spaces"] = ["video", "audio"]
    raw["results"] = "results"
    raw["runs_per_job"] = len(METHODS)  # which imports torch once instead of for each training
    return raw


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert planned(finished, None) == {}


def test_one_more_method_is_one_more_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config names it, and the stages train and score it."""
    (tmp_path / "ninth.py").write_text(NINTH)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    registry._own_names.cache_clear()
    try:
        raw = config()
        raw["models"]["ninth"] = dict(SHORT)
        raw["experiment"]["models"] = ["ninth"]
        (settings,) = avca_config.parse(raw).models["ninth"].candidates.values()
        inputs = World().write(tmp_path)
        scores = trained_and_scored(tmp_path, inputs, "ninth", settings.model_dump(mode="json"))
    finally:
        registry._own_names.cache_clear()
    assert scores["provenance"]["model"] == "ninth"


def test_the_table_is_complete(finished: Path) -> None:
    with open(finished / "results/table.csv", newline="", encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == sorted(METHODS)
    for model, row in rows.items():
        for score in ("seen", "unseen", "hm", "zsl"):
            assert 0 <= float(row[f"{score}_mean_percent"]) <= 100
            # The stand-in has the names of the benchmark, and nothing else of it.
            assert row[f"{score}_published_percent"] == "", model
    page = (finished / "results/report.html").read_text()
    assert not re.search(r"published \d", page)


def test_every_method_scores_the_same_clips_and_classes(finished: Path) -> None:

    found = [content_of(path) for path in sorted(finished.rglob("scores.json"))]
    assert len(found) == len(METHODS)
    counted = [
        [(one["class_name"], one["is_unseen"], one["num_clips"]) for one in run["per_class"]]
        for run in found
    ]
    assert all(count == counted[0] for count in counted)
    assert sum(num for _, _, num in counted[0]) == 4 * sum(
        stage.startswith("stage_2_test") for stages in STAGES.values() for stage in stages
    )
