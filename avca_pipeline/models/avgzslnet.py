"""AVGZSLNet, Mazumder et al.: Audio-Visual Generalized Zero-Shot Learning by Reconstructing Label
Features from Multi-Modal Embeddings (WACV 2021).

Audio, video and text are embedded into one space by a network each; a decoder that all three share
leads back to the text embedding. A clip's class is the one with the least sum of its distances to
the audio and to the video embedding.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Literal, cast

import numpy as np
from pydantic import Field

from avca_pipeline.evaluation.distances import Distances, euclidean_distances
from avca_pipeline.models import Batch, Dims
from avca_pipeline.models._triplet_networks import (
    TripletSettings,
    networks,
    two_layers,
)
from avca_pipeline.models.defaults import adapt_to_classes, trainable
from avca_pipeline.runtime.lazy import torch

__all__ = [
    "Settings",
    "adapt_to_classes",
    "build",
    "distances",
    "embed_classes",
    "embed_clips",
    "steps",
    "trainable",
]  # fmt: skip


class Settings(TripletSettings):
    """Hyper-parameters of AVGZSLNet; the defaults are the published ones, the same everywhere."""

    encoder_dropout: float = Field(default=0.8, ge=0, lt=1)
    """Dropout rate in the three networks (``embedding_dropout`` of the published code)."""
    decoder_hidden: int = Field(default=64, ge=1)
    """Width of the hidden layer of the decoder."""
    decoder_dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout rate in the decoder."""
    decoder_batch_norm: bool = True
    """Whether the decoder has batch norm."""
    normalises_decoded: bool = True
    """Whether the decoder's output is scaled to unit length."""
    reconstruction: Literal["l2", "squared-l2"] = "l2"
    """Distance between text embeddings and the decoder's output. The triplet losses measure L2 in
    either case.
    """


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    parts = networks(settings, dims, settings.encoder_dropout)
    decoder = two_layers(
        settings.embedding_dim,
        settings.decoder_hidden,
        dims.text,
        settings.decoder_dropout,
        settings.decoder_batch_norm,
    )
    return torch.nn.ModuleDict({**parts, "decoder": decoder})


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the loss terms of a batch, and their ``total``.

    The order of the calls is the published one: every call updates batch norms and draws dropout.
    """
    triplet = functools.partial(torch.nn.functional.triplet_margin_loss, margin=settings.margin)
    audio, audio_neg = network["audio"](batch.audio), network["audio"](batch.negative_audio)
    video, video_neg = network["video"](batch.video), network["video"](batch.negative_video)
    text, text_neg = network["text"](batch.text), network["text"](batch.negative_text)
    decoded_audio, decoded_video, decoded_text, decoded_audio_neg, decoded_video_neg = (
        _decode(settings, network, embedded)
        for embedded in (audio, video, text, audio_neg, video_neg)
    )
    terms = {
        "rec_text": _distance(settings, decoded_text, batch.text),
        "rec_audio": _distance(settings, decoded_audio, batch.text),
        "rec_video": _distance(settings, decoded_video, batch.text),
        "ct_audio": triplet(decoded_text, decoded_audio, decoded_audio_neg),
        "ct_video": triplet(decoded_text, decoded_video, decoded_video_neg),
        "text_audio": triplet(text, audio, audio_neg),
        "audio_text": triplet(audio, text, text_neg),
        "text_video": triplet(text, video, video_neg),
        "video_text": triplet(video, text, text_neg),
    }
    yield terms | {"total": torch.stack(list(terms.values())).sum()}


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns both embeddings of each clip, audio first, ``(clips, 2 * embedding_dim)``."""
    return torch.cat([network["audio"](audio), network["video"](video)], dim=1)


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns embedded classes, for either half of the clips, ``(classes, 2 * embedding_dim)``."""
    return cast("torch.Tensor", network["text"](text)).repeat(1, 2)


def distances(
    settings: Settings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns the sum of the Euclidean distances from audio and from video."""
    audio, video = (
        euclidean_distances(*halves)
        for halves in zip(np.split(clips, 2, axis=1), np.split(classes, 2, axis=1), strict=True)
    )
    both = audio + video
    return Distances(both, for_calibration=(audio, video, both) if settings.averages_biases else ())


def _decode(
    settings: Settings, network: torch.nn.ModuleDict, embedded: torch.Tensor
) -> torch.Tensor:
    """Returns text embeddings as decoded, ``(batch, text dim)``."""
    decoded = cast("torch.Tensor", network["decoder"](embedded))
    if settings.normalises_decoded:
        decoded = torch.nn.functional.normalize(decoded, dim=1)
    return decoded


def _distance(settings: Settings, decoded: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    difference = torch.nn.functional.pairwise_distance(decoded, text, eps=0)
    return (difference if settings.reconstruction == "l2" else difference**2).mean()
