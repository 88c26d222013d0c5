"""Plugins: methods of audio-visual zero-shot learning.

A model is one file here with

``Settings``
    a `ModelSettings` with its hyper-parameters;
``build(settings, dims) -> torch.nn.Module``
    the network, initialised from torch's global random state;
``trainable(settings, network) -> list[torch.nn.Parameter]``
    what the optimiser moves;
``steps(settings, network, batch) -> Iterator[dict[str, torch.Tensor]]``
    for each optimiser step on the batch, mostly one, every loss term by name and their ``total``,
    which is minimised: the parameters that have a gradient then are moved before it goes on;
``prepared(settings, network, known) -> Iterator[torch.nn.Module]``
    the network made ready to tell certain classes apart, mostly as it is. Where that takes epochs
    it is given after each, and the last one counts; the rest gets this one;
``embed_clips(settings, network, video, audio) -> torch.Tensor``
    ``(clips, dim)``: where clips are in the space in which classes are compared;
``embed_classes(settings, network, text) -> torch.Tensor``
    ``(classes, dim)``: where classes are in it;
``distances(settings, network, clips, classes) -> Distances``
    how far embedded clips are from embedded classes. A clip's class is the nearest one.

`_plain` has what is mostly wanted of these. Networks keep no state between calls but their
parameters and running statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from avca_pipeline.registry import PluginSettings

if TYPE_CHECKING:
    import numpy as np
    import torch


MAX_WHOLE = 1_000_000


class ModelSettings(PluginSettings):
    """What training any model needs.

    Attributes:
        epochs: of stage 1; stage 2 stops after the epoch that stage 1 chose.
        batches_per_epoch: optimiser steps in an epoch.
        batch_size: triplets in a batch.
        learning_rate: of Adam.
        weight_decay: of Adam, the classic kind that is added to the gradient.
        beta1: of Adam, how much of the mean gradient it keeps at a step.
        lr_patience: epochs without a better validation HM before the learning rate is divided
            by ten.
        chosen_on_test: stage 2 runs for all epochs, and the one with the best HM on test clips is
            reported, without calibration. For comparison only: the numbers of f-VAEGAN-D2 were
            published so, and the report says of such numbers that they are.
        repeatable: have a GPU compute the same bits for the same seed each time, with slower
            operations where need be; the log names one that has no such form.
    """

    epochs: int = Field(default=50, ge=1)
    batches_per_epoch: int = Field(default=500, ge=1)
    batch_size: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    lr_patience: int = Field(default=3, ge=0)
    chosen_on_test: bool = False
    repeatable: bool = True

    @field_validator("*", mode="after")
    @classmethod
    def _of_a_size_that_fits(cls, value: Any) -> Any:
        if isinstance(value, int) and value > MAX_WHOLE:
            raise ValueError(f"no network or training has more than {MAX_WHOLE} of anything")
        return value


@dataclass(frozen=True)
class Dims:
    """Sizes that the data decides."""

    video: int
    audio: int
    text: int


@dataclass(frozen=True)
class Batch:
    """Class-balanced triplets: clips, and for each a clip of another class.

    Attributes:
        video: ``(batch, video dim)``.
        audio: ``(batch, audio dim)``.
        text: ``(batch, text dim)``, text embedding of the clip's class.
        negative_video: of the clip of another class, like the three after it.
        negative_audio: likewise.
        negative_text: likewise.
        class_text: ``(classes, text dim)``, text embeddings of all classes that are trained on.
        label: ``(batch,)``, row of the clip's class in ``class_text``.
    """

    video: torch.Tensor
    audio: torch.Tensor
    text: torch.Tensor
    negative_video: torch.Tensor
    negative_audio: torch.Tensor
    negative_text: torch.Tensor
    class_text: torch.Tensor
    label: torch.Tensor


@dataclass(frozen=True)
class Known:
    """What may be known of the classes that clips are to be told apart from.

    Attributes:
        text: ``(classes, text dim)``.
        is_unseen: ``(classes,)``.
        video: ``(clips, video dim)``; only `rows` are for use, like the next.
        audio: ``(clips, audio dim)``.
        rows: of training clips of the seen classes.
        label: ``(rows,)``, row of their class in ``text``.
    """

    text: torch.Tensor
    is_unseen: np.ndarray
    video: torch.Tensor
    audio: torch.Tensor
    rows: torch.Tensor
    label: torch.Tensor
