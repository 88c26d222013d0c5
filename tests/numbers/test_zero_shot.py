"""Zero-shot classification without training, recomputed with plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.calibration import calibrate
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import predict
from avca_pipeline.models import Dims, zero_shot
from avca_pipeline.nn.adam import Adam
from avca_pipeline.published import lists
from avca_pipeline.training.fit import TrainingResult, fit
from tests.conftest import shared_folder

VIDEO_DIM, AUDIO_DIM = 24, 16
SCORES = ("seen", "unseen", "hm", "zsl", "bias")


@pytest.fixture(scope="module")
def labelled() -> LabelledClips:
    """The clips of UCF-GZSL, main lists, with made-up vectors around those of their classes."""
    root = shared_folder("official")
    partitions = lists.read(root, "UCF", "main").partitions
    clips = sorted(
        (clip.clip_id, clip.class_name, name)
        for name, members in partitions.items()
        for clip in members
    )
    names = sorted({name for _, name, _ in clips})
    generator = np.random.default_rng(0)
    text = generator.standard_normal((len(names), VIDEO_DIM + AUDIO_DIM)).astype(np.float32)
    row = np.array([names.index(name) for _, name, _ in clips])
    noise = generator.standard_normal((len(clips), VIDEO_DIM + AUDIO_DIM))
    features = (text[row] + 2.5 * noise).astype(np.float32)
    group = dict.fromkeys(names, "train")
    group |= {name: part for _, name, part in clips if part in ("val_unseen", "test_unseen")}
    return LabelledClips(
        clip_ids=[clip for clip, _, _ in clips],
        video=features[:, :VIDEO_DIM],
        audio=features[:, VIDEO_DIM:],
        class_row=row,
        partition=np.array([part for _, _, part in clips]),
        class_names=names,
        class_group=np.array([group[name] for name in names]),
        text=text,
        num_missing={},
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns unit vectors in float32, as they are kept."""
    return torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1).numpy()


def numpy_scores(
    labelled: LabelledClips, scored: tuple[str, str], weight: float, biases: np.ndarray
) -> dict[str, float]:
    """Returns S, U, HM, ZSL and the bias by the definition, class by class."""
    seen_groups = ("train",) if scored[1] == "val_unseen" else ("train", "val_unseen")
    clips = np.flatnonzero(np.isin(labelled.partition, scored))
    seen = [c for c, group in enumerate(labelled.class_group) if group in seen_groups]
    unseen = [c for c, group in enumerate(labelled.class_group) if group == scored[1]]
    classes = np.array(sorted(seen + unseen))
    distance = np.zeros((len(clips), len(classes)))
    parts = (
        (1 - weight, labelled.video, labelled.text[:, :VIDEO_DIM]),
        (weight, labelled.audio, labelled.text[:, VIDEO_DIM:]),
    )
    for share, features, text in parts:
        pairs = unit(features)[clips].astype(float)[:, None] - unit(text)[classes].astype(float)
        distance += share * np.sqrt((pairs**2).sum(axis=2))
    best: dict[str, float] = {}
    for bias in biases:
        biased = distance + bias * np.isin(classes, seen)
        predicted = classes[biased.argmin(axis=1)]
        accuracy = {}
        for label in classes:
            own = labelled.class_row[clips] == label
            if own.any():
                accuracy[label] = (predicted[own] == label).mean()
        s = np.mean([accuracy[c] for c in seen if c in accuracy])
        u = np.mean([accuracy[c] for c in unseen if c in accuracy])
        hm = 2 * s * u / (s + u + np.finfo(float).eps)
        if not best or hm > best["hm"]:
            best = {"seen": s, "unseen": u, "hm": hm, "bias": bias}
    among = np.isin(classes, unseen)
    predicted = classes[among][distance[:, among].argmin(axis=1)]
    rows = labelled.class_row[clips]
    best["zsl"] = np.mean([(predicted[rows == c] == c).mean() for c in unseen])
    return {name: float(best[name]) for name in SCORES}


