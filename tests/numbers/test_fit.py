"""One stage of training, step by step, with a method that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation import scoring
from avca_pipeline.evaluation.device_clips import EvaluationSet, evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import EpochOnTest, choose_epoch_on_test, predict
from avca_pipeline.models import ModelSettings
from avca_pipeline.training.fit import TrainingResult, fit
from tests.builders import numbered_clips
from tests.numbers.scripted import Network, Scripted

# Of the six classes 0, 1 and 2 are trained on in stage 1, 3 and 4 in stage 2, 5 in none.
SETTINGS = ModelSettings(
    epochs=5, batches_per_epoch=3, batch_size=4, learning_rate=0.1, weight_decay=0, lr_patience=0
)
TRAINED_ON = {1: ("train",), 2: ("train", "val_seen", "val_unseen")}


@pytest.fixture
def data() -> LabelledClips:
    """Clips that say who they are, see `Scripted`."""
    return numbered_clips()


def fitted(data: LabelledClips, method: Scripted, stage: int = 1, **changes: Any) -> TrainingResult:
    settings = SETTINGS.model_copy(update={"epochs": len(method.script), **changes})
    return fit(
        method, settings, data, learn_scaling("none", data, stage),
        stage=stage, epochs=settings.epochs, seed=0, device="cpu",
    )  # type: ignore[arg-type]  # fmt: skip


def evaluation_of_stage_2(data: LabelledClips) -> EvaluationSet:
    scaling = learn_scaling("none", data, 2)
    return evaluation_set(data, scaling, training_clips(data, scaling, 2, "cpu"))


def rows_in(data: LabelledClips, *partitions: str) -> set[int]:
    return {row for row, name in enumerate(data.partition) if name in partitions}


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_trains_on_its_partitions_and_on_nothing_else(
    data: LabelledClips, stage: int
) -> None:
    method = Scripted(["0"])
    fitted(data, method, stage, batches_per_epoch=80, batch_size=8)
    everything = data.only(*TRAINED_ON[2])  # what a row counts in
    expected = set(everything.video[np.isin(everything.partition, TRAINED_ON[stage]), 0].tolist())
    classes = [0.0, 1.0, 2.0] if stage == 1 else [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(method.batches) == 80
    for videos in ("video", "negative_video"):
        drawn = torch.cat([getattr(batch, videos)[:, 0] for batch in method.batches])
        assert len(drawn) == 640
        assert set(drawn.tolist()) == expected
    for batch in method.batches:
        for sign in ("", "negative_"):
            video, audio, text = (
                getattr(batch, f"{sign}{part}") for part in ("video", "audio", "text")
            )
            assert torch.equal(video[:, 0], audio[:, 0])  # one clip
            assert torch.equal(video[:, 1], text[:, 0])  # its own class
        assert (batch.video[:, 1] != batch.negative_video[:, 1]).all()
        assert batch.class_text[:, 0].tolist() == classes
        assert torch.equal(batch.class_text[batch.text_row], batch.text)


def test_networks_train_in_steps_and_nowhere_else(data: LabelledClips) -> None:
    method = Scripted(["0", "1"])
    fitted(data, method)
    assert method.modes == {
        ("steps", True), ("adapt_to_classes", False), ("embed_clips", False),
        ("embed_classes", False),
    }  # fmt: skip
    assert (method.dims.video, method.dims.audio, method.dims.text) == (12, 12, 10)


@pytest.mark.parametrize("stage", [1, 2])
def test_validation_is_of_stage_1_in_both_stages(
    data: LabelledClips, stage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "EMBED_CLIPS_AT_ONCE", 5)  # parts come in order
    method = Scripted(["0"] * stage)  # stage 2 does not validate after its last epoch
    fitted(data, method, stage)
    expected = sorted(rows_in(data, "val_seen", "val_unseen"))
    assert method.embedded == data.video[expected, 0].astype(int).tolist()
    (knowledge,) = method.knowledge
    assert knowledge.text[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert knowledge.is_unseen.tolist() == [False, False, False, True, True]
    assert set(knowledge.video[:, 0].tolist()) == rows_in(data, "train")
    assert torch.equal(knowledge.text[knowledge.column, 0], knowledge.video[:, 1])


def test_a_test_knows_what_stage_2_has_trained_on(data: LabelledClips) -> None:
    method, network = Scripted(["012345"], unseen="5"), Network()
    test = evaluation_of_stage_2(data)
    predict(method, SETTINGS, network, test)  # type: ignore[arg-type]
    assert method.embedded == sorted(rows_in(data, "test_seen", "test_unseen"))
    (knowledge,) = method.knowledge
    assert knowledge.text[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert knowledge.is_unseen.tolist() == [False] * 5 + [True]
    assert set(knowledge.video[:, 0].tolist()) == rows_in(data, *TRAINED_ON[2])
    assert torch.equal(knowledge.text[knowledge.column, 0], knowledge.video[:, 1])
    assert test.column.tolist() == data.class_row[sorted(method.embedded)].tolist()


def test_the_last_of_what_getting_ready_gives_is_asked(data: LabelledClips) -> None:
    method = Scripted(readied=lambda network: [Network("5"), Network("0"), Network("034")])
    result = fitted(data, replace(method, script=["never asked"]))
    assert [epoch["val"]["seen"] for epoch in result.history] == pytest.approx([1 / 3])
    assert [epoch["val"]["unseen"] for epoch in result.history] == [1.0]


# HM 1/2, 0 (with a higher S), 2/3, again 2/3, 0.
SCRIPT = ("034", "01", "0123", "0123", "34")
RATES = [0.1, 0.1, 0.01, 0.01, 0.001]


def weights(state: dict[str, torch.Tensor]) -> float:
    return state["weight"].item()


def test_the_learning_rate_follows_hm(data: LabelledClips) -> None:
    result = fitted(data, Scripted(SCRIPT))
    assert [epoch["learning_rate"] for epoch in result.history] == pytest.approx(RATES)
    assert [epoch["val"]["hm"] for epoch in result.history] == pytest.approx(
        [1 / 2, 0, 2 / 3, 2 / 3, 0], abs=1e-12
    )
    assert [epoch["val"]["seen"] for epoch in result.history] == pytest.approx(
        [1 / 3, 2 / 3, 1, 1, 0]
    )
    assert [epoch["epoch"] for epoch in result.history] == [0, 1, 2, 3, 4]


def test_the_first_of_equal_epochs_is_the_best_and_its_state_is_kept(data: LabelledClips) -> None:
    """Three batches with two optimiser steps each are an epoch."""
    result = fitted(data, Scripted(SCRIPT))
    assert result.best_epoch == 2
    assert weights(result.best_state) == pytest.approx(-6 * sum(RATES[:3]), abs=1e-5)
    assert weights(result.last_state) == pytest.approx(-6 * sum(RATES), abs=1e-5)
    assert result.states == []


def test_of_epochs_that_are_all_wrong_the_first_is_the_best(data: LabelledClips) -> None:
    result = fitted(data, Scripted(["", "", ""]))
    assert result.best_epoch == 0
    # An HM of 0 is no rise above 0.
    assert [epoch["learning_rate"] for epoch in result.history] == pytest.approx([0.1, 0.1, 0.01])


def test_every_state_is_kept_where_the_epoch_is_chosen_later(data: LabelledClips) -> None:
    result = fitted(data, Scripted(SCRIPT), stage=2, chosen_on_test=True)
    assert [weights(state) for state in result.states] == pytest.approx(
        [-6 * sum(RATES[: epoch + 1]) for epoch in range(5)], abs=1e-5
    )


@pytest.mark.parametrize(("decay", "beta1"), [(0.0, 0.9), (8.0, 0.9), (8.0, 0.5), (0.5, 0.0)])
def test_steps_are_adam_s_with_decay_and_momentum(
    data: LabelledClips, decay: float, beta1: float
) -> None:
    """Kingma and Ba's rule, worked out for the one parameter; its loss has the gradient 1."""
    weight = mean = square = 0.0
    for step in range(1, 7):
        gradient = 1 + decay * weight
        mean = beta1 * mean + (1 - beta1) * gradient
        square = 0.999 * square + 0.001 * gradient**2
        ratio = (mean / (1 - beta1**step)) / (square / (1 - 0.999**step)) ** 0.5
        weight -= 0.1 * ratio
    result = fitted(data, Scripted(["0"]), weight_decay=decay, beta1=beta1)
    assert weights(result.last_state) == pytest.approx(weight, abs=1e-5)


