"""Plugins: methods of audio-visual zero-shot learning.

A model is one file here with

``Settings``
    a `ModelSettings` with its hyper-parameters;
``build(settings, dims) -> torch.nn.Module``
    the network, initialised from torch's global random state;
``trainable(settings, network) -> list[torch.nn.Parameter]``
    what the optimiser moves;
``losses(settings, network, batch) -> dict[str, torch.Tensor]``
    every term by name, and their ``total``, which is minimised;
``after_step(settings, network, batch) -> None``
    what the method does after an optimiser step, often nothing;
``embed_clips(settings, network, video, audio) -> torch.Tensor``
    ``(clips, dim)``: where clips are in the space in which classes are compared;
``embed_classes(settings, network, text) -> torch.Tensor``
    ``(classes, dim)``: where classes are in it. A clip's class is the one at the least distance.

Networks keep no state between calls but their parameters and running statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from avca_pipeline.registry import PluginSettings

if TYPE_CHECKING:
    import torch


class ModelSettings(PluginSettings):
    """What training any model needs.

    Attributes:
        epochs: of stage 1; stage 2 stops after the epoch that stage 1 chose.
        batches_per_epoch: optimiser steps in an epoch.
        batch_size: triplets in a batch.
        learning_rate: of Adam.
        weight_decay: of Adam, the classic kind that is added to the gradient.
        lr_patience: epochs without a better validation HM before the learning rate is divided
            by ten.
        repeatable: have a GPU compute the same bits for the same seed each time, with slower
            operations where need be; the log names one that has no such form.
    """

    epochs: int = Field(default=50, ge=1)
    batches_per_epoch: int = Field(default=500, ge=1)
    batch_size: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    lr_patience: int = Field(default=3, ge=0)
    repeatable: bool = True


@dataclass(frozen=True)
class Dims:
    """Sizes that the data decides."""

    video: int
    audio: int
    text: int


@dataclass(frozen=True)
class Batch:
    """Class-balanced triplets: clips, and for each a clip of another class.

    All are ``(batch, dim)``; ``text`` is the text embedding of the clip's class.
    """

    video: torch.Tensor
    audio: torch.Tensor
    text: torch.Tensor
    negative_video: torch.Tensor
    negative_audio: torch.Tensor
    negative_text: torch.Tensor
