"""The parts of the model contract that most methods have in common; they import what fits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avca_pipeline.evaluation import metrics
from avca_pipeline.models import Known, ModelSettings
from avca_pipeline.runtime.lazy import torch


def trainable(settings: ModelSettings, network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Returns all parameters."""
    return list(network.parameters())


def prepared(
    settings: ModelSettings, network: torch.nn.Module, known: Known
) -> Iterator[torch.nn.Module]:
    """Yields the network as it is."""
    yield network


def embed_classes(
    settings: ModelSettings, network: torch.nn.Module, text: torch.Tensor
) -> torch.Tensor:
    """Returns the text embeddings themselves: clips are mapped into their space."""
    return text


def distances(
    settings: ModelSettings, network: torch.nn.Module, clips: np.ndarray, classes: np.ndarray
) -> metrics.Distances:
    """Returns Euclidean distances, which the bias is chosen for."""
    return metrics.Distances(metrics.distances(clips, classes))
