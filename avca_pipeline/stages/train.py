"""Stage ``train``: fits one candidate in stage 1 of the protocol, or the chosen one in stage 2."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts import checkpoint, labels, split, training
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.temporary import remove_stale_temporaries
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.artifacts.training import Epoch, History, ValidationScores
from avca_pipeline.config import validated
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.evaluation import clip_features, clip_windows
from avca_pipeline.evaluation.labelled_clips import (
    MODALITIES,
    LabelledClips,
    Scaling,
    join_clips,
    learn_scaling,
)
from avca_pipeline.models import AnyModel, ModelSettings
from avca_pipeline.requests import TrainRequest
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.runtime.progress import Progress
from avca_pipeline.training import resume as resume_files
from avca_pipeline.training.fit import fit
from avca_pipeline.training.resume import TrainingResult

logger = logging.getLogger(__name__)


def run_stage1(
    request: TrainRequest,
    inputs: dict[str, Path],
    out: Path,
    history: Path,
    *,
    resume: Path,
    device: str,
) -> None:
    """Fits one candidate on ``train`` and records how every epoch does on validation.

    Args:
        request: plugin, scaling, seed, and the one candidate.
        inputs: files under ``split``, ``labels`` and each modality that the feature set has.
        out: checkpoint of the best epoch.
        history: what every epoch reached.
        resume: where the state between epochs is kept, with the device's kind in its name.
        device: ``cpu`` or ``cuda``.

    Raises:
        PipelineError: the inputs do not fit together, or training diverges.
    """
    if len(request.candidates) != 1:
        raise PipelineError(
            f"--settings: candidates: stage 1 trains one, found {len(request.candidates)}"
        )
    name, candidate = next(iter(request.candidates.items()))
    _fit(request, name, inputs, 1, candidate["epochs"], out, history, resume, device)


def run_stage2(
    request: TrainRequest,
    inputs: dict[str, Path],
    selection: Path,
    out: Path,
    history: Path,
    *,
    resume: Path,
    device: str,
) -> None:
    """Fits the selected candidate from scratch on ``train`` and both validation partitions.

    Training stops after the selected epoch, because later epochs would not be used. With
    `ModelSettings.chosen_on_test` it runs for all epochs.

    Args:
        request: plugin, scaling, seed, and all candidates.
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
    chosen = training.read_selection(selection)
    candidate = request.candidates.get(chosen.candidate)
    if candidate is None:
        raise FormatError(
            f"{selection}: candidate {chosen.candidate!r} is none of those asked for: "
            f"{', '.join(request.candidates)}"
        )
    epochs = candidate["epochs"] if candidate.get("chosen_on_test") else chosen.epoch + 1
    _fit(request, chosen.candidate, inputs, 2, epochs, out, history, resume, device)


def _fit(
    request: TrainRequest,
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
    candidate = request.candidates[name]
    plugin = registry.load("models", request.plugin)
    typed = validated(plugin.Settings, candidate, f"models ({request.plugin})")
    remove_stale_temporaries(resume.parent)  # A short training never writes there.
    title = f"train stage {stage}, seed {request.seed}"
    with (
        _labelled_clips(plugin, typed, inputs) as labelled,
        Progress(title, epochs, "epochs") as progress,
    ):
        scaling = learn_scaling(request.scaling, labelled, stage)
        fitted = fit(
            plugin,
            typed,
            labelled,
            scaling,
            stage=stage,
            epochs=epochs,
            seed=request.seed,
            device=device,
            resume=resume_files.path_for_device(resume, device),
            fingerprint=fingerprint(request, candidate, inputs, stage, epochs, device),
            report=lambda note: progress.advance(note=note),
        )
    epoch = fitted.best_epoch if stage == 1 else epochs - 1
    trained = History(name, epoch, tuple(_epoch(row) for row in fitted.history))
    logger.info(f"{title}: {_result(trained, stage)}")
    checkpoint.write(out, _content(request, candidate, labelled, scaling, fitted, stage, epoch))
    training.write_history(history, trained)
    resume_files.remove_files(resume)


def _epoch(row: dict[str, Any]) -> Epoch:
    val = row["val"]
    return Epoch(**{**row, "val": None if val is None else ValidationScores(**val)})


@contextlib.contextmanager
def _labelled_clips(
    plugin: AnyModel, settings: ModelSettings, inputs: dict[str, Path]
) -> Iterator[LabelledClips]:
    paths = {name: inputs[name] for name in MODALITIES if name in inputs}
    rows, vectors = split.read(inputs["split"]), labels.read(inputs["labels"])
    read = clip_features.read(plugin, paths)
    with clip_windows.opened(settings, paths) as windows:
        labelled = join_clips(rows, read, vectors, windows).using(settings.modalities)
        del rows, read  # training needs the room
        yield labelled


def _content(
    request: TrainRequest,
    candidate: dict[str, Any],
    labelled: LabelledClips,
    scaling: Scaling,
    fitted: TrainingResult,
    stage: int,
    epoch: int,
) -> dict[str, Any]:
    """Returns what is needed to use the network of an epoch again."""
    return {
        "model": request.plugin,
        "settings": canonical_json(candidate),
        "dims": [labelled.video.shape[1], labelled.audio.shape[1], labelled.text.shape[1]],
        "scaling_kind": request.scaling,
        "scaling": {name: torch.from_numpy(value) for name, value in vars(scaling).items()},
        "state": fitted.best_state if stage == 1 else fitted.last_state,
        "epoch": epoch,
        "states": fitted.states if stage == 2 else [],
        "stage": stage,
        "seed": request.seed,
    }


def _result(history: History, stage: int) -> str:
    num_epochs = len(history.epochs)
    if stage == 2:
        return f"{num_epochs} epochs on the clips of training and validation"
    return (
        f"epoch {history.best_epoch} of {num_epochs} has the best validation HM, "
        f"{100 * history.best.hm:.1f} %"
    )


def fingerprint(
    request: TrainRequest,
    candidate: dict[str, Any],
    inputs: dict[str, Path],
    stage: int,
    epochs: int,
    device: str,
) -> str:
    """Returns a digest of all that the fit depends on, by which a resume file is accepted or not.

    That includes the version of this stage, which is in the request, and the kind of device: a CPU
    and a GPU round differently.
    """
    common = request.model_dump(mode="json", exclude={"candidates"})
    digest = hashlib.sha256()
    digest.update(
        canonical_json([common, candidate, stage, epochs, device, str(torch.__version__)]).encode()
    )
    for name in sorted(inputs):
        digest.update(bytes.fromhex(file_sha256(inputs[name])))
    return digest.hexdigest()