@pytest.mark.parametrize("loss", [float("inf"), float("nan")])
def test_a_training_that_diverges_ends_in_one_line(data: LabelledClips, loss: float) -> None:
    class Diverging(Scripted):
        def steps(self, *arguments: Any) -> Iterator[dict[str, torch.Tensor]]:
            for terms in super().steps(*arguments):
                yield terms | {"total": terms["total"] + (loss if len(self.batches) > 3 else 0)}

    with pytest.raises(PipelineError, match=r"stage 2, epoch 1: the loss is (inf|nan); lower"):
        fitted(data, Diverging(["0", "0", "0"]), 2)


def test_losses_are_means_over_batches_of_sums_over_steps(data: LabelledClips) -> None:
    result = fitted(data, Scripted(["0"]))
    before_each_step = [-0.1 * step for step in range(6)]
    assert result.history[0]["losses"] == pytest.approx(
        {"total": sum(before_each_step) / 3, "part": 2.0 + 3.0}, abs=1e-5
    )


def chosen(data: LabelledClips, readied: list[list[str]]) -> EpochOnTest:
    """Returns the choice among states whose getting ready gives these answers."""
    method = Scripted(
        readied=lambda network: [Network(answers) for answers in readied[int(network.weight)]],
        unseen="45",
    )
    groups = np.array(["train"] * 4 + ["test_unseen"] * 2)
    partition = np.where(data.partition == "val_unseen", "val_seen", data.partition)
    partition = np.where(data.class_row >= 4, "test_unseen", partition)
    data = replace(data, class_group=groups, partition=partition)
    states = [Network(weight=float(number)).state_dict() for number in range(len(readied))]
    test = evaluation_of_stage_2(data)
    best = choose_epoch_on_test(method, SETTINGS, Network(), states, test)  # type: ignore[arg-type]
    assert ("embed_clips", True) not in method.modes  # whatever getting ready leaves behind
    return best


