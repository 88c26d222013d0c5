"""ALE: a linear map into the space of the text embeddings that ranks a clip's own class first.

Akata, Perronnin, Harchaoui, Schmid: Label-Embedding for Image Classification (TPAMI 2016,
https://arxiv.org/abs/1503.08677).

`_compatibility` defines the violation ``v_c`` of the margin by another class ``c``, what the method
assumes, what it cannot model, and what is adapted to two modalities. With ``k`` for the number of
classes with ``v_c > 0``, the loss of a clip is

    loss = (1 + 1/2 + … + 1/k) / k · Σ_c v_c         and 0 where k = 0

The factor falls with ``k``. A violation counts most where it is the only one and keeps the own
class from the first rank; it counts less far down in the ranking.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from avca_pipeline.models import Batch
from avca_pipeline.models._compatibility import CompatibilitySettings as Settings
from avca_pipeline.models._compatibility import build, embed_clips, violations
from avca_pipeline.models.defaults import adapt_to_classes, distances, embed_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("akata2016ale",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip

# Keeps a clip without violations from dividing by zero; part of the published numbers.
EPSILON = 1e-8


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the weighted ranking loss.

    With ``k`` classes inside the margin, each of them weighs ``(1 + 1/2 + … + 1/k) / k``.
    """
    inside = violations(settings, network, batch)
    rank = (inside > 0).sum(dim=1)
    # Published in single precision whatever the network's, which float64 comparisons notice.
    harmonic = _harmonic_numbers(inside.shape[1], rank.device).to(inside.dtype)
    weight = harmonic[rank] / (rank.to(inside.dtype) + EPSILON)
    yield {"total": (weight * inside.sum(dim=1)).mean()}


@functools.lru_cache(maxsize=8)
def _harmonic_numbers(last: int, device: torch.device) -> torch.Tensor:
    """Returns ``(last + 1,)`` float32: 0, 1, 1 + 1/2, and so on.

    They are summed on the host, because a sum on a GPU is not repeatable.
    """
    reciprocals = 1 / torch.arange(1, last + 1).double()
    return torch.nn.functional.pad(reciprocals.cumsum(0), (1, 0)).float().to(device)
