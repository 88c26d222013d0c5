"""A method for tests that looks at training clips: a class is where its clips are on average."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from avca_pipeline.models import Batch, ClassKnowledge, Dims, ModelSettings, defaults

trainable = defaults.trainable
distances = defaults.distances


class Settings(ModelSettings):
    """Nothing to choose."""


class Means(torch.nn.Module):
    """The means, once they are known."""

    classes: torch.Tensor


def build(settings: Settings, dims: Dims) -> Means:
    """Returns a network without parameters."""
    return Means()


def steps(settings: Settings, network: Means, batch: Batch) -> Iterator[dict[str, torch.Tensor]]:
    """Yields nothing: there is nothing to train."""
    yield from ()


def adapt_to_classes(
    settings: Settings, network: Means, knowledge: ClassKnowledge
) -> Iterator[Means]:
    """Yields the means of what is known of each class; unseen ones are where their text is."""
    network.register_buffer("classes", knowledge.text.clone())
    for column in knowledge.column.unique().tolist():
        assert not knowledge.is_unseen[column]
        network.classes[column] = knowledge.video[knowledge.column == column].mean(dim=0)
    yield network


def embed_clips(
    settings: Settings, network: Means, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns the features of the picture."""
    return video


def embed_classes(settings: Settings, network: Means, text: torch.Tensor) -> torch.Tensor:
    """Returns the means."""
    return network.classes