def run(labelled: LabelledClips, settings: zero_shot.Settings, stage: int) -> TrainingResult:
    return fit(
        zero_shot, settings, labelled, learn_scaling("none", labelled, stage),
        stage=stage, epochs=1, seed=0, device="cpu",
    )  # fmt: skip


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_validation_is_scored_and_nothing_is_trained(
    labelled: LabelledClips, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Adam] = []
    monkeypatch.setattr(Adam, "step", steps.append)
    fitted = run(labelled, zero_shot.Settings(audio_weight=weight), 1)
    assert steps == []
    assert fitted.history[0]["losses"] == {}
    expected = numpy_scores(labelled, ("val_seen", "val_unseen"), weight, np.linspace(0, 1, 101))
    for name in SCORES:
        assert fitted.history[0]["val"][name] == pytest.approx(expected[name], abs=1e-12)


def test_test_clips_are_scored(labelled: LabelledClips) -> None:
    settings = zero_shot.Settings(audio_weight=0.4)
    scaling = learn_scaling("none", labelled, 2)
    test = evaluation_set(labelled, scaling, training_clips(labelled, scaling, 2, "cpu"))
    dims = Dims(VIDEO_DIM, AUDIO_DIM, VIDEO_DIM + AUDIO_DIM)
    network = zero_shot.build(settings, dims)
    distances = predict(zero_shot, settings, network, test).distances
    scores = calibrate(distances, test.column, test.is_unseen)
    biases = np.linspace(0, 1, 101)
    expected = numpy_scores(labelled, ("test_seen", "test_unseen"), 0.4, biases)
    for name in SCORES:
        assert getattr(scores, name) == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize(
    ("dims", "modalities", "columns"),
    [
        (Dims(5, 3, 8), "both", {"video": (0, 5), "audio": (5, 8)}),
        (Dims(5, 5, 5), "both", {"video": (0, 5), "audio": (0, 5)}),
        (Dims(5, 3, 8), "audio", {"audio": (5, 8)}),
        (Dims(5, 3, 5), "video", {"video": (0, 5)}),
        (Dims(5, 3, 3), "audio", {"audio": (0, 3)}),
    ],
)
def test_each_modality_has_its_part_of_the_text(
    dims: Dims, modalities: Any, columns: dict[str, tuple[int, int]]
) -> None:
    settings = zero_shot.Settings(modalities=modalities)
    network = zero_shot.build(settings, dims)
    text = torch.nn.functional.normalize(torch.randn(4, dims.text), dim=1)
    parts = [
        torch.nn.functional.normalize(text[:, first:last], dim=1)
        for first, last in columns.values()
    ]
    embedded = zero_shot.embed_classes(settings, network, text)
    torch.testing.assert_close(embedded, torch.cat(parts, dim=1))


@pytest.mark.parametrize("dims", [Dims(5, 3, 9), Dims(5, 3, 5), Dims(4096, 128, 300)])
def test_features_without_a_space_in_common_are_refused(dims: Dims) -> None:
    with pytest.raises(PipelineError, match=r"\w+ features have \d+ values and text"):
        zero_shot.build(zero_shot.Settings(), dims)


@pytest.mark.parametrize(
    ("modalities", "spaces", "expected"),
    [
        ("both", ("v", "a"), {("v", "a")}),
        ("both", ("one", "one"), {("one", "one"), ("one",)}),
        ("both", (None, "a"), {(None, "a")}),
        ("video", ("v", "a"), {("v", "a"), ("v",)}),
        ("audio", ("v", "a"), {("v", "a"), ("a",)}),
    ],
)
def test_text_embeddings_are_in_the_spaces_of_the_features_in_their_order(
    modalities: Any, spaces: tuple[str | None, str | None], expected: set[tuple[str | None, ...]]
) -> None:
    found = zero_shot.Settings(modalities=modalities).text_spaces(*spaces)
    assert set(found) == expected


@pytest.mark.parametrize("weight", [-0.01, 1.01])
def test_a_share_of_more_than_all_is_refused(weight: float) -> None:
    with pytest.raises(ValidationError, match="audio_weight"):
        zero_shot.Settings(audio_weight=weight)
