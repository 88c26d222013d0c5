"""ClipClap: features and class names from encoders that were trained on language.

Kurzendörfer et al.: Audio-Visual Generalized Zero-Shot Learning using Pre-Trained Large Multi-Modal
Models (CVPR 2024 workshop, https://arxiv.org/abs/2404.06309).

A clip's video and audio features stand side by side and are one input ``x``; so are the text
embeddings of its class, ``w``. Both are made for language: features of CLIP and of a CLAP, and
class names by the text towers of the two. With networks of one or two blocks of linear layer, batch
norm, ReLU and dropout:

    t = W_enc(w)    theta_w = W_proj(t)            rho_w = D_w(theta_w)
                    theta_o = O_proj(O_enc(x))     rho_o = D_o(theta_o)

    loss = MSE(t, rho_o) + MSE(t, rho_w)                     reconstruction, ``l_rec``
         + MSE(theta_o, theta_w)                             regression, ``l_reg``
         + CE(theta_o · theta_w of all training classes)     classification, ``l_ce``

The target ``t`` of the reconstruction is trained as well. The loss has no negatives: the other
training classes, in ``l_ce``, are what keeps the embeddings apart. A clip is of the class whose
``theta_w`` is nearest to its ``theta_o``.

What it assumes: one vector a modality says enough of a clip, and class names mean to the text
towers what clips mean to the encoders. What it cannot model: order in time, and classes whose names
the text towers do not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, cast

import numpy as np
from pydantic import Field, model_validator

from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.distances import Distances, euclidean_distances
from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.models._text_columns import columns_of
from avca_pipeline.models.defaults import adapt_to_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("kurzendorfer2024clipclap",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip

BIASES = np.linspace(0.0, 5.0, 76)
"""The biases of calibrated stacking that the published code tries."""
ENCODER_DROPOUT = 0.1
"""Of the two encoders. Published: no setting changes it."""


class Settings(ModelSettings):
    """Hyper-parameters of ClipClap; the defaults are the published ones for UCF-GZSL, cls lists."""

    works_on_one_modality: ClassVar[bool] = True

    epochs: int = Field(default=20, ge=1)
    """Number of epochs of stage 1. Stage 2 stops after the epoch that stage 1 chose."""
    batches_per_epoch: int = Field(default=300, ge=1)
    """Number of batches in an epoch."""
    batch_size: int = Field(default=64, ge=2)
    """Number of clips in a batch."""
    learning_rate: float = Field(default=7e-5, gt=0)
    """Learning rate of the optimiser Adam."""
    encoder_dim: int = Field(default=512, ge=1)
    """Width of what the two encoders give, among it the target ``t``."""
    embedding_dim: int = Field(default=64, ge=1)
    """Width of the shared space."""
    hidden: int = Field(default=512, ge=1)
    """Hidden width of the projection of clips and of their decoder."""
    projection_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in the projection of clips and in their decoder (``decoder_dropout`` of the published
    code).
    """
    text_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in the projection of classes and in their decoder (``additional_dropout`` of the
    published code).
    """
    hidden_batch_norm: bool = True
    """Whether the first block of the two networks of two blocks has a batch norm."""
    reconstruction: bool = True
    """Whether the loss has the term ``l_rec``."""
    regression: bool = True
    """Whether the loss has the term ``l_reg``."""
    classification: bool = True
    """Whether the loss has the term ``l_ce``."""
    refreshes_statistics: bool = True
    """Whether the batch goes through encoders and projections once more after each step, in
    training mode, for the running statistics. Published behaviour: yes.
    """
    raw_weight: float = Field(default=0.0, ge=0)
    """How much the distance between the features and the text embeddings themselves counts beside
    the learned distance, as in HSP-MoE. It needs features and text embeddings of one space, of
    unit length. Published behaviour of ClipClap: 0.
    """

    own_text: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether a run of one modality learns towards the text embedding of its own tower alone: the
    first part of text embeddings of two towers for video, the last for audio. It needs features and
    text embeddings of one space, as ``zero_shot`` does. Published behaviour: yes. A run of both
    modalities has all of the text embeddings.
    """

    @model_validator(mode="after")
    def _has_a_loss(self) -> Settings:
        if not (self.reconstruction or self.regression or self.classification):
            raise ValueError("all losses are off; turn one on")
        return self

    @property
    def used(self) -> tuple[str, ...]:
        """The modalities, in the order in which their features stand side by side."""
        return ("video", "audio") if self.modalities == "both" else (self.modalities,)

    @property
    def takes_own_text(self) -> bool:
        """Whether the text embedding of one tower alone is used."""
        return self.own_text and self.modalities != "both"

    def text_spaces(self, video: str | None, audio: str | None) -> list[tuple[str | None, ...]]:
        """Returns the spaces of the features in use, if text embeddings must be in them."""
        spaces = {"video": video, "audio": audio}
        if self.takes_own_text:
            return [(video, audio), (spaces[self.modalities],)]
        return [tuple(spaces[modality] for modality in self.used)] if self.raw_weight else []


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name.

    Raises:
        PipelineError: ``raw_weight`` is above 0 but features and text embeddings have no common
            space; or with ``own_text`` they cannot have one.
    """
    text = dims.text
    if settings.takes_own_text:
        first, last = columns_of(dims, settings.modalities)
        text = last - first
    size = sum(getattr(dims, modality) for modality in settings.used)
    if settings.raw_weight and size != text:
        raise PipelineError(
            f"raw_weight is {settings.raw_weight:g}, but features have {size} values and text "
            f"embeddings {text}; use the text towers of the same models, or raw_weight: 0"
        )
    encoded, shared, hidden = settings.encoder_dim, settings.embedding_dim, settings.hidden
    dropout, text_dropout = settings.projection_dropout, settings.text_dropout

    def two_blocks(dim_in: int, dim_out: int) -> torch.nn.Sequential:
        first = _block(dim_in, hidden, dropout, has_norm=settings.hidden_batch_norm)
        return torch.nn.Sequential(*first, *_block(hidden, dim_out, dropout))

    return torch.nn.ModuleDict(
        {
            "clip_encoder": torch.nn.Sequential(*_block(size, encoded, ENCODER_DROPOUT)),
            "text_encoder": torch.nn.Sequential(*_block(text, encoded, ENCODER_DROPOUT)),
            "clip_projection": two_blocks(encoded, shared),
            "clip_decoder": two_blocks(shared, encoded),
            "text_projection": torch.nn.Sequential(*_block(encoded, shared, text_dropout)),
            "text_decoder": torch.nn.Sequential(*_block(shared, encoded, text_dropout)),
        }
    )


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the loss terms of the one step on a batch, and their ``total``."""
    yield losses(settings, network, batch)
    if settings.refreshes_statistics:
        with torch.no_grad():
            clips = network["clip_encoder"](_side_by_side(settings, batch.video, batch.audio))
            text = network["text_encoder"](_own(settings, network, batch.text))
            network["clip_projection"](clips)
            network["text_projection"](text)


