"""A step as a function of fixed tensors, and the trial of what replays it; all on a CPU.

`tests/gpu` compares real graphs with the steps that they were recorded from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from avca_pipeline.evaluation.device_clips import training_clips
from avca_pipeline.evaluation.labelled_clips import learn_scaling
from avca_pipeline.models import Dims, avca
from avca_pipeline.nn.adam import Adam
from avca_pipeline.training.fit import train_epoch
from avca_pipeline.training.graphs import use_graph
from avca_pipeline.training.step import Step
from tests.builders import labelled_clips

SETTINGS = avca.Settings(
    batch_size=8, token_dim=8, embedding_dim=4, encoder_hidden=8, projection_hidden=8, heads=2,
    head_dim=4, attention_hidden=4,
)  # fmt: skip
FALLBACK = "training queues each operation by itself, without a CUDA graph: "


def new_step() -> tuple[Step, list[torch.Tensor]]:
    """Returns a step, and positives and negatives of five batches."""
    torch.manual_seed(0)
    data = labelled_clips()
    clips = training_clips(data, learn_scaling("none", data, 1), 1, "cpu")
    network = avca.build(SETTINGS, Dims(video=12, audio=12, text=10))
    optimiser = Adam(avca.trainable(SETTINGS, network), 0.01, 0.1)
    rows = [torch.randint(len(clips.video), (5, 8)) for _ in range(2)]
    return Step(avca, SETTINGS, network.train(), optimiser, clips), rows


def state_of(step: Step) -> list[torch.Tensor]:
    """Returns all that the next step depends on."""
    optimiser = step.optimiser
    tensors = [*step.network.state_dict().values(), *optimiser.means, *optimiser.squares]
    return [torch.get_rng_state(), *(each.clone() for each in (*tensors, *optimiser.steps))]


def are_equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_batch_is_written_in_place_and_leaves_what_a_plain_loop_leaves() -> None:
    step, (positives, negatives) = new_step()
    place = step.rows.data_ptr()
    means = train_epoch(step, positives, negatives)
    assert step.rows.data_ptr() == place
    assert torch.equal(step.rows, torch.stack([positives[-1], negatives[-1]]))
    plain, _ = new_step()
    totals = []
    for own, other in zip(positives, negatives, strict=True):
        for terms in avca.steps(SETTINGS, plain.network, plain.clips.batch(own, other)):
            plain.optimiser.zero_grad()
            terms["total"].backward()
            plain.optimiser.step()
            totals.append(terms["total"].detach())
    assert means["total"] == torch.stack(totals).mean().item()
    assert are_equal(state_of(step), state_of(plain))


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_trial_leaves_no_trace(*, ends_well: bool) -> None:
    step, rows = new_step()
    before = state_of(step)

    def record(of: Step) -> Callable[[], None]:
        of()
        if not ends_well:
            raise RuntimeError("cannot be recorded")
        return of.__call__

    use_graph(step, torch.stack(rows, dim=1), record)
    assert (step.run is not step) == ends_well
    assert are_equal(before, state_of(step))
    assert all(parameter.grad is None for parameter in step.optimiser.parameters)
    means = train_epoch(step, *rows)
    untried, _ = new_step()
    assert train_epoch(untried, *rows) == means


def frozen_numbers(step: Step) -> Callable[[], None]:
    """Replays with the same random numbers each time."""

    def replay() -> None:
        torch.manual_seed(7)
        step()

    return replay


def frozen_batch(step: Step) -> Callable[[], None]:
    """Replays on the batch that was recorded."""
    recorded = step.rows.clone()

    def replay() -> None:
        step.rows.copy_(recorded)
        step()

    return replay


def not_recordable(step: Step) -> Callable[[], None]:
    raise RuntimeError("operation not permitted\nand more")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (frozen_numbers, "a replay gives other losses"),
        (frozen_batch, "a replay gives other losses"),
        (not_recordable, "operation not permitted"),
    ],
)
def test_what_cannot_be_replayed_is_run_step_by_step(
    record: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    step, rows = new_step()
    with caplog.at_level(logging.INFO, logger="avca_pipeline"):
        use_graph(step, torch.stack(rows, dim=1), record)
    assert step.run is step
    assert step.is_tried
    assert caplog.messages == [FALLBACK + reason]