def test_of_epochs_chosen_on_the_test_the_first_best_hm_wins(data: LabelledClips) -> None:
    best = chosen(data, [["04"], ["0145"], ["01234"], ["0145"]])
    reached = best.scores
    assert (best.epoch, reached.seen, reached.unseen) == (1, 1 / 2, 1.0)
    assert reached.hm == pytest.approx(2 / 3)
    assert reached.bias == 0.0


def test_while_getting_ready_hm_and_zsl_have_epochs_of_their_own(data: LabelledClips) -> None:
    """Of equal ones HM has the last and ZSL the first."""
    best = chosen(data, [["0", "0145", "01234", "5"]])
    reached = best.scores
    assert (best.epoch, reached.seen, reached.unseen) == (0, 1.0, 1 / 2)
    assert reached.zsl == 1.0
    assert reached.zsl_per_class[4:].tolist() == [1.0, 1.0]
    assert best.predictions.distances.gzsl.argmin(axis=1).tolist() == [
        label if str(label) in "01234" else 4 for label in data.class_row[rows_of_test(data)]
    ]
    among_unseen = best.predictions.distances.zsl
    assert among_unseen is not None
    own = data.class_row[rows_of_test(data)]
    assert (4 + among_unseen[own >= 4, 4:].argmin(axis=1)).tolist() == own[own >= 4].tolist()
    reached = chosen(data, [["04", "05"]]).scores
    assert reached.zsl_per_class[4:].tolist() == [1.0, 0.0]


def rows_of_test(data: LabelledClips) -> list[int]:
    """Returns the test clips of `chosen`: all of the last two classes are in it."""
    return [
        row
        for row, (partition, label) in enumerate(zip(data.partition, data.class_row, strict=True))
        if label >= 4 or partition == "test_seen"
    ]
