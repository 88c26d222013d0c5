"""Zero-shot classification without training.

Clips and class names meet in a space that today's encoders share already (CLIP, Radford et al.,
ICML 2021; CLAP, Wu et al., ICASSP 2023).

There is no loss and no step. The class of a clip is the one whose text embedding is nearest:

    distance = (1 - audio_weight) · |v - t_v| + audio_weight · |a - t_a|

``v`` and ``a`` are the clip's video and audio features, ``t_v`` and ``t_a`` the text embeddings of
the class in the space of each; all of unit length, so that the order is that of the cosines. Text
embeddings of two towers stand side by side, video's first; a model that puts video, audio and text
into one space needs one tower.

What it assumes: features and text embeddings come from encoders that were trained together. This
is checked before anything runs: backbones and text embeddings of transformers know their model, and
``imported`` features and ``precomputed`` vectors are in the space that the user names. What it
cannot model: anything that the encoders did not learn. Seen and unseen classes are the same to it;
the bias is chosen on validation all the same, so that its scores mean what those of other methods
mean. It is the row that every method has to beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from avca_pipeline.evaluation.distances import Distances, euclidean_distances
from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.models._text_columns import columns_of
from avca_pipeline.models.defaults import adapt_to_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("radford2021clip", "wu2023clap")
__all__ = [
    "Settings",
    "adapt_to_classes",
    "build",
    "distances",
    "embed_classes",
    "embed_clips",
    "steps",
    "trainable",
]

BIASES = np.linspace(0.0, 1.0, 101)
"""Unit vectors are at most 2 apart, and classes differ by hundredths."""


class Settings(ModelSettings):
    """Settings of zero-shot classification without training."""

    works_on_one_modality: ClassVar[bool] = True

    epochs: int = Field(default=1, ge=1, le=1)
    """Number of epochs: one, in which clips are scored and nothing is trained."""
    audio_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the audio distance where both modalities classify. Several values under
    ``search`` have it chosen on validation.
    """

    def changes_for(self, modality: str) -> dict[str, Any]:
        """Returns the changes for one modality, which has no use for a weight."""
        weight = type(self).model_fields["audio_weight"].default
        return super().changes_for(modality) | {"audio_weight": weight}

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each modality that is used, in the order of the text embeddings."""
        if self.modalities != "both":
            return {self.modalities: 1.0}
        return {"video": 1 - self.audio_weight, "audio": self.audio_weight}

    def text_spaces(self, video: str | None, audio: str | None) -> list[tuple[str | None, ...]]:
        """Returns one space if it is that of all features in use, and those of both modalities."""
        spaces = {"video": video, "audio": audio}
        used = {spaces[modality] for modality in self.weights}
        return [(video, audio), *([tuple(used)] if len(used) == 1 else [])]


def build(settings: Settings, dims: Dims) -> torch.nn.Module:
    """Returns a network without parameters, which knows where each modality's text embedding is.

    Raises:
        PipelineError: features and text embeddings cannot be of one space.
    """
    network = torch.nn.Module()
    for modality in settings.weights:
        first, last = columns_of(dims, modality)
        network.register_buffer(f"{modality}_columns", torch.tensor([first, last]))
    return network


def steps(
    settings: Settings, network: torch.nn.Module, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields nothing: no step is taken."""
    yield from ()


def embed_clips(
    settings: Settings, network: torch.nn.Module, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns the features that are used, of unit length each, side by side."""
    features = {"video": video, "audio": audio}
    return torch.cat([_unit(features[modality]) for modality in settings.weights], dim=1)


def embed_classes(settings: Settings, network: torch.nn.Module, text: torch.Tensor) -> torch.Tensor:
    """Returns the text embedding for each modality that is used, of unit length, side by side."""
    parts = []
    for modality in settings.weights:
        first, last = network.get_buffer(f"{modality}_columns").tolist()
        parts.append(_unit(text[:, first:last]))
    return torch.cat(parts, dim=1)


def distances(
    settings: Settings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns the weighted sum of the Euclidean distances in each space."""
    total = np.zeros((len(clips), len(classes)))
    start = 0
    for modality, weight in settings.weights.items():
        first, last = network.get_buffer(f"{modality}_columns").tolist()
        columns = slice(start, start + last - first)
        total += weight * euclidean_distances(clips[:, columns], classes[:, columns])
        start = columns.stop
    return Distances(total, biases=BIASES)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)