def losses(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> dict[str, torch.Tensor]:
    """Returns the loss terms of a batch, and their ``total``.

    The order of the calls is the published one: every call updates batch norms and draws dropout.
    A loss that is off is not computed, but what it would run through still runs, as published.
    """
    functional = torch.nn.functional
    encoded = network["clip_encoder"](_side_by_side(settings, batch.video, batch.audio))
    text = network["text_encoder"](_own(settings, network, batch.text))
    theta = network["clip_projection"](encoded)
    rho = network["clip_decoder"](theta)
    theta_text = network["text_projection"](text)
    rho_text = network["text_decoder"](theta_text)
    terms = {}
    if settings.reconstruction:
        terms["rec_o"] = functional.mse_loss(text, rho)
        terms["rec_w"] = functional.mse_loss(text, rho_text)
    if settings.regression:
        terms["reg"] = functional.mse_loss(theta, theta_text)
    if settings.classification:
        classes = _theta_of_classes(network, _own(settings, network, batch.class_text))
        terms["ce"] = functional.cross_entropy(theta @ classes.T, batch.text_row)
    return terms | {"total": torch.stack(list(terms.values())).sum()}


def _theta_of_classes(network: torch.nn.ModuleDict, text: torch.Tensor) -> torch.Tensor:
    """Returns ``theta_w`` of classes, ``(classes, embedding_dim)``."""
    return cast("torch.Tensor", network["text_projection"](network["text_encoder"](text)))


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_o`` of clips, ``(clips, embedding_dim)``.

    With a ``raw_weight`` the features themselves stand beside it.
    """
    features = _side_by_side(settings, video, audio)
    theta = network["clip_projection"](network["clip_encoder"](features))
    return torch.cat([theta, features], dim=1) if settings.raw_weight else theta


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_w`` of classes, ``(classes, embedding_dim)``.

    With a ``raw_weight`` the text embeddings themselves stand beside it.
    """
    text = _own(settings, network, text)
    theta = _theta_of_classes(network, text)
    return torch.cat([theta, text], dim=1) if settings.raw_weight else theta


def distances(
    settings: Settings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns Euclidean distances, with the published biases to choose from."""
    size = settings.embedding_dim
    distance = euclidean_distances(clips[:, :size], classes[:, :size])
    if settings.raw_weight:
        raw = euclidean_distances(clips[:, size:], classes[:, size:])
        distance = distance + settings.raw_weight * raw
    return Distances(distance, biases=BIASES)


def _own(settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor) -> torch.Tensor:
    """Returns the columns of text embeddings that the network takes, see ``own_text``."""
    size = network.get_parameter("text_encoder.0.weight").shape[1]
    return text[:, :size] if settings.modalities == "video" else text[:, -size:]


def _side_by_side(settings: Settings, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    features = {"video": video, "audio": audio}
    return torch.cat([features[modality] for modality in settings.used], dim=1)


def _block(
    dim_in: int, dim_out: int, dropout: float, *, has_norm: bool = True
) -> list[torch.nn.Module]:
    nn = torch.nn
    norm = [nn.BatchNorm1d(dim_out)] if has_norm else []
    return [nn.Linear(dim_in, dim_out), *norm, nn.ReLU(), nn.Dropout(dropout)]
