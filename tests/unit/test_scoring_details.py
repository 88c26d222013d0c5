"""What a method is handed when it scores clips, and where everything is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.evaluation.device_clips import EvaluationSet, evaluation_set, training_clips
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import choose_epoch_on_test, predict, validate
from avca_pipeline.models import ClassKnowledge, ModelSettings
from tests.builders import numbered_clips
from tests.numbers.scripted import Network, Scripted

SETTINGS = ModelSettings(epochs=1, batches_per_epoch=1, batch_size=2)


class Strict(Scripted):
    """Insists on its settings and on the classes that it may know of; ranks ZSL by itself."""

    def adapt_to_classes(
        self, settings: ModelSettings, network: Network, knowledge: ClassKnowledge
    ) -> Any:
        assert settings is SETTINGS
        assert isinstance(knowledge, ClassKnowledge)
        return super().adapt_to_classes(settings, network, knowledge)

    def embed_clips(self, settings: ModelSettings, *rest: Any) -> torch.Tensor:
        assert settings is SETTINGS
        return super().embed_clips(settings, *rest)

    def embed_classes(self, settings: ModelSettings, *rest: Any) -> torch.Tensor:
        assert settings is SETTINGS
        return super().embed_classes(settings, *rest)

    def distances(self, settings: ModelSettings, *rest: Any) -> Distances:
        assert settings is SETTINGS
        gzsl = super().distances(settings, *rest).gzsl
        return Distances(gzsl, zsl=-gzsl)


@pytest.fixture
def data() -> LabelledClips:
    return numbered_clips()


TRAINED_ON = {1: ("train",), 2: ("train", "val_seen", "val_unseen")}
EVALUATED = {1: ("val_seen", "val_unseen"), 2: ("test_seen", "test_unseen")}


def evaluation(data: LabelledClips, stage: int, device: str = "cpu") -> EvaluationSet:
    scaling = learn_scaling("none", data, stage)
    return evaluation_set(data, scaling, training_clips(data, scaling, stage, device))


def rows_in(data: LabelledClips, partitions: tuple[str, ...]) -> list[int]:
    return [row for row, name in enumerate(data.partition) if name in partitions]


@pytest.mark.parametrize("stage", [1, 2])
def test_everything_is_on_the_device(data: LabelledClips, stage: int) -> None:
    """On ``meta``, a device of torch that is in every build and is no processor."""
    training = training_clips(data, learn_scaling("none", data, stage), stage, "meta")
    evaluated = evaluation(data, stage, "meta")
    tensors = [
        value
        for part in (training, evaluated, evaluated.knowledge)
        for value in vars(part).values()
        if isinstance(value, torch.Tensor)
    ]
    assert len(tensors) == 4 + 2 + 4
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize(("stage", "num_classes"), [(1, 3), (2, 5)])
def test_training_clips_are_those_of_the_stage(
    data: LabelledClips, stage: int, num_classes: int
) -> None:
    training = training_clips(data, learn_scaling("none", data, stage), stage, "cpu")
    rows = rows_in(data, TRAINED_ON[stage])
    assert training.stage == stage
    assert training.video[:, 0].tolist() == training.audio[:, 0].tolist() == rows
    assert training.class_row.tolist() == data.class_row[rows].tolist()
    np.testing.assert_array_equal(training.class_text, data.text[:num_classes])
    text = training.class_text[training.text_row]
    np.testing.assert_array_equal(text, data.text[data.class_row[rows]])


@pytest.mark.parametrize(("stage", "classes"), [(1, [0, 1, 2, 3, 4]), (2, [0, 1, 2, 3, 4, 5])])
def test_an_evaluation_has_these_clips_and_classes(
    data: LabelledClips, stage: int, classes: list[int]
) -> None:
    evaluated = evaluation(data, stage)
    rows = rows_in(data, EVALUATED[stage])
    assert evaluated.video[:, 0].tolist() == evaluated.audio[:, 0].tolist() == rows
    assert evaluated.clip_ids == [data.clip_ids[row] for row in rows]
    assert evaluated.class_row.tolist() == classes
    assert [classes[column] for column in evaluated.column] == data.class_row[rows].tolist()
    unseen = (3, 4) if stage == 1 else (5,)
    assert evaluated.is_unseen.tolist() == [name in unseen for name in classes]


@pytest.mark.parametrize("stage", [1, 2])
def test_a_model_may_know_the_training_clips_and_no_others(data: LabelledClips, stage: int) -> None:
    evaluated = evaluation(data, stage)
    knowledge, rows = evaluated.knowledge, rows_in(data, TRAINED_ON[stage])
    assert knowledge.video[:, 0].tolist() == knowledge.audio[:, 0].tolist() == rows
    own_class = evaluated.class_row[knowledge.column.numpy()]
    assert own_class.tolist() == data.class_row[rows].tolist()
    np.testing.assert_array_equal(knowledge.text, data.text[evaluated.class_row])


def test_a_column_is_no_class_row_where_classes_between_are_left_out(data: LabelledClips) -> None:
    """With a class of the test in the middle, columns and rows of validation differ behind it."""
    groups = np.array(["train", "test_unseen", "train", "val_unseen", "val_unseen", "train"])
    partition = np.where(data.partition == "test_unseen", "train", data.partition)
    partition = np.where(data.class_row == 1, "test_unseen", partition)
    shifted = replace(data, class_group=groups, partition=partition)
    evaluated = evaluation(shifted, 1)
    rows = rows_in(shifted, EVALUATED[1])
    assert evaluated.class_row.tolist() == [0, 2, 3, 4, 5]
    assert set(evaluated.column) == {0, 1, 2, 3}
    assert evaluated.class_row[evaluated.column].tolist() == shifted.class_row[rows].tolist()
    training = training_clips(shifted, learn_scaling("none", shifted, 1), 1, "cpu")
    assert training.class_text[:, 0].tolist() == [0, 2, 5]
    assert set(training.text_row.tolist()) == {0, 1, 2}
    assert torch.equal(training.class_text[training.text_row, 0], training.video[:, 1])


def test_a_clip_of_a_class_outside_is_an_error_and_no_wrong_number(data: LabelledClips) -> None:
    partition = np.where(data.class_row == 5, "train", data.partition)
    with pytest.raises(ValueError, match=r"class rows \[5\] are not in"):
        training_clips(replace(data, partition=partition), learn_scaling("none", data, 1), 1, "cpu")
    partition = np.where(data.class_row == 5, "val_unseen", data.partition)
    with pytest.raises(ValueError, match=r"class rows \[5\] are not in"):
        evaluation(replace(data, partition=partition), 1)


def test_predictions_hold_the_embeddings(data: LabelledClips) -> None:
    evaluated = evaluation(data, 1)
    predictions = predict(Strict(["01234"]), SETTINGS, Network(), evaluated)  # type: ignore[arg-type]
    rows = rows_in(data, EVALUATED[1])
    np.testing.assert_array_equal(predictions.clips[:, 0], data.class_row[rows])
    np.testing.assert_array_equal(predictions.classes[:, 0], np.arange(5))
    assert predictions.distances.gzsl.shape == (len(rows), 5)


def test_among_unseen_classes_their_own_distances_decide(data: LabelledClips) -> None:
    """What `Strict` sees as nearest it sees as farthest there."""
    evaluated, network = evaluation(data, 1), Network("01234")
    validated = validate(Strict(), SETTINGS, network, evaluated)  # type: ignore[arg-type]
    assert (validated.seen, validated.unseen, validated.zsl) == (1.0, 1.0, 0.0)
    method, states = Strict(readied=lambda _: [network]), [Network().state_dict()]
    best = choose_epoch_on_test(
        method, SETTINGS, Network(), states, evaluated
    )  # type: ignore[arg-type]  # fmt: skip
    assert (best.epoch, best.scores.seen, best.scores.unseen, best.scores.zsl) == (0, 1.0, 1.0, 0.0)
    rows = rows_in(data, EVALUATED[1])
    np.testing.assert_array_equal(best.predictions.clips[:, 0], data.class_row[rows])
    distances = best.predictions.distances
    np.testing.assert_array_equal(distances.zsl, -distances.gzsl)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_clips_are_embedded_in_their_order_however_many_at_once(
    data: LabelledClips, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avca_pipeline.evaluation.scoring.EMBED_CLIPS_AT_ONCE", at_once)
    method, rows = Strict(["01234"]), rows_in(data, EVALUATED[1])
    predictions = predict(method, SETTINGS, Network(), evaluation(data, 1))  # type: ignore[arg-type]
    assert method.embedded == rows
    np.testing.assert_array_equal(predictions.clips[:, 0], data.class_row[rows])
