"""Triplets, the optimiser's schedule, and one stage of fitting."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.artifacts.split import TRAIN
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.device_clips import training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.models import Dims, avca
from avca_pipeline.nn.adam import Adam
from avca_pipeline.nn.plateau import Plateau
from avca_pipeline.training.fit import TrainingResult, fit, train_epoch
from avca_pipeline.training.step import Step
from avca_pipeline.training.triplets import sampler
from tests.builders import labelled_clips
from tests.host_reads import HostReads

SETTINGS = avca.Settings(
    epochs=4,
    batches_per_epoch=5,
    batch_size=8,
    token_dim=16,
    embedding_dim=8,
    encoder_hidden=16,
    projection_hidden=16,
    heads=2,
    head_dim=8,
)


def trained(
    data: LabelledClips,
    stage: int = 1,
    epochs: int = 4,
    resume: Path | None = None,
    seed: int = 3,
    lr_patience: int = 3,
) -> TrainingResult:
    scaling = learn_scaling("standard", data, stage)
    settings = SETTINGS.model_copy(update={"lr_patience": lr_patience})
    return fit(
        avca, settings, data, scaling, stage=stage, epochs=epochs, seed=seed, device="cpu",
        resume=resume, resume_every_s=0.0, fingerprint="the same",
    )  # fmt: skip


def same(first: TrainingResult, second: TrainingResult) -> bool:
    strip = [[{**e, "duration_s": 0} for e in fitted.history] for fitted in (first, second)]
    return strip[0] == strip[1] and all(
        torch.equal(first.last_state[name], second.last_state[name])
        and torch.equal(first.best_state[name], second.best_state[name])
        for name in first.last_state
    )


def test_draws_are_uniform_over_classes_and_then_over_clips() -> None:
    targets = np.array([2] * 4 + [5] * 2 + [7] * 6)
    generator = torch.Generator().manual_seed(0)
    positives, negatives = sampler(targets).draw(600, 100, generator)
    for drawn in (positives, negatives):
        counts = np.bincount(drawn.ravel().numpy(), minlength=len(targets))
        expected = 60_000 * np.array([1 / 12] * 4 + [1 / 6] * 2 + [1 / 18] * 6)
        # Five standard deviations of a binomial count.
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()
    classes = torch.from_numpy(targets)
    assert (classes[positives] != classes[negatives]).all()
    pairs = (classes[positives] * 10 + classes[negatives]).ravel().numpy()
    _, counts = np.unique(pairs, return_counts=True)
    assert len(counts) == 6
    assert (np.abs(counts - 10_000) <= 5 * np.sqrt(10_000)).all()


def test_one_class_has_no_negatives() -> None:
    with pytest.raises(PipelineError, match="at least two classes"):
        sampler(np.zeros(3, int))


def test_plateau_is_torch_s() -> None:
    generator = np.random.default_rng(0)
    parameter = torch.nn.Parameter(torch.zeros(1))
    reference = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, mode="max", patience=2)
    ours, lr = Plateau(patience=2), 0.1
    # Again and again a rise just in time, then rises alone, then whatever comes.
    in_time = np.ravel([(rise, 0, 0) for rise in np.linspace(0.01, 0.1, 5)])
    rising = np.linspace(0.1, 0.5, 10)
    for score in np.concatenate([in_time, rising, generator.random(60), [0.5] * 40]):
        schedule.step(float(score))
        lr = ours.next(lr, float(score))
        assert lr == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)


def test_adam_is_torch_s() -> None:
    torch.manual_seed(0)
    start = torch.randn(5, 3)
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    ours = Adam([mine], 0.01, 0.1)
    reference = torch.optim.Adam([theirs], lr=0.01, weight_decay=0.1)
    for _ in range(20):
        for parameter, optimiser in ((mine, ours), (theirs, reference)):
            optimiser.zero_grad()
            (parameter**4).sum().backward()
            optimiser.step()
    torch.testing.assert_close(mine, theirs)


def test_a_learning_rate_on_the_device_is_read_at_each_step() -> None:
    """On a GPU it is a tensor, which a recorded step reads again."""
    torch.manual_seed(0)
    start = torch.randn(5, 3)
    plain, other = (Adam([torch.nn.Parameter(start.clone())], rate, 0.1) for rate in (0.01, 0.5))
    other.rate = rate = torch.full((), 0.5)
    for learning_rate in (0.01, 0.001):
        for optimiser in (plain, other):
            optimiser.learning_rate = learning_rate
            (optimiser.parameters[0] ** 4).sum().backward()
            optimiser.step()
            optimiser.zero_grad()
    assert other.rate is rate
    assert other.learning_rate == 0.001
    torch.testing.assert_close(plain.parameters[0], other.parameters[0])


def test_the_seed_decides_every_bit() -> None:
    first = trained(labelled_clips(), epochs=2)
    torch.rand(7)  # whatever was drawn before
    assert same(first, trained(labelled_clips(), epochs=2))
    assert not same(first, trained(labelled_clips(), epochs=2, seed=4))


def test_an_epoch_does_not_wait_for_the_device() -> None:
    data = labelled_clips()
    clips = training_clips(data, learn_scaling("none", data, 1), 1, "cpu")
    network = avca.build(SETTINGS, Dims(video=12, audio=12, text=10))
    optimiser = Adam(avca.trainable(SETTINGS, network), 0.01, 0.1)
    rows = torch.arange(8).reshape(2, 4)
    step = Step(avca, SETTINGS.model_copy(update={"batch_size": 4}), network, optimiser, clips)
    with HostReads() as reads:
        train_epoch(step, rows, rows.flip(1))
    assert reads.names == []
    with HostReads() as reads:
        torch.ones(1).item()
    assert reads.names == ["_local_scalar_dense"]


@pytest.mark.parametrize(("lr_patience", "validated"), [(0, [1, 1, 1, 0]), (3, [0, 0, 0, 0])])
def test_stage_2_validates_while_the_learning_rate_hangs_on_it(
    lr_patience: int, validated: list[int]
) -> None:
    histories = [
        trained(labelled_clips(), stage, lr_patience=lr_patience).history for stage in (1, 2)
    ]
    assert [[epoch["val"] is not None for epoch in each] for each in histories] == [
        [True] * 4, [bool(one) for one in validated],
    ]  # fmt: skip


def test_no_score_that_is_left_out_changes_a_learning_rate() -> None:
    generator = np.random.default_rng(0)
    for patience, num_epochs in itertools.product(range(4), range(1, 9)):
        scores = generator.random(num_epochs)
        always, sparing = Plateau(patience), Plateau(patience)
        rates, spared = [0.1], [0.1]
        for number, score in enumerate(scores[:-1]):  # nothing follows the last epoch
            rates.append(always.next(rates[-1], score))
            may = sparing.may_lower(num_epochs - 1 - number)
            spared.append(sparing.next(spared[-1], score) if may else spared[-1])
        assert spared == rates
        assert not sparing.may_lower(0)


def test_an_interrupted_fit_goes_on_to_the_same_result(tmp_path: Path) -> None:
    data, resume = labelled_clips(), tmp_path / "resume.pt"
    whole = trained(data)
    half = trained(data, epochs=2, resume=resume)
    assert len(half.history) == 2
    resumed = trained(data, epochs=4, resume=resume)
    assert same(whole, resumed)
    resume.write_bytes(resume.read_bytes()[:1000])  # damaged: starts again
    assert same(whole, trained(data, resume=resume))


def test_scaling_is_learned_from_training_clips() -> None:
    data = labelled_clips()
    scaling = learn_scaling("standard", data, stage=1)
    training = scaling.video(data.video[data.partition == TRAIN])
    np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(training.std(axis=0), 1, atol=1e-4)
    constant = LabelledClips(**{**vars(data), "audio": np.ones_like(data.audio)})
    assert not learn_scaling("standard", constant, 1).audio(constant.audio).any()
    np.testing.assert_array_equal(learn_scaling("none", data, 1).video(data.video), data.video)
