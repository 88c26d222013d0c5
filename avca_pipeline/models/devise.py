"""DeViSE: a linear map into the space of the text embeddings, trained on all mistakes alike.

Frome, Corrado, Shlens, Bengio, Dean, Ranzato, Mikolov: DeViSE: A Deep Visual-Semantic Embedding
Model (NIPS 2013).

`_compatibility` defines the violation ``v_c`` of the margin by another class ``c``, what the method
assumes, what it cannot model, and what is adapted to two modalities. The loss of a clip is

    loss = Σ_c v_c

Every class inside the margin counts, whether it stands second or last: with many classes the loss
is large as long as the text embeddings of some are close to each other. The paper also trains the
network that makes the features; here features are given.
"""

from __future__ import annotations

from collections.abc import Iterator

from avca_pipeline.models import Batch
from avca_pipeline.models._compatibility import CompatibilitySettings as Settings
from avca_pipeline.models._compatibility import build, embed_clips, violations
from avca_pipeline.models.defaults import adapt_to_classes, distances, embed_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("frome2013devise",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the sum over classes of all violations, averaged over clips."""
    yield {"total": violations(settings, network, batch).sum(dim=1).mean()}
