"""Features that stay in their file train and score as those in memory, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline.artifacts import checkpoint, features, stored_features
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.stored_features import StoredFeatures
from avca_pipeline.errors import FormatError
from avca_pipeline.evaluation import clip_features
from avca_pipeline.models import avca, fvaegan
from avca_pipeline.requests import EvaluateRequest, SelectRequest, TrainRequest
from avca_pipeline.runtime import memory
from avca_pipeline.stages import evaluate, select, train
from tests.builders import World, content_of


def write(path: Path, table: np.ndarray) -> Path:
    ones = np.ones(len(table), int)
    features.write(
        path, Features([f"{row:05d}" for row in range(len(table))], table, ones, ones > 1)
    )
    return path


def test_rows_are_read_as_they_stand_in_the_file(tmp_path: Path) -> None:
    table = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    path = write(tmp_path / "f.h5", table)
    assert isinstance(features.read(path, most_bytes=table.nbytes).features, np.ndarray)
    stored = features.read(path, most_bytes=table.nbytes - 1).features
    assert isinstance(stored, StoredFeatures)
    assert stored.shape == table.shape
    rows = np.array([3, 4, 5, 49, 0, 0, 1, 7])
    np.testing.assert_array_equal(stored[rows].read(), table[rows])
    again = np.array([7, 2, 2])
    np.testing.assert_array_equal(stored[rows][again].read(), table[rows][again])
    assert stored[rows[:0]].read().shape == (0, 7)
    np.testing.assert_array_equal(np.concatenate([*stored.blocks(8)]), table)


def test_features_that_are_not_finite_are_refused_there_too(tmp_path: Path) -> None:
    table = np.zeros((5000, 2), np.float32)
    table[4999, 1] = np.nan
    with pytest.raises(FormatError, match="not finite"):
        features.read(write(tmp_path / "f.h5", table), most_bytes=0)


def test_a_file_that_has_become_short_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5", np.zeros((50, 7), np.float32))
    stored: Any = features.read(path, most_bytes=0).features
    path.write_bytes(path.read_bytes()[: stored.start + 100])
    with pytest.raises(FormatError, match="ends too early"):
        stored.read()
    path.unlink()
    with pytest.raises(FormatError, match="cannot be read"):
        stored.read()


def test_moments_are_those_of_numpy(tmp_path: Path) -> None:
    table = np.random.default_rng(0).lognormal(sigma=3, size=(9001, 5)).astype(np.float32)
    stored: Any = features.read(write(tmp_path / "f.h5", table), most_bytes=0).features
    rows = np.random.default_rng(1).permutation(9001)[:8500]
    mean, spread = stored_features.moments(stored[rows])
    values = table[rows].astype(np.float64)
    np.testing.assert_array_equal(mean, values.mean(axis=0))
    np.testing.assert_array_equal(spread, values.std(axis=0))


def results(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Trains in both stages and evaluates; returns what came out, without times."""
    inputs = World().write(folder)
    candidates = {"default": settings | {"epochs": 2, "batches_per_epoch": 2, "batch_size": 8}}
    request = TrainRequest(plugin="avca", scaling="standard", seed=0, candidates=candidates)
    more: dict[str, Any] = {"resume": folder / "resume.pt", "device": "cpu"}
    train.run_stage1(request, inputs, folder / "1.pt", folder / "1.json", **more)
    select.run(SelectRequest(candidates=["default"]), [folder / "1.json"], folder / "s.json")
    train.run_stage2(request, inputs, folder / "s.json", folder / "2.pt", folder / "2.json", **more)
    evaluate.run(
        EvaluateRequest(run=Run("d", "s", "f", "t", "avca", 0), video="v", audio="a"),
        folder / "2.pt", folder / "s.json", inputs, folder / "scores.json",
        folder / "embeddings.h5", folder / "predictions.csv", device="cpu",
    )  # fmt: skip
    states = [checkpoint.read(folder / name) for name in ("1.pt", "2.pt")]
    tensors = {
        f"{number} {kind} {name}": value.numpy().tobytes()
        for number, state in enumerate(states)
        for kind in ("state", "scaling")
        for name, value in state[kind].items()
    }
    histories = [content_of(folder / name) for name in ("1.json", "2.json")]
    for history in histories:
        for epoch in history["epochs"]:
            epoch.pop("duration_s")
    return tensors | {
        "histories": json.dumps(histories),
        "predictions": (folder / "predictions.csv").read_bytes(),
        "scores": content_of(folder / "scores.json"),
    }


@pytest.mark.parametrize("modalities", ["both", "audio"])
def test_training_and_scores_are_the_same_to_the_bit(
    modalities: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"modalities": modalities, "scored_embedding": "audio"}
    for name in ("loaded", "stored"):
        (tmp_path / name).mkdir()
    loaded = results(tmp_path / "loaded", settings)
    monkeypatch.setattr(clip_features, "SHARE_OF_MEMORY", 0)
    inputs = World().write(tmp_path)
    paths = {name: inputs[name] for name in ("video", "audio")}
    of_avca: Any = avca
    assert isinstance(clip_features.read(of_avca, paths)["video"].features, StoredFeatures)
    assert results(tmp_path / "stored", settings) == loaded
    of_fvaegan: Any = fvaegan  # needs all clips at once
    assert isinstance(clip_features.read(of_fvaegan, paths)["video"].features, np.ndarray)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/job/step\n", {"job/memory.max": "4096", "job/step/memory.max": "max"}, 4096),
        ("0::/job\n", {"memory.max": "8192", "job/memory.max": "max"}, 8192),
        ("5:cpu:/x\n4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "512"}, 512),
        ("5:cpu:/x\n", {"x/memory.max": "1"}, None),
        ("0::/elsewhere\n", {}, None),
    ],
)
def test_a_job_has_the_memory_that_its_groups_allow(
    groups: str, files: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        (tmp_path / "limits" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "limits" / name).write_text(text)
    found = memory.bytes_of_this_job(tmp_path / "cgroup", tmp_path / "limits")
    of_machine = memory.bytes_of_this_job(tmp_path / "none", tmp_path / "limits")
    assert found == (of_machine if expected is None else expected)
    assert of_machine > 1 << 28
