"""f-VAEGAN-D2: the published way to choose its epoch, for comparison only; and its features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline.artifacts import checkpoint, features, labels, split
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.labelled_clips import join_clips, learn_scaling
from avca_pipeline.evaluation.scoring import predict
from avca_pipeline.models import Dims, fvaegan
from avca_pipeline.requests import (
    EvaluateRequest,
    ReportedRun,
    ReportRequest,
    SelectRequest,
    TrainRequest,
)
from avca_pipeline.stages import evaluate, report, select, train
from avca_pipeline.training.fit import fit
from tests.builders import RUN, World, content_of, labelled_clips, report_files
from tests.numbers.from_predictions import scores_from, table

EPOCHS = 4
SETTINGS = fvaegan.Settings(
    epochs=EPOCHS, learning_rate=0.01, batches_per_epoch=4, batch_size=8,
    critic_steps=1, latent_dim=4, generator_hidden=8, encoder_hidden=8, critic_hidden=8,
    synthetic_per_class=4,
    classifier_epochs=5, classifier_batch=8, classifier_learning_rate=0.3, chosen_on_test=True,
)  # fmt: skip


def world() -> World:
    """Returns clips whose features are not negative, as the method needs them.

    There is so much noise in them that one epoch classifies them better than another.
    """
    made, generator = World(), np.random.default_rng(1)
    made.features = {
        clip: np.abs(both + 0.3 * generator.standard_normal(both.shape))
        for clip, both in made.features.items()
    }
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a run leaves behind."""
    path = tmp_path_factory.mktemp("run")
    inputs = world().write(path)
    candidates = {"default": SETTINGS.model_dump(mode="json")}
    settings = {"plugin": "fvaegan", "scaling": "none", "seed": 0, "candidates": candidates}
    more: dict[str, Any] = {"resume": path / "resume.pt", "device": "cpu"}
    train.run_stage1(TrainRequest(**settings), inputs, path / "stage1.pt", path / "1.json", **more)
    select.run(SelectRequest(candidates=["default"]), [path / "1.json"], path / "selection.json")
    train.run_stage2(
        TrainRequest(**settings),
        inputs,
        path / "selection.json",
        path / "stage2.pt",
        path / "2.json",
        **more,
    )
    request = EvaluateRequest(run=RUN, video="video", audio="audio")
    evaluate.run(
        request, path / "stage2.pt", path / "selection.json", inputs, path / "scores.json",
        path / "embeddings.h5", path / "predictions.csv", device="cpu",
    )  # fmt: skip
    return path


def test_every_epoch_is_kept_and_the_scores_say_how_they_were_chosen(folder: Path) -> None:
    assert len(checkpoint.read(folder / "stage2.pt")["states"]) == EPOCHS
    assert checkpoint.read(folder / "stage1.pt")["states"] == []
    content = content_of(folder / "scores.json")
    assert content["selection"]["is_on_test"]
    assert content["bias"] == 0
    files = report_files(
        scores=[folder / "scores.json"],
        embeddings=[folder / "embeddings.h5"],
        predictions=[folder / "predictions.csv"],
    )
    request = ReportRequest(runs=[ReportedRun(run=RUN, candidates=[])], datasets=[])
    report.run(request, files, folder / "report.html", folder / "table.csv")
    assert "chosen on test clips" in (folder / "report.html").read_text()


def test_the_scores_follow_from_the_predictions(folder: Path) -> None:
    """HM and ZSL are each of the network that is best for them, and so are the predictions."""
    stated = content_of(folder / "scores.json")["scores"]
    again = scores_from(table(folder / "predictions.csv"))["scores"]
    assert stated == pytest.approx(again, abs=1e-12)


def hm_and_zsl(
    distances: Distances, column: np.ndarray, is_unseen: np.ndarray
) -> tuple[float, float]:
    """Returns HM and ZSL without a bias, by their definition."""

    def mean_accuracy(predicted: np.ndarray, classes: np.ndarray) -> float:
        tested = [label for label in classes if (column == label).any()]
        return float(np.mean([(predicted[column == label] == label).mean() for label in tested]))

    seen, unseen = np.flatnonzero(~is_unseen), np.flatnonzero(is_unseen)
    predicted = distances.gzsl.argmin(axis=1)
    s, u = mean_accuracy(predicted, seen), mean_accuracy(predicted, unseen)
    among_unseen = distances.gzsl if distances.zsl is None else distances.zsl
    zsl = mean_accuracy(unseen[among_unseen[:, unseen].argmin(axis=1)], unseen)
    return (2 * s * u / (s + u) if s + u else 0.0), zsl


def test_no_epoch_does_better(folder: Path) -> None:
    labelled = join_clips(
        split.read(folder / "split"),
        {name: features.read(folder / name) for name in ("video", "audio")},
        labels.read(folder / "labels"),
    )
    scaling = learn_scaling("none", labelled, 2)
    test = evaluation_set(labelled, scaling, training_clips(labelled, scaling, 2, "cpu"))
    reported = content_of(folder / "scores.json")
    network = fvaegan.build(SETTINGS, Dims(World.dim, World.dim, labelled.text.shape[1]))
    reached = []
    for state in checkpoint.read(folder / "stage2.pt")["states"]:
        network.load_state_dict(state)
        distances = predict(fvaegan, SETTINGS, network, test).distances
        reached.append(hm_and_zsl(distances, test.column, test.is_unseen))
    assert len({hm for hm, _ in reached}) > 1
    assert reported["scores"]["hm"] >= np.max([hm for hm, _ in reached]) - 1e-12
    assert reported["scores"]["zsl"] >= reached[reported["selection"]["epoch"]][1] - 1e-12


def test_otherwise_nothing_of_it_is_kept(folder: Path, tmp_path: Path) -> None:
    inputs = world().write(tmp_path)
    sound = SETTINGS.model_copy(update={"chosen_on_test": False}).model_dump(mode="json")
    settings = {"plugin": "fvaegan", "scaling": "none", "seed": 0, "candidates": {"default": sound}}
    train.run_stage2(
        TrainRequest(**settings),
        inputs,
        folder / "selection.json",
        tmp_path / "stage2.pt",
        tmp_path / "2.json",
        resume=tmp_path / "resume.pt",
        device="cpu",
    )
    content = checkpoint.read(tmp_path / "stage2.pt")
    assert content["states"] == []
    assert content["epoch"] == content_of(folder / "selection.json")["epoch"]


@pytest.mark.parametrize("negative", ["video", "audio"])
def test_negative_features_are_refused(negative: str) -> None:
    data = labelled_clips()
    kept = {"video", "audio"} - {negative}
    data = replace(data, **{name: np.abs(getattr(data, name)) for name in kept})
    with pytest.raises(PipelineError, match="scaling: none"):
        fit(
            fvaegan, SETTINGS, data, learn_scaling("none", data, 1),
            stage=1, epochs=1, seed=0, device="cpu",
        )  # fmt: skip
