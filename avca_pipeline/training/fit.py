"""One stage of the protocol: fits a model on its partitions, and validates it after its epochs.

Nothing here can see a test clip: `fit` drops them before it makes anything of the clips.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from avca_pipeline.artifacts.split import TRAINING_PARTITIONS
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.accuracy import GzslScores
from avca_pipeline.evaluation.device_clips import (
    EvaluationSet,
    TrainingClips,
    evaluation_set,
    training_clips,
)
from avca_pipeline.evaluation.labelled_clips import LabelledClips, Scaling
from avca_pipeline.evaluation.scoring import validate
from avca_pipeline.models import AnyModel, Dims, ModelSettings
from avca_pipeline.nn.adam import Adam
from avca_pipeline.nn.plateau import Plateau
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.training.graphs import use_graph
from avca_pipeline.training.resume import ResumeFile, TrainingResult, TrainingState, copy_of
from avca_pipeline.training.step import Step
from avca_pipeline.training.triplets import Sampler, sampler


def fit(
    plugin: AnyModel,
    settings: ModelSettings,
    labelled: LabelledClips,
    scaling: Scaling,
    *,
    stage: int,
    epochs: int,
    seed: int,
    device: str,
    resume: Path | None = None,
    resume_every_s: float = 30.0,
    fingerprint: str = "",
    report: Callable[[str], None] = lambda note: None,
) -> TrainingResult:
    """Trains a model from scratch.

    Stage 1 validates after each epoch. In stage 2 only the learning rate depends on validation, so
    that there is none after the last epoch that can still lower it.

    The result depends on the seed alone, not on interruptions: after an epoch the whole state is
    written to ``resume``, and a run that finds one with its own ``fingerprint`` continues there.

    Args:
        plugin: a module of `avca_pipeline.models`.
        settings: its hyper-parameters.
        labelled: clips, classes and partitions.
        scaling: of the features, learned from this stage's training clips.
        stage: 1 trains on ``train``, 2 also on both validation partitions.
        epochs: number of epochs.
        seed: of initialisation, triplets and dropout.
        device: of the network and the data.
        resume: the file in which to keep the state between epochs.
        resume_every_s: the longest time after which to write it again; see `ResumeFile`.
        fingerprint: of everything that the result depends on.
        report: called after each epoch with a line about it.

    Raises:
        PipelineError: the method cannot learn from these features, or the loss is no longer a
            number.
    """
    make_repeatable(device, settings)
    torch.manual_seed(seed)
    training, validation = _clips(labelled, scaling, stage, device)
    settings.check_features(training.video, training.audio)
    state = _initial_state(plugin, settings, training, seed, device)
    result = TrainingResult()
    resume_file = ResumeFile(resume, fingerprint, resume_every_s)
    resume_file.restore(result, state)
    step = Step(plugin, settings, state.network, state.optimiser, training)
    balanced = sampler(training.class_row)
    for epoch in range(len(result.history), epochs):
        started_s = time.monotonic()
        losses = _train(step, state.triplets, balanced)
        _check_loss(losses, f"stage {stage}, epoch {epoch}")
        learning_rate, val = state.optimiser.learning_rate, None
        if stage == 1 or state.schedule.may_lower(epochs - 1 - epoch):
            val = _numbers(validate(plugin, settings, state.network, validation))
            state.optimiser.learning_rate = state.schedule.next(learning_rate, val["hm"])
        record = {
            "epoch": epoch, "losses": losses, "val": val, "learning_rate": learning_rate,
            "duration_s": round(time.monotonic() - started_s, 3),
        }  # fmt: skip
        result.add_epoch(record, copy_of(state.network), keeps_state=settings.chosen_on_test)
        resume_file.save_if_due(result, state)
        report(_note(stage, losses, val))
    return result


def _clips(
    labelled: LabelledClips, scaling: Scaling, stage: int, device: str
) -> tuple[TrainingClips, EvaluationSet]:
    """Returns the clips to train on, and the validation: that of stage 1 in both stages."""
    labelled = labelled.only(*TRAINING_PARTITIONS[2])  # From here on there is no test clip.
    training = training_clips(labelled, scaling, stage, device)
    of_stage1 = training if stage == 1 else training_clips(labelled, scaling, 1, device)
    return training, evaluation_set(labelled, scaling, of_stage1)


def _initial_state(
    plugin: AnyModel, settings: ModelSettings, training: TrainingClips, seed: int, device: str
) -> TrainingState:
    """Returns the state before the first epoch; the network draws from the global random state."""
    dims = Dims(training.video.shape[1], training.audio.shape[1], training.class_text.shape[1])
    network = plugin.build(settings, dims).to(device)
    optimiser = Adam(
        plugin.trainable(settings, network),
        settings.learning_rate,
        settings.weight_decay,
        settings.beta1,
    )
    triplets = torch.Generator().manual_seed(seed)
    return TrainingState(network, optimiser, Plateau(settings.lr_patience), triplets, device)


def _train(step: Step, triplets: torch.Generator, balanced: Sampler) -> dict[str, float]:
    """Trains for an epoch; returns the mean of every loss term.

    A method without parameters trains nothing, and has no losses.
    """
    if not step.optimiser.parameters:
        return {}
    settings = step.settings
    return train_epoch(
        step, *balanced.draw(settings.batches_per_epoch, settings.batch_size, triplets)
    )


def _check_loss(losses: Mapping[str, float], where: str) -> None:
    """Raises `PipelineError` if the loss is no longer a number."""
    if not math.isfinite(losses.get("total", 0.0)):
        raise PipelineError(f"{where}: the loss is {losses['total']}; lower learning_rate")


def train_epoch(step: Step, positives: torch.Tensor, negatives: torch.Tensor) -> dict[str, float]:
    """Trains on the batches of an epoch; returns the mean over batches of every loss term.

    Nothing here waits for the device before the end of the epoch.

    Args:
        step: of the training.
        positives: ``(batches, batch)`` rows of clips.
        negatives: ``(batches, batch)`` rows of clips of other classes.
    """
    step.network.train()
    batches = torch.stack([positives, negatives], dim=1).to(step.rows.device)  # in one transfer
    if step.rows.is_cuda and not step.is_tried:  # never where clips are read for each batch
        use_graph(step, batches)
    means = step.on(batches).mean(dim=0).tolist()
    return dict(zip(step.names, means, strict=True))


def make_repeatable(device: str, settings: ModelSettings) -> None:
    """Makes a GPU compute the same bits each time, if the settings ask for it.

    A CPU always does, with the same number of threads.
    """
    if device == "cuda":
        # cuBLAS reads this variable once, when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(settings.repeatable, warn_only=True)


def _numbers(scores: GzslScores) -> dict[str, float]:
    """Returns scores as plain numbers: a NumPy number in a file would need code to be loaded."""
    names = ("seen", "unseen", "hm", "zsl", "bias")
    return {name: float(getattr(scores, name)) for name in names}


def _note(stage: int, losses: Mapping[str, float], val: Mapping[str, float] | None) -> str:
    """Returns a line about an epoch. Stage 2 trains on validation: its HM would mislead."""
    parts = [f"loss {losses['total']:.3f}"] if losses else []
    parts += [f"validation HM {100 * val['hm']:.1f} %"] if val and stage == 1 else []
    return ", ".join(parts)
