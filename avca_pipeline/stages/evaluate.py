"""Stage ``evaluate``: scores the network of stage 2 on the test clips, once."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import (
    checkpoint,
    labels,
    predictions,
    scores,
    split,
    training,
)
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.scores import (
    Accuracies,
    Choice,
    ClassAccuracy,
    Embeddings,
    Provenance,
    Scores,
)
from avca_pipeline.artifacts.training import Selection
from avca_pipeline.evaluation import accuracy, clip_features, clip_windows
from avca_pipeline.evaluation.device_clips import EvaluationSet, evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import (
    MODALITIES,
    Scaling,
    join_clips,
    used_modalities,
)
from avca_pipeline.evaluation.ranking import predictions_of
from avca_pipeline.evaluation.scoring import Predictions, choose_epoch_on_test, predict
from avca_pipeline.inference import trained_network
from avca_pipeline.inference.trained_network import TrainedNetwork
from avca_pipeline.models import Dims
from avca_pipeline.requests import EvaluateRequest
from avca_pipeline.runtime.lazy import torch

logger = logging.getLogger(__name__)


def run(
    request: EvaluateRequest,
    trained: Path,
    selection: Path,
    inputs: dict[str, Path],
    out: Path,
    embeddings_out: Path,
    predictions_out: Path,
    *,
    device: str,
) -> None:
    """Writes the scores of a run, and the predictions and embeddings that they follow from.

    Args:
        request: names of the run and of its features.
        trained: checkpoint of stage 2.
        selection: the bias to use.
        inputs: files under ``split``, ``labels`` and each modality that the feature set has.
        out: the scores.
        embeddings_out: the embeddings.
        predictions_out: the predictions.
        device: ``cpu`` or ``cuda``.

    Raises:
        PipelineError: the inputs do not fit together.
    """
    chosen, content = training.read_selection(selection), checkpoint.read(trained)
    rebuilt = _rebuilt(content, device, str(trained))
    plugin, settings, network = rebuilt.plugin, rebuilt.settings, rebuilt.network
    scaling = Scaling(**{name: value.numpy() for name, value in content["scaling"].items()})
    paths = {name: inputs[name] for name in MODALITIES if name in inputs}
    read = clip_features.read(plugin, paths)
    vectors = labels.read(inputs["labels"])
    rows, used = split.read(inputs["split"]), used_modalities(settings.modalities)
    with clip_windows.opened(settings, paths) as windows:
        labelled = join_clips(rows, read, vectors, windows).using(settings.modalities)
        test = evaluation_set(labelled, scaling, training_clips(labelled, scaling, 2, device))
        if settings.chosen_on_test:
            best = choose_epoch_on_test(plugin, settings, network, content["states"], test)
            epoch, seen_as, reached = best.epoch, best.predictions, best.scores
        else:
            epoch, seen_as = chosen.epoch, predict(plugin, settings, network, test)
            reached = _scores_at(chosen.bias, seen_as, test)

    names = [labelled.class_names[row] for row in test.class_row]
    _write_embeddings(embeddings_out, test, names, seen_as)
    predictions.write(
        predictions_out,
        reached.bias,
        predictions_of(
            seen_as.distances, test.clip_ids, names, test.column, test.is_unseen, reached.bias
        ),
    )
    scores.write(
        out,
        Scores(
            run=request.run,
            scores=_accuracies(reached),
            chance=_chance(test.is_unseen),
            bias=float(reached.bias),
            selection=_choice(chosen, epoch, is_on_test=settings.chosen_on_test),
            per_class=_per_class(names, test.column, test.is_unseen, reached),
            num_missing=labelled.num_missing,
            provenance=_provenance(
                request, content, {name: read[name] for name in used}, vectors, device
            ),
        ),
    )
    logger.info(
        f"evaluate: S {100 * reached.seen:.1f}  U {100 * reached.unseen:.1f}  "
        f"HM {100 * reached.hm:.1f}  ZSL {100 * reached.zsl:.1f} %"
    )


def _rebuilt(trained: Mapping[str, Any], device: str, where: str) -> TrainedNetwork:
    return trained_network.rebuilt(
        trained["model"],
        json.loads(trained["settings"]),
        Dims(*trained["dims"]),
        trained["state"],
        device,
        where,
    )


def _write_embeddings(
    out: Path, test: EvaluationSet, class_names: list[str], seen_as: Predictions
) -> None:
    scores.write_embeddings(
        out,
        Embeddings(
            clip_ids=test.clip_ids,
            class_of_clip=[class_names[column] for column in test.column],
            clips=seen_as.clips,
            class_names=class_names,
            is_unseen=test.is_unseen,
            classes=seen_as.classes,
        ),
    )


def _scores_at(bias: float, seen_as: Predictions, test: EvaluationSet) -> accuracy.GzslScores:
    distances = seen_as.distances
    return accuracy.evaluate(distances.gzsl, test.column, test.is_unseen, bias, zsl=distances.zsl)


def _chance(is_unseen: np.ndarray) -> Accuracies:
    return _accuracies(accuracy.chance(int((~is_unseen).sum()), int(is_unseen.sum())))


def _choice(chosen: Selection, epoch: int, *, is_on_test: bool) -> Choice:
    """Returns what was chosen, with the epoch that was scored."""
    return Choice(
        candidate=chosen.candidate,
        epoch=epoch,
        val=chosen.val,
        num_candidates=chosen.num_candidates,
        is_on_test=is_on_test,
    )


def _provenance(
    request: EvaluateRequest,
    trained: Mapping[str, Any],
    used: Mapping[str, Features],
    vectors: Labels,
    device: str,
) -> Provenance:
    """Returns where the inputs of the scores come from, and with what they were computed."""
    described = {
        modality: _described(getattr(request, modality), read.features, read.attributes)
        for modality, read in used.items()
    }
    return Provenance(
        video=described.get("video", {}),
        audio=described.get("audio", {}),
        text=_described(request.run.text_embedding, vectors.vectors, vectors.attributes),
        scaling=trained["scaling_kind"],
        text_embedding=vectors.text_embedding,
        model=trained["model"],
        settings=json.loads(trained["settings"]),
        versions=_versions(),
        device=torch.cuda.get_device_name() if device == "cuda" else "CPU",
    )


def _described(name: str, vectors: np.ndarray, attributes: Mapping[str, str]) -> dict[str, str]:
    """Returns what an input is: its name in the config, its dimension, and what its file states."""
    return {"name": name, "dim": str(vectors.shape[1]), **attributes}


def _accuracies(scores_of_run: accuracy.GzslScores | accuracy.Chance) -> Accuracies:
    return Accuracies(
        seen=_number(scores_of_run.seen),
        unseen=_number(scores_of_run.unseen),
        hm=_number(scores_of_run.hm),
        zsl=_number(scores_of_run.zsl),
    )


def _per_class(
    class_names: Sequence[str],
    columns: np.ndarray,
    is_unseen: np.ndarray,
    reached: accuracy.GzslScores,
) -> tuple[ClassAccuracy, ...]:
    """Returns the accuracies of all classes.

    Args:
        class_names: of all classes.
        columns: ``(clips,)``, index of the class of each test clip among ``class_names``.
        is_unseen: ``(classes,)``.
        reached: the scores.
    """
    num_clips = np.bincount(columns, minlength=len(class_names))
    return tuple(
        ClassAccuracy(
            class_name=name,
            is_unseen=bool(is_unseen[column]),
            num_clips=int(num_clips[column]),
            gzsl=_number(reached.gzsl_per_class[column]),
            zsl=_number(reached.zsl_per_class[column]),
        )
        for column, name in enumerate(class_names)
    )


def _versions() -> dict[str, str]:
    programs = ("avca_pipeline", "torch", "numpy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in programs},
    }


def _number(value: float) -> float | None:
    """Returns a number for JSON, which has no NaN; a class without clips has no accuracy."""
    return None if np.isnan(value) else float(value)
