"""CJME: audio, video and text in one space, and an attention that chooses between audio and video.

Parida, Matiyali, Guha, Sharma: Coordinated Joint Multimodal Embeddings for Generalized Audio-Visual
Zeroshot Classification and Retrieval of Videos (WACV 2020, https://arxiv.org/abs/1910.08732).

Three networks embed a clip's audio as ``a``, its video as ``v`` and its class's text embedding as
``t``; ``a⁻`` and ``v⁻`` are those of a clip of another class. The attention ``α``, between 0 and 1,
is a function of the clip's features. With ``tri(x, y, z) = max(0, margin + |x - y| - |x - z|)`` for
anchor, positive and negative:

    loss = (1 - α) · tri(t, a, a⁻) + α · tri(t, v, v⁻)     triplets
         + MSE(a, v)                                       one place for both modalities
         + MSE(α, α*)                                      attention

The target ``α*`` asks which modality is more certain of the class. With ``H(x)`` for the entropy of
the softmax over ``x · t_c`` of all classes trained on, it is 1 (video) where ``H(a) - H(v)`` is
above ``min_entropy_lead_nats``, 0 (audio) where ``H(v) - H(a)`` is, and 1/2 elsewhere.

A clip belongs to the class nearest to ``v`` where ``α`` is at least 1/2, otherwise to the class
nearest to ``a``.

What it assumes: audio and video of a clip say the same, and who is certain is right. What it cannot
model: a class that only both together tell apart, since one modality alone decides about a clip.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import cast

import numpy as np
from pydantic import Field

from avca_pipeline.evaluation.distances import Distances, chosen_by_attention, euclidean_distances
from avca_pipeline.models import Batch, Dims
from avca_pipeline.models._triplet_networks import TripletSettings, networks
from avca_pipeline.models.defaults import adapt_to_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("parida2020cjme",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip


class Settings(TripletSettings):
    """Hyper-parameters of CJME; the defaults are the published ones for UCF-GZSL."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout rate in the three networks."""
    min_entropy_lead_nats: float = Field(default=0.1, ge=0)
    """Difference of entropy, in nats, by which one modality must be more certain of the class than
    the other before the attention should choose it.
    """
    mixes_batch_means: bool = False
    """Whether the mean triplet losses of the batch are weighted with its mean attention, instead of
    each clip's losses with its own attention. The published code does so, because it broadcasts a
    column against a row; its attention decides nothing about a single clip.
    """


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    parts = networks(settings, dims, settings.dropout)
    both = dims.audio + dims.video
    return nn.ModuleDict(
        {
            **{name: part.append(nn.ReLU()) for name, part in parts.items()},
            "attention": nn.Sequential(nn.BatchNorm1d(both), nn.Linear(both, 1), nn.Sigmoid()),
        }
    )


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the loss terms of a batch, and their ``total``.

    The order of the calls is the published one: every call updates batch norms and draws dropout.
    """
    mse = torch.nn.functional.mse_loss
    triplet = functools.partial(
        torch.nn.functional.triplet_margin_loss, margin=settings.margin, reduction="none"
    )
    audio = network["audio"](batch.audio)
    video = network["video"](batch.video)
    text = network["text"](batch.text)
    audio_neg = network["audio"](batch.negative_audio)
    video_neg = network["video"](batch.negative_video)
    network["text"](batch.negative_text)  # As published: updates batch norm and has no other use.
    attention = _attention(network, batch.video, batch.audio)
    classes = network["text"](batch.class_text)

    audio_loss, video_loss = triplet(text, audio, audio_neg), triplet(text, video, video_neg)
    if settings.mixes_batch_means:
        share = attention.mean()
        mixed = (1 - share) * audio_loss.mean() + share * video_loss.mean()
    else:
        mixed = ((1 - attention) * audio_loss + attention * video_loss).mean()
    terms = {
        "triplet": mixed,
        "audio_video": mse(audio, video),
        "attention": mse(attention, _more_certain(settings, audio, video, classes)),
    }
    yield terms | {"total": torch.stack(list(terms.values())).sum()}


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns each clip's audio and video embedding and attention.

    They stand side by side, ``(clips, 2 * embedding_dim + 1)``.
    """
    attention = _attention(network, video, audio)
    return torch.cat([network["audio"](audio), network["video"](video), attention[:, None]], dim=1)


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns each class's embedding twice, and a zero: as wide as what `embed_clips` returns.

    The report draws clips and classes in one figure, for which both need the same width.
    """
    embedded = cast("torch.Tensor", network["text"](text))
    return torch.cat([embedded, embedded, embedded.new_zeros(len(text), 1)], dim=1)


def distances(
    settings: Settings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns Euclidean distances from the modality that the attention chooses for each clip."""
    ends = [settings.embedding_dim, 2 * settings.embedding_dim]
    clip_audio, clip_video, attention = np.split(clips, ends, axis=1)
    class_audio, class_video, _ = np.split(classes, ends, axis=1)
    audio = euclidean_distances(clip_audio, class_audio)
    video = euclidean_distances(clip_video, class_video)
    chosen = chosen_by_attention(audio, video, attention)
    ways = (audio, video, chosen) if settings.averages_biases else ()
    return Distances(chosen, for_calibration=ways)


def _attention(
    network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns ``(clips,)``: the weight of video; that of audio is 1 minus it."""
    weight = network["attention"](torch.cat([audio, video], dim=1))
    return cast("torch.Tensor", weight[:, 0])


def _more_certain(
    settings: Settings, audio: torch.Tensor, video: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Returns ``(clips,)``: 1 where video is more certain of the class, 0 for audio, else 1/2."""

    def entropy(clips: torch.Tensor) -> torch.Tensor:
        scores = (clips @ classes.T).detach()
        return -(scores.softmax(dim=1) * scores.log_softmax(dim=1)).sum(dim=1)

    lead = entropy(audio) - entropy(video)
    least = settings.min_entropy_lead_nats
    return 0.5 * (1 + (lead > least).to(lead) - (lead < -least).to(lead))
