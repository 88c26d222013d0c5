"""One stage of the protocol: fits a model on its partitions, with validation after each epoch.

Nothing here can see a test clip: `fit` drops them before it does anything else.
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
from avca_pipeline.evaluation.labelled_clips import LabelledClips, Scaling
from avca_pipeline.evaluation.scoring import DeviceClips, evaluation_set, on_device, validate
from avca_pipeline.models import AnyModel, Batch, Dims, ModelSettings
from avca_pipeline.nn.optimiser import Adam, Plateau
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.training.resume import ResumeFile, State, TrainingResult, copy_of
from avca_pipeline.training.triplets import sampler


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

    The result depends on the seed alone, not on interruptions: after an epoch the whole state is
    written to ``resume``, and a run that finds one with its own ``fingerprint`` continues there.

    Args:
        plugin: a module of `avca_pipeline.models`.
        settings: its hyper-parameters.
        labelled: clips, classes and partitions.
        scaling: of the features, learned from this stage's training clips.
        stage: 1 trains on ``train``, 2 also on both validation partitions.
        epochs: how many.
        seed: of initialisation, triplets and dropout.
        device: of the network and the data.
        resume: where to keep the state between epochs.
        resume_every_s: the longest time after which to write it again; see `ResumeFile`.
        fingerprint: of everything that the result depends on.
        report: called after each epoch with a line about it.

    Raises:
        PipelineError: the loss is no longer a number.
    """
    make_repeatable(device, settings)
    torch.manual_seed(seed)
    triplets = torch.Generator().manual_seed(seed)
    labelled = labelled.only(*TRAINING_PARTITIONS[2])  # from here on there is no test clip
    clips = on_device(labelled, scaling, stage, device)
    val_set = evaluation_set(labelled, clips, stage=1)
    dims = Dims(labelled.video.shape[1], labelled.audio.shape[1], labelled.text.shape[1])
    network = plugin.build(settings, dims).to(device)
    optimiser = Adam(
        plugin.trainable(settings, network),
        settings.learning_rate,
        settings.weight_decay,
        settings.beta1,
    )
    schedule = Plateau(settings.lr_patience)
    fitted = TrainingResult()
    state = State(network, optimiser, schedule, triplets, device)
    kept = ResumeFile(resume, fingerprint, resume_every_s)
    kept.restore(fitted, state)

    draw = sampler(labelled.rows(*TRAINING_PARTITIONS[stage]), labelled.class_row).draw
    for epoch in range(len(fitted.history), epochs):
        started = time.monotonic()
        losses = {}
        if optimiser.parameters:  # A method without any trains nothing, and is scored alone.
            triplet_rows = draw(settings.batches_per_epoch, settings.batch_size, triplets)
            positives, negatives = (rows.to(device) for rows in triplet_rows)
            losses = train_epoch(plugin, settings, network, optimiser, clips, positives, negatives)
        if not math.isfinite(losses.get("total", 0.0)):
            raise PipelineError(
                f"stage {stage}, epoch {epoch}: the loss is {losses['total']}; lower learning_rate"
            )
        val = _numbers(validate(plugin, settings, network, clips, val_set))
        lr, hm = optimiser.learning_rate, val["hm"]
        optimiser.learning_rate = schedule.next(lr, hm)
        fitted.last_state = copy_of(network)
        if settings.chosen_on_test:
            fitted.states.append(fitted.last_state)
        if _is_better(hm, fitted):
            fitted.best_epoch, fitted.best_state = epoch, fitted.last_state
        fitted.history.append(
            {
                "epoch": epoch,
                "losses": losses,
                "val": val,
                "learning_rate": lr,
                "duration_s": round(time.monotonic() - started, 3),
            }
        )
        kept.save_if_due(fitted, state)
        report(_note(stage, losses, hm))
    return fitted


def train_epoch(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    optimiser: Adam,
    clips: DeviceClips,
    positives: torch.Tensor,
    negatives: torch.Tensor,
) -> dict[str, float]:
    """Returns every batch's mean loss terms; here, the device is waited for at the end alone.

    Terms of several optimiser steps on one batch are added up.

    Args:
        plugin: the model.
        settings: its hyper-parameters.
        network: its network.
        optimiser: of the network's parameters.
        clips: to draw from.
        positives: ``(batches, batch)`` rows of clips, on the device.
        negatives: the same, of clips of other classes.
    """
    network.train()
    names: list[str] = []
    rows: list[torch.Tensor] = []
    for positive, negative in zip(positives, negatives, strict=True):
        batch = Batch(
            clips.video[positive], clips.audio[positive], clips.text[positive],
            clips.video[negative], clips.audio[negative], clips.text[negative],
            clips.class_text, clips.label[positive],
        )  # fmt: skip
        sums: dict[str, torch.Tensor] = {}
        for terms in plugin.steps(settings, network, batch):
            optimiser.zero_grad()
            terms["total"].backward()
            optimiser.step()
            for name, term in terms.items():
                sums[name] = sums[name] + term.detach() if name in sums else term.detach()
        names = list(sums)
        rows.append(torch.stack(list(sums.values())))
    means = torch.stack(rows).mean(dim=0).tolist()
    return dict(zip(names, means, strict=True))


def make_repeatable(device: str, settings: ModelSettings) -> None:
    """Has a GPU give the same bits each time; a CPU always does with the same number of threads."""
    if device == "cuda":
        # cuBLAS reads it once, when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(settings.repeatable, warn_only=True)


def _is_better(hm: float, fitted: TrainingResult) -> bool:
    if fitted.best_epoch < 0:
        return True
    return bool(hm > fitted.history[fitted.best_epoch]["val"]["hm"])


def _numbers(scores: GzslScores) -> dict[str, float]:
    """Returns scores as plain numbers: a NumPy number in a file would need code to be loaded."""
    names = ("seen", "unseen", "hm", "zsl", "bias")
    return {name: float(getattr(scores, name)) for name in names}


def _note(stage: int, losses: Mapping[str, float], hm: float) -> str:
    """Returns what to say of an epoch; stage 2 trains on validation, so its HM would mislead."""
    parts = [f"loss {losses['total']:.3f}"] if losses else []
    parts += [f"validation HM {100 * hm:.1f} %"] if stage == 1 else []
    return ", ".join(parts)
