"""AVGZSLNet: audio, video and text in one space, from which a decoder finds the text again.

Mazumder, Singh, Parida, Namboodiri: AVGZSLNet: Audio-Visual Generalized Zero-Shot Learning by
Reconstructing Label Features from Multi-Modal Embeddings (WACV 2021,
https://arxiv.org/abs/2005.13402).

Three networks embed a clip's audio as ``a``, its video as ``v`` and its class's text embedding
``w`` as ``t``. A decoder ``D`` that the three share leads back to text embeddings. A clip of
another class has the same with a minus: ``a⁻``, ``v⁻``, ``t⁻``. With
``tri(x, y, z) = max(0, margin + |x - y| - |x - z|)`` for anchor, positive and negative:

    loss = |D(t) - w| + |D(a) - w| + |D(v) - w|                            reconstruction
         + tri(D(t), D(a), D(a⁻)) + tri(D(t), D(v), D(v⁻))                 decoded triplets
         + tri(t, a, a⁻) + tri(a, t, t⁻) + tri(t, v, v⁻) + tri(v, t, t⁻)   triplets

A clip belongs to the class with the least ``|a - t| + |v - t|``. With one modality alone, the terms
of the other are left out.

What it assumes: each modality by itself says enough of the class, and both are equally reliable.
What it cannot model: how audio and video depend on each other (no layer sees both), and a clip in
which one of them misleads: its distance counts in full.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import ClassVar, Literal, cast

import numpy as np
from pydantic import Field

from avca_pipeline.artifacts.run import BOTH
from avca_pipeline.evaluation.distances import Distances, euclidean_distances
from avca_pipeline.models import Batch, Dims
from avca_pipeline.models._triplet_networks import TripletSettings, networks, two_layers
from avca_pipeline.models.defaults import adapt_to_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("mazumder2021avgzslnet",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip


class Settings(TripletSettings):
    """Hyper-parameters of AVGZSLNet; the defaults are the published ones, the same everywhere."""

    works_on_one_modality: ClassVar[bool] = True

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

    @property
    def used(self) -> tuple[str, ...]:
        """The modalities, in the order in which they are called."""
        return ("audio", "video") if self.modalities == BOTH else (self.modalities,)


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    parts = networks(settings, dims, settings.encoder_dropout, settings.used)
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
    positive = {"audio": batch.audio, "video": batch.video}
    negative = {"audio": batch.negative_audio, "video": batch.negative_video}
    own: dict[str, torch.Tensor] = {}
    other: dict[str, torch.Tensor] = {}
    for name in settings.used:
        own[name], other[name] = network[name](positive[name]), network[name](negative[name])
    text, text_neg = network["text"](batch.text), network["text"](batch.negative_text)
    decode = functools.partial(_decode, settings, network)
    decoded = {name: decode(own[name]) for name in settings.used}
    decoded_text = decode(text)
    decoded_other = {name: decode(other[name]) for name in settings.used}
    terms = {"rec_text": _distance(settings, decoded_text, batch.text)}
    for name in settings.used:
        terms[f"rec_{name}"] = _distance(settings, decoded[name], batch.text)
    for name in settings.used:
        terms[f"ct_{name}"] = triplet(decoded_text, decoded[name], decoded_other[name])
    for name in settings.used:
        terms[f"text_{name}"] = triplet(text, own[name], other[name])
        terms[f"{name}_text"] = triplet(own[name], text, text_neg)
    yield terms | {"total": torch.stack(list(terms.values())).sum()}


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns both embeddings of each clip, audio first, ``(clips, 2 * embedding_dim)``."""
    features = {"audio": audio, "video": video}
    return torch.cat([network[name](features[name]) for name in settings.used], dim=1)


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns embedded classes, for either half of the clips, ``(classes, 2 * embedding_dim)``."""
    return cast("torch.Tensor", network["text"](text)).repeat(1, len(settings.used))


def distances(
    settings: Settings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns the sum of the Euclidean distances from audio and from video."""
    if len(settings.used) == 1:
        return Distances(euclidean_distances(clips, classes))
    clip_audio, clip_video = np.split(clips, 2, axis=1)
    class_audio, class_video = np.split(classes, 2, axis=1)
    audio = euclidean_distances(clip_audio, class_audio)
    video = euclidean_distances(clip_video, class_video)
    both = audio + video
    return Distances(both, for_calibration=(audio, video, both) if settings.averages_biases else ())


def _decode(
    settings: Settings, network: torch.nn.ModuleDict, embedded: torch.Tensor
) -> torch.Tensor:
    """Returns what the decoder makes of embeddings, ``(batch, text dim)``."""
    decoded = cast("torch.Tensor", network["decoder"](embedded))
    if settings.normalises_decoded:
        decoded = torch.nn.functional.normalize(decoded, dim=1)
    return decoded


def _distance(settings: Settings, decoded: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    distance = torch.nn.functional.pairwise_distance(decoded, text, eps=0)
    return (distance if settings.reconstruction == "l2" else distance**2).mean()
