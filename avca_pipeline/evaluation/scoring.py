"""Clips and classes on the device, their embeddings, and their scores on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAINING_PARTITIONS,
    VAL_SEEN,
    VAL_UNSEEN,
)
from avca_pipeline.evaluation import accuracy, calibration
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.labelled_clips import LabelledClips, Scaling
from avca_pipeline.models import AnyModel, ClassKnowledge, ModelSettings
from avca_pipeline.runtime.lazy import torch

EMBED_CLIPS_AT_ONCE = 4096
SCORED = {1: (VAL_SEEN, VAL_UNSEEN), 2: (TEST_SEEN, TEST_UNSEEN)}
UNSEEN = {1: VAL_UNSEEN, 2: TEST_UNSEEN}


@dataclass(frozen=True)
class DeviceClips:
    """Clips where the network is.

    Attributes:
        video: ``(clips, video dim)``, scaled.
        audio: ``(clips, audio dim)``, scaled.
        text: ``(clips, text dim)``, the text embedding of each clip's class.
        class_text: ``(classes, text dim)``, text embeddings of the classes that are trained on.
        label: ``(clips,)``, row of each clip's class in ``class_text``; of a clip of another class
            it has no meaning.
    """

    video: torch.Tensor
    audio: torch.Tensor
    text: torch.Tensor
    class_text: torch.Tensor
    label: torch.Tensor


def on_device(labelled: LabelledClips, scaling: Scaling, stage: int, device: str) -> DeviceClips:
    """Returns all clips of a labelled, once and for all: features fit into any GPU."""
    trained = labelled.classes(*TRAINING_PARTITIONS[stage])
    arrays = (
        scaling.video(labelled.video),
        scaling.audio(labelled.audio),
        labelled.text[labelled.class_row],
        labelled.text[trained],
        np.searchsorted(trained, labelled.class_row),
    )
    return DeviceClips(*(torch.from_numpy(array).to(device) for array in arrays))


@dataclass(frozen=True)
class EvaluationSet:
    """Clips to classify, and the classes that they may belong to.

    Attributes:
        rows: of the clips, on the device.
        column: ``(clips,)``, which of the classes is each clip's own.
        known: what a model may know of the classes.
    """

    rows: torch.Tensor
    column: np.ndarray
    known: ClassKnowledge


@dataclass(frozen=True)
class Predictions:
    """What a model makes of a trial.

    Attributes:
        clips: ``(clips, dim)``, their embeddings.
        classes: ``(classes, dim)``, theirs.
        distances: of clips and classes.
    """

    clips: np.ndarray
    classes: np.ndarray
    distances: Distances


def evaluation_set(labelled: LabelledClips, clips: DeviceClips, stage: int) -> EvaluationSet:
    """Returns the validation of stage 1, or the test that stage 2 is trained for."""
    trained, unseen = TRAINING_PARTITIONS[stage], UNSEEN[stage]
    rows, classes = labelled.rows(*SCORED[stage]), labelled.classes(*trained, unseen)
    known, device = labelled.rows(*trained), clips.video.device
    return EvaluationSet(
        torch.from_numpy(rows).to(device),
        column=np.searchsorted(classes, labelled.class_row[rows]),
        known=ClassKnowledge(
            text=torch.from_numpy(labelled.text[classes]).to(device),
            is_unseen=labelled.class_group[classes] == unseen,
            video=clips.video,
            audio=clips.audio,
            rows=torch.from_numpy(known).to(device),
            label=torch.from_numpy(np.searchsorted(classes, labelled.class_row[known])).to(device),
        ),
    )


def predict(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    clips: DeviceClips,
    on: EvaluationSet,
) -> Predictions:
    """Returns how a model sees the clips and classes of a trial."""
    *_, ready = plugin.adapt_to_classes(settings, network.eval(), on.known)
    return _predict(plugin, settings, ready, clips, on)


def choose_epoch_on_test(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    states: Sequence[dict[str, Any]],
    clips: DeviceClips,
    on: EvaluationSet,
) -> tuple[int, Predictions, accuracy.GzslScores]:
    """Returns the epoch that does best on the very clips it is tested on, and what it reaches.

    For comparison only, see `ModelSettings.chosen_on_test`. As published there is no calibration;
    where getting ready takes epochs, too, HM and ZSL have each their own best one, and of equal
    ones HM the last and ZSL the first; among the epochs of training the first best HM wins.

    Args:
        plugin: the model.
        settings: its hyper-parameters.
        network: from the plugin, of which the parameters change.
        states: of the network after each epoch.
        clips: all.
        on: the test.
    """
    best: tuple[int, Predictions, accuracy.GzslScores] | None = None
    for epoch, state in enumerate(states):
        network.load_state_dict(state)
        found, reached, zsl = None, None, None
        for ready in plugin.adapt_to_classes(settings, network.eval(), on.known):
            one = _predict(plugin, settings, ready, clips, on)
            scores = accuracy.evaluate(
                one.distances.gzsl, on.column, on.known.is_unseen, 0.0, zsl=one.distances.zsl
            )
            if reached is None or scores.hm >= reached.hm:
                found, reached = one, scores
            if zsl is None or scores.zsl > zsl.zsl:
                zsl = scores
        assert found is not None
        assert reached is not None
        assert zsl is not None
        if best is None or reached.hm > best[2].hm:
            best = epoch, found, replace(reached, zsl=zsl.zsl, zsl_per_class=zsl.zsl_per_class)
    assert best is not None
    return best


def _predict(
    plugin: AnyModel,
    settings: ModelSettings,
    ready: torch.nn.Module,
    clips: DeviceClips,
    on: EvaluationSet,
) -> Predictions:
    ready.eval()
    pairs = zip(
        clips.video[on.rows].split(EMBED_CLIPS_AT_ONCE),
        clips.audio[on.rows].split(EMBED_CLIPS_AT_ONCE),
        strict=True,
    )
    with torch.inference_mode():
        parts = [plugin.embed_clips(settings, ready, *pair) for pair in pairs]
        embedded = torch.cat(parts).cpu().numpy()
        classes = plugin.embed_classes(settings, ready, on.known.text).cpu().numpy()
        return Predictions(embedded, classes, plugin.distances(settings, ready, embedded, classes))


def validate(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    clips: DeviceClips,
    on: EvaluationSet,
) -> accuracy.GzslScores:
    """Returns the scores on validation clips at the bias with the best HM."""
    found = predict(plugin, settings, network, clips, on)
    return calibration.calibrate(found.distances, on.column, on.known.is_unseen)
