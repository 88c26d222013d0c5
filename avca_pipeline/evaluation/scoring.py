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
from avca_pipeline.evaluation import metrics
from avca_pipeline.evaluation.labelled_clips import Problem, Scaling
from avca_pipeline.models import AnyModel, Known, ModelSettings
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


def on_device(problem: Problem, scaling: Scaling, stage: int, device: str) -> DeviceClips:
    """Returns all clips of a problem, once and for all: features fit into any GPU."""
    trained = problem.classes(*TRAINING_PARTITIONS[stage])
    arrays = (
        scaling.video(problem.video),
        scaling.audio(problem.audio),
        problem.text[problem.targets],
        problem.text[trained],
        np.searchsorted(trained, problem.targets),
    )
    return DeviceClips(*(torch.from_numpy(array).to(device) for array in arrays))


@dataclass(frozen=True)
class Trial:
    """Clips to classify, and the classes that they may belong to.

    Attributes:
        rows: of the clips, on the device.
        targets: ``(clips,)``, which of the classes is each clip's own.
        known: what a model may know of the classes.
    """

    rows: torch.Tensor
    targets: np.ndarray
    known: Known


@dataclass(frozen=True)
class Outcome:
    """What a model makes of a trial.

    Attributes:
        clips: ``(clips, dim)``, their embeddings.
        classes: ``(classes, dim)``, theirs.
        distances: of clips and classes.
    """

    clips: np.ndarray
    classes: np.ndarray
    distances: metrics.Distances


def trial(problem: Problem, clips: DeviceClips, stage: int) -> Trial:
    """Returns the validation of stage 1, or the test that stage 2 is trained for."""
    trained, unseen = TRAINING_PARTITIONS[stage], UNSEEN[stage]
    rows, classes = problem.rows(*SCORED[stage]), problem.classes(*trained, unseen)
    known, device = problem.rows(*trained), clips.video.device
    return Trial(
        torch.from_numpy(rows).to(device),
        targets=np.searchsorted(classes, problem.targets[rows]),
        known=Known(
            text=torch.from_numpy(problem.text[classes]).to(device),
            is_unseen=problem.class_group[classes] == unseen,
            video=clips.video,
            audio=clips.audio,
            rows=torch.from_numpy(known).to(device),
            label=torch.from_numpy(np.searchsorted(classes, problem.targets[known])).to(device),
        ),
    )


def outcome(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    clips: DeviceClips,
    on: Trial,
) -> Outcome:
    """Returns how a model sees the clips and classes of a trial."""
    *_, ready = plugin.prepared(settings, network.eval(), on.known)
    return _outcome(plugin, settings, ready, clips, on)


def best_on_test(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    states: Sequence[dict[str, Any]],
    clips: DeviceClips,
    on: Trial,
) -> tuple[int, Outcome, metrics.GzslScores]:
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
    best: tuple[int, Outcome, metrics.GzslScores] | None = None
    for epoch, state in enumerate(states):
        network.load_state_dict(state)
        found, reached, zsl = None, None, None
        for ready in plugin.prepared(settings, network.eval(), on.known):
            one = _outcome(plugin, settings, ready, clips, on)
            scores = metrics.evaluate(
                one.distances.gzsl, on.targets, on.known.is_unseen, 0.0, zsl=one.distances.zsl
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


def _outcome(
    plugin: AnyModel,
    settings: ModelSettings,
    ready: torch.nn.Module,
    clips: DeviceClips,
    on: Trial,
) -> Outcome:
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
        return Outcome(embedded, classes, plugin.distances(settings, ready, embedded, classes))


def validate(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    clips: DeviceClips,
    on: Trial,
) -> metrics.GzslScores:
    """Returns the scores on validation clips at the bias with the best HM."""
    found = outcome(plugin, settings, network, clips, on)
    return metrics.calibrate(found.distances, on.targets, on.known.is_unseen)
