"""Each method trains on a GPU, repeatably, and what it has learned means the same on a CPU."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.models import AnyModel, Dims, ModelSettings
from avca_pipeline.nn.adam import Adam
from avca_pipeline.training.fit import fit, make_repeatable, train_epoch
from avca_pipeline.training.resume import TrainingResult
from avca_pipeline.training.step import Step
from tests.builders import labelled_clips, over_time

SMALL: dict[str, Any] = {
    "batches_per_epoch": 6, "batch_size": 32, "hidden": 64, "learning_rate": 0.003,
    "critic_steps": 1, "synthetic_per_class": 10, "classifier_epochs": 2, "classifier_batch": 20,
    "token_dim": 32, "embedding_dim": 32, "encoder_hidden": 64, "projection_hidden": 64,
    "head_dim": 8, "attention_hidden": 32,
}  # fmt: skip
ADVERSARIAL = ("fvaegan",)  # two networks pull at its loss, which need not fall


def small(name: str, *, has_dropout: bool = False) -> tuple[AnyModel, ModelSettings]:
    model = registry.load("models", name)
    fields = model.Settings.model_fields
    values = {key: value for key, value in SMALL.items() if key in fields}
    dropouts = {key: 0.0 for key in fields if key.endswith("dropout") and not has_dropout}
    return model, model.Settings(**values, **dropouts)


def clips(name: str) -> LabelledClips:
    """Returns small labelled clips that suit a method.

    Their features are positive, as those of networks are, and of the dimension of the text.
    """
    data = labelled_clips()
    text = np.concatenate([data.text, data.text[:, :2]], axis=1)
    data = replace(data, video=np.abs(data.video), audio=np.abs(data.audio), text=text)
    return over_time(data) if registry.load("models", name).Settings.over_time else data


def features(data: LabelledClips, place: str) -> tuple[Any, Any]:
    """Returns video and audio of all clips as the method looks at them."""
    if data.windows:
        every = torch.arange(len(data.clip_ids))
        windows = (data.windows[modality] for modality in ("video", "audio"))
        video, audio = (replace(each, device=place).read(every) for each in windows)
        return video, audio
    return torch.from_numpy(data.video).to(place), torch.from_numpy(data.audio).to(place)


def trained(name: str, device: str) -> TrainingResult:
    model, settings = small(name)
    data = clips(name)
    return fit(
        model, settings, data, learn_scaling("none", data, 1),
        stage=1, epochs=4, seed=0, device=device,
    )  # fmt: skip


trained_once = functools.cache(trained)


@pytest.mark.parametrize("name", registry.names("models"))
def test_training_is_finite_and_repeatable(name: str, device: str) -> None:
    first, second = trained_once(name, device), trained(name, device)
    losses = [epoch["losses"]["total"] for epoch in first.history if epoch["losses"]]
    assert np.isfinite(losses).all()
    if losses and name not in ADVERSARIAL:
        assert losses[-1] < losses[0]
    assert all(torch.isfinite(value).all() for value in first.last_state.values())
    assert [epoch["losses"] for epoch in second.history] == [e["losses"] for e in first.history]
    for key, value in first.last_state.items():
        assert torch.equal(value, second.last_state[key]), key


def adapted(name: str, device: str) -> torch.nn.Module:
    """Returns a network that was trained on a device, and adapted to the classes on the CPU."""
    model, settings = small(name)
    data = clips(name)
    scaling = learn_scaling("none", data, 1)
    knowledge = evaluation_set(data, scaling, training_clips(data, scaling, 1, "cpu")).knowledge
    network = model.build(settings, Dims(*[data.text.shape[1]] * 3))
    network.load_state_dict(trained_once(name, device).last_state)
    *_, ready = model.adapt_to_classes(settings, network.eval(), knowledge)
    return ready.eval()


@pytest.mark.parametrize("name", registry.names("models"))
def test_what_was_learned_means_the_same_on_a_cpu(name: str, device: str) -> None:
    model, settings = small(name)
    data, network = clips(name), adapted(name, device)
    embeddings = []
    for place in ("cpu", device):
        network.to(place)
        text = torch.from_numpy(data.text).to(place)
        with torch.inference_mode():
            of_clips = model.embed_clips(settings, network, *features(data, place))
            of_classes = model.embed_classes(settings, network, text)
        embeddings.append((of_clips.cpu(), of_classes.cpu()))
    for on_cpu, on_device in zip(*embeddings, strict=True):
        scale = on_cpu.abs().max().item()
        torch.testing.assert_close(on_device, on_cpu, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("name", registry.names("models"))
def test_a_graph_does_what_its_step_does(name: str, gpu: str) -> None:
    """Replays of the recorded step and the step itself: losses, network and random numbers."""
    results = []
    for is_captured in (False, True):
        step, rows = new_step(name, gpu)
        if not step.optimiser.parameters:
            pytest.skip(f"{name} trains nothing")
        step.is_tried = not is_captured
        losses = []
        for learning_rate in (0.003, 0.0003):  # a schedule's change reaches the graph
            step.optimiser.learning_rate = learning_rate
            losses.append(train_epoch(step, *rows))
        assert (step.run is not step) == (is_captured and not step.settings.over_time)
        results.append((losses, step.network.state_dict(), torch.rand(4, device=gpu)))
    (plain, plain_state, plain_random), (replayed, state, random) = results
    for one, other in zip(plain, replayed, strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-5)
    for key, value in plain_state.items():
        scale = max(value.abs().max().item(), 1.0)
        torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-4 * scale, msg=key)
    assert torch.equal(random, plain_random)


@pytest.mark.parametrize("name", registry.names("models"))
def test_no_batch_waits_for_the_gpu(name: str, gpu: str) -> None:
    step, rows = new_step(name, gpu)
    if step.settings.over_time or not step.optimiser.parameters:
        pytest.skip(f"{name} reads each batch on the host, or trains nothing")
    batches = torch.stack(rows, dim=1).to(gpu)
    step.on(batches)  # the first batch loads libraries and makes constants
    torch.cuda.set_sync_debug_mode("error")  # whatever waits raises an error
    try:
        step.on(batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def new_step(name: str, device: str) -> tuple[Step, list[torch.Tensor]]:
    """Returns a step with dropout as published, and positives and negatives of six batches."""
    torch.manual_seed(0)
    model, settings = small(name, has_dropout=True)
    make_repeatable(device, settings)
    data = clips(name)
    training = training_clips(data, learn_scaling("none", data, 1), 1, device)
    network = model.build(settings, Dims(*[data.text.shape[1]] * 3)).to(device).train()
    optimiser = Adam(model.trainable(settings, network), 0.003, beta1=settings.beta1)
    rows = [torch.randint(len(training.video), (6, settings.batch_size)) for _ in range(2)]
    return Step(model, settings, network, optimiser, training), rows
