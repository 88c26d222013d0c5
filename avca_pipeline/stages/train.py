"""Stage ``train``: fits one candidate in stage 1 of the protocol, or the chosen one in stage 2."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts import checkpoint, features, labels, scores, split
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.temporary import remove_stale_temporaries
from avca_pipeline.config import canonical, checked
from avca_pipeline.evaluation.labelled_clips import (
    LabelledClips,
    Scaling,
    join_clips,
    learn_scaling,
)
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.runtime.progress import Progress
from avca_pipeline.training import resume as resume_files
from avca_pipeline.training.fit import fit
from avca_pipeline.training.resume import TrainingResult

logger = logging.getLogger(__name__)


def run_stage1(
    settings: dict[str, Any],
    inputs: dict[str, Path],
    out: Path,
    history: Path,
    *,
    resume: Path,
    device: str,
) -> None:
    """Fits one candidate on ``train`` and records how every epoch does on validation.

    Args:
        settings: plugin, scaling, seed, and the one candidate.
        inputs: files under ``split``, ``video``, ``audio`` and ``labels``.
        out: checkpoint of the best epoch.
        history: what every epoch reached.
        resume: where the state between epochs is kept, with the device's kind in its name.
        device: ``cpu`` or ``cuda``.

    Raises:
        PipelineError: the inputs do not fit together, or training diverges.
    """
    ((name, candidate),) = settings["candidates"].items()
    _fit(settings, name, inputs, 1, candidate["epochs"], out, history, resume, device)


def run_stage2(
    settings: dict[str, Any],
    inputs: dict[str, Path],
    selection: Path,
    out: Path,
    history: Path,
    *,
    resume: Path,
    device: str,
) -> None:
    """Fits the selected candidate from scratch on ``train`` and both validation partitions.

    It stops after the epoch that was selected: later ones could not be evaluated anyway. (With
    `ModelSettings.chosen_on_test` they can, and it does not.)

    Args:
        settings: plugin, scaling, seed, and all candidates.
        inputs: as for `run_stage1`.
        selection: which candidate and epoch to take.
        out: checkpoint of the last epoch.
        history: what every epoch reached; validation is part of the training data here, so these
            numbers only drive the learning rate.
        resume: where the state between epochs is kept, with the device's kind in its name.
        device: ``cpu`` or ``cuda``.

    Raises:
        PipelineError: the inputs do not fit together, or training diverges.
    """
    chosen = scores.read(selection)
    candidate = settings["candidates"][chosen["candidate"]]
    epochs = candidate["epochs"] if candidate.get("chosen_on_test") else chosen["epoch"] + 1
    _fit(settings, chosen["candidate"], inputs, 2, epochs, out, history, resume, device)


def _fit(
    settings: dict[str, Any],
    name: str,
    inputs: dict[str, Path],
    stage: int,
    epochs: int,
    out: Path,
    history: Path,
    resume: Path,
    device: str,
) -> None:
    """Fits a candidate; what is kept is the best epoch of stage 1, the last one of stage 2."""
    candidate = settings["candidates"][name]
    plugin = registry.load("models", settings["plugin"])
    typed = checked(plugin.Settings, candidate, f"models ({settings['plugin']})")
    labelled = _labelled_clips(inputs)
    scaling = learn_scaling(settings["scaling"], labelled, stage)
    remove_stale_temporaries(resume.parent)  # A short training never writes there.
    with Progress(f"train stage {stage}, seed {settings['seed']}", epochs, "epochs") as progress:
        fitted = fit(
            plugin,
            typed,
            labelled,
            scaling,
            stage=stage,
            epochs=epochs,
            seed=settings["seed"],
            device=device,
            resume=resume_files.of_device(resume, device),
            fingerprint=fingerprint(settings, candidate, inputs, stage, epochs, device),
            report=lambda note: progress.advance(note=note),
        )
    epoch = fitted.best_epoch if stage == 1 else epochs - 1
    logger.info(f"train stage {stage}, seed {settings['seed']}: {_result(fitted, stage, epochs)}")
    checkpoint.write(out, _content(settings, candidate, labelled, scaling, fitted, stage, epoch))
    scores.write(history, {"candidate": name, "best_epoch": epoch, "epochs": fitted.history})
    resume_files.remove(resume)


def _labelled_clips(inputs: dict[str, Path]) -> LabelledClips:
    return join_clips(
        split.read(inputs["split"]),
        features.read(inputs["video"]),
        features.read(inputs["audio"]),
        labels.read(inputs["labels"]),
    )


def _content(
    settings: dict[str, Any],
    candidate: dict[str, Any],
    labelled: LabelledClips,
    scaling: Scaling,
    fitted: TrainingResult,
    stage: int,
    epoch: int,
) -> dict[str, Any]:
    """Returns what is needed to use the network of an epoch again."""
    return {
        "model": settings["plugin"],
        "settings": canonical(candidate),
        "dims": [labelled.video.shape[1], labelled.audio.shape[1], labelled.text.shape[1]],
        "scaling_kind": settings["scaling"],
        "scaling": {name: torch.from_numpy(value) for name, value in vars(scaling).items()},
        "state": fitted.best_state if stage == 1 else fitted.last_state,
        "epoch": epoch,
        "states": fitted.states if stage == 2 else [],
        "stage": stage,
        "seed": settings["seed"],
    }


def _result(fitted: TrainingResult, stage: int, epochs: int) -> str:
    if stage == 2:
        return f"{epochs} epochs on the clips of training and validation"
    hm = fitted.history[fitted.best_epoch]["val"]["hm"]
    return f"epoch {fitted.best_epoch} of {epochs} has the best validation HM, {100 * hm:.1f} %"


def fingerprint(
    settings: dict[str, Any],
    candidate: dict[str, Any],
    inputs: dict[str, Path],
    stage: int,
    epochs: int,
    device: str,
) -> str:
    """Returns a digest of all that the fit depends on; a resume file of another one is not used.

    That includes the version of this stage, which is among the settings, and the kind of device:
    a CPU and a GPU round differently.
    """
    of_all = {name: value for name, value in settings.items() if name != "candidates"}
    digest = hashlib.sha256()
    digest.update(
        canonical([of_all, candidate, stage, epochs, device, str(torch.__version__)]).encode()
    )
    for name in sorted(inputs):
        digest.update(bytes.fromhex(file_sha256(inputs[name])))
    return digest.hexdigest()
