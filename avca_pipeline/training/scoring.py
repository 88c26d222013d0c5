"""Clips and classes on the device, their embeddings, and their scores on validation."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from avca_pipeline import metrics
from avca_pipeline.artifacts.split import TRAIN, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.lazy import torch
from avca_pipeline.models import ModelSettings
from avca_pipeline.training.problem import Problem, Scaling

EMBED_CLIPS_AT_ONCE = 4096


@dataclass(frozen=True)
class DeviceClips:
    """Clips where the network is.

    Attributes:
        video: ``(clips, video dim)``, scaled.
        audio: ``(clips, audio dim)``, scaled.
        text: ``(clips, text dim)``, the text embedding of each clip's class.
    """

    video: torch.Tensor
    audio: torch.Tensor
    text: torch.Tensor


def on_device(problem: Problem, scaling: Scaling, device: str) -> DeviceClips:
    """Returns all clips of a problem, once and for all: features fit into any GPU."""
    return DeviceClips(
        torch.from_numpy(scaling.video(problem.video)).to(device),
        torch.from_numpy(scaling.audio(problem.audio)).to(device),
        torch.from_numpy(problem.text[problem.targets]).to(device),
    )


@dataclass(frozen=True)
class Validation:
    """What does not change between the epochs of validation.

    Attributes:
        rows: of the clips of ``val_seen`` and ``val_unseen``, on the device.
        text: ``(classes, text dim)`` of the classes that they are told apart from, on the device.
        targets: ``(clips,)``, which of these classes is each clip's own.
        is_unseen: ``(classes,)``.
    """

    rows: torch.Tensor
    text: torch.Tensor
    targets: np.ndarray
    is_unseen: np.ndarray


def validation(problem: Problem, device: str) -> Validation:
    """Returns the clips and classes of validation."""
    rows, classes = problem.rows(VAL_SEEN, VAL_UNSEEN), problem.classes(TRAIN, VAL_UNSEEN)
    return Validation(
        torch.from_numpy(rows).to(device),
        torch.from_numpy(problem.text[classes]).to(device),
        targets=np.searchsorted(classes, problem.targets[rows]),
        is_unseen=problem.class_group[classes] == VAL_UNSEEN,
    )


def validate(
    plugin: ModuleType,
    settings: ModelSettings,
    network: torch.nn.Module,
    clips: DeviceClips,
    on: Validation,
) -> metrics.GzslScores:
    """Returns the scores on validation clips at the bias with the best HM."""
    distance = metrics.distances(
        embed_clips(plugin, settings, network, clips.video[on.rows], clips.audio[on.rows]),
        embed_classes(plugin, settings, network, on.text),
    )
    return metrics.search_bias(distance, on.targets, on.is_unseen)


def embed_clips(
    plugin: ModuleType,
    settings: ModelSettings,
    network: torch.nn.Module,
    video: torch.Tensor,
    audio: torch.Tensor,
) -> np.ndarray:
    """Returns ``(clips, dim)``: the embeddings of clips, in eval mode."""
    network.eval()
    with torch.inference_mode():
        parts = [
            plugin.embed_clips(settings, network, *some)
            for some in zip(
                video.split(EMBED_CLIPS_AT_ONCE), audio.split(EMBED_CLIPS_AT_ONCE), strict=True
            )
        ]
        embedded: np.ndarray = torch.cat(parts).cpu().numpy()
    return embedded


def embed_classes(
    plugin: ModuleType, settings: ModelSettings, network: torch.nn.Module, text: torch.Tensor
) -> np.ndarray:
    """Returns ``(classes, dim)``: the embeddings of classes, in eval mode."""
    network.eval()
    with torch.inference_mode():
        embedded: np.ndarray = plugin.embed_classes(settings, network, text).cpu().numpy()
    return embedded
