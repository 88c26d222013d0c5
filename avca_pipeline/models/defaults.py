"""What most methods have in common. A method imports from here what fits it; this is no plugin.

The defaults are those of a method that maps clips into the space of the text embeddings and does
nothing more about the classes: all parameters are trained, classes are where their text embeddings
are, and the nearest class in Euclidean distance wins. `avca_pipeline.models.Model` says what each
function is for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avca_pipeline.evaluation.distances import Distances, euclidean_distances
from avca_pipeline.models import ClassKnowledge, ModelSettings, NetworkT
from avca_pipeline.runtime.lazy import torch


def trainable(settings: ModelSettings, network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Returns all parameters."""
    return list(network.parameters())


def adapt_to_classes(
    settings: ModelSettings, network: NetworkT, knowledge: ClassKnowledge
) -> Iterator[NetworkT]:
    """Yields the network as it is."""
    yield network


def embed_classes(
    settings: ModelSettings, network: torch.nn.Module, text: torch.Tensor
) -> torch.Tensor:
    """Returns the text embeddings themselves: clips are mapped into their space."""
    return text


def distances(
    settings: ModelSettings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns Euclidean distances."""
    return Distances(euclidean_distances(clips, classes))
