"""SJE, Akata et al.: Evaluation of Output Embeddings for Fine-Grained Image Classification
(CVPR 2015).

A linear map of clips into the space of class vectors, trained on the worst violation of the
margin alone. What is adapted to two modalities, and how clips are classified, says
`_compatibility`.
"""

from __future__ import annotations

from collections.abc import Iterator

from avca_pipeline.models import Batch
from avca_pipeline.models._compatibility import CompatibilitySettings as Settings
from avca_pipeline.models._compatibility import build, embed_clips, violations
from avca_pipeline.models.defaults import adapt_to_classes, distances, embed_classes, trainable
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


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields each clip's largest violation, averaged over clips."""
    yield {"total": violations(settings, network, batch).amax(dim=1).mean()}
