"""From a trained network to its predictions and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avca_pipeline.evaluation import accuracy, calibration
from avca_pipeline.evaluation.accuracy import GzslScores
from avca_pipeline.evaluation.device_clips import EvaluationSet
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.models import AnyModel, ModelSettings
from avca_pipeline.nn.blocks import BLOCK_ROWS, in_blocks
from avca_pipeline.runtime.lazy import torch

EMBED_CLIPS_AT_ONCE = BLOCK_ROWS
"""Size of a block: the embedding of a clip must not depend on how many others there are."""


@dataclass(frozen=True)
class Predictions:
    """How a model sees the clips and the classes of an evaluation.

    Attributes:
        clips: ``(clips, dim)``, embeddings of the clips.
        classes: ``(classes, dim)``, embeddings of the classes.
        distances: of every clip to every class.
    """

    clips: np.ndarray
    classes: np.ndarray
    distances: Distances


def predict(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    evaluated: EvaluationSet,
) -> Predictions:
    """Returns how a model sees the clips and classes of an evaluation."""
    *_, adapted = plugin.adapt_to_classes(settings, network.eval(), evaluated.knowledge)
    return _predict(plugin, settings, adapted, evaluated)


def validate(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    evaluated: EvaluationSet,
) -> GzslScores:
    """Returns the scores at the bias with the best HM."""
    predictions = predict(plugin, settings, network, evaluated)
    return calibration.calibrate(predictions.distances, evaluated.column, evaluated.is_unseen)


@dataclass(frozen=True)
class EpochOnTest:
    """An epoch that was chosen on test clips, with what it reaches on them."""

    epoch: int
    predictions: Predictions
    scores: GzslScores


def choose_epoch_on_test(
    plugin: AnyModel,
    settings: ModelSettings,
    network: torch.nn.Module,
    states: Sequence[dict[str, Any]],
    test: EvaluationSet,
) -> EpochOnTest:
    """Returns the epoch with the best HM on the clips that it is tested on; of equals the first.

    For comparison only, see `ModelSettings.chosen_on_test`. As published there is no calibration.

    Args:
        plugin: the model.
        settings: its hyper-parameters.
        network: from the plugin; its parameters change.
        states: of the network after each epoch, one at least.
        test: the clips and classes of the test.
    """
    best: EpochOnTest | None = None
    for epoch, state in enumerate(states):
        network.load_state_dict(state)
        predictions, scores = _best_adapted(plugin, settings, network, test)
        if best is None or scores.hm > best.scores.hm:
            best = EpochOnTest(epoch, predictions, scores)
    assert best is not None
    return best


def _best_adapted(
    plugin: AnyModel, settings: ModelSettings, network: torch.nn.Module, test: EvaluationSet
) -> tuple[Predictions, GzslScores]:
    """Returns the best of the networks that adapting to the classes yields.

    As published, HM and ZSL are each taken from the network that is best for them: of equal HMs the
    last network wins, of equal ZSLs the first. The predictions are those of the network with the
    best HM, with the distances among unseen classes of the other one.
    """
    best: tuple[Predictions, GzslScores] | None = None
    best_zsl: tuple[np.ndarray, GzslScores] | None = None
    for adapted in plugin.adapt_to_classes(settings, network.eval(), test.knowledge):
        predictions = _predict(plugin, settings, adapted, test)
        distances = predictions.distances
        scores = accuracy.evaluate(
            distances.gzsl, test.column, test.is_unseen, bias=0.0, zsl=distances.zsl
        )
        if best is None or scores.hm >= best[1].hm:
            best = predictions, scores
        if best_zsl is None or scores.zsl > best_zsl[1].zsl:
            best_zsl = (distances.gzsl if distances.zsl is None else distances.zsl), scores
    assert best is not None
    assert best_zsl is not None
    (predictions, scores), (zsl, scores_of_zsl) = best, best_zsl
    return (
        replace(predictions, distances=replace(predictions.distances, zsl=zsl)),
        replace(scores, zsl=scores_of_zsl.zsl, zsl_per_class=scores_of_zsl.zsl_per_class),
    )


def _predict(
    plugin: AnyModel,
    settings: ModelSettings,
    adapted: torch.nn.Module,
    evaluated: EvaluationSet,
) -> Predictions:
    """Returns the predictions of a network that is adapted to the classes."""
    adapted.eval()
    with torch.inference_mode():
        clips = _embedded(plugin, settings, adapted, evaluated).cpu().numpy()
        text = evaluated.knowledge.text
        classes = plugin.embed_classes(settings, adapted, text).cpu().numpy()
        return Predictions(clips, classes, plugin.distances(settings, adapted, clips, classes))


def _embedded(
    plugin: AnyModel, settings: ModelSettings, adapted: torch.nn.Module, evaluated: EvaluationSet
) -> torch.Tensor:
    """Returns the embeddings of all clips, on the device."""

    def embed_clips(video: Any, audio: Any) -> torch.Tensor:
        return plugin.embed_clips(settings, adapted, video, audio)

    if settings.over_time:
        blocks = evaluated.blocks_over_time(settings.batch_size)
        return torch.cat([embed_clips(video, audio) for video, audio in blocks])
    return in_blocks(embed_clips, evaluated.video, evaluated.audio, size=EMBED_CLIPS_AT_ONCE)
