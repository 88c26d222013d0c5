"""SJE: a linear map into the space of the text embeddings, trained on the worst mistake alone.

Akata, Reed, Walter, Lee, Schiele: Evaluation of Output Embeddings for Fine-Grained Image
Classification (CVPR 2015, https://arxiv.org/abs/1409.8403).

`_compatibility` defines the violation ``v_c`` of the margin by another class ``c``, what the method
assumes, what it cannot model, and what is adapted to two modalities. The loss of a clip is that of
a structured support vector machine:

    loss = max_c v_c

Only the class that is confused most teaches the map: the worst mistake is corrected first, but one
class that is close to many others can take up most steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from avca_pipeline.models import Batch
from avca_pipeline.models._compatibility import CompatibilitySettings as Settings
from avca_pipeline.models._compatibility import build, embed_clips, violations
from avca_pipeline.models.defaults import adapt_to_classes, distances, embed_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("akata2015sje",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields each clip's largest violation, averaged over clips."""
    yield {"total": violations(settings, network, batch).amax(dim=1).mean()}
