"""APN, Xu et al.: Attribute Prototype Network for Zero-Shot Learning (NeurIPS 2020).

Two linear maps of clips into the space of class vectors: one of the global features, which
classifies, and one that predicts attributes from the last layer's locations. Adapted as published:
clips have no locations, so both see the concatenated features, video first, and the class vector
takes the place of the attributes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from avca_pipeline.models import Batch, Dims
from avca_pipeline.models._compatibility import ConcatenatingSettings, concatenated, embed_clips
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


class Settings(ConcatenatingSettings):
    """Hyper-parameters of APN; the defaults are those for UCF-GZSL, main split."""

    initial_scale: float = Field(default=2e-4, gt=0)
    """Upper bound of the initial weights of both maps, which are drawn uniformly from 0 to this
    value.
    """
    softmax_twice: bool = False
    """Whether cross-entropy is applied to probabilities instead of scores. The published code does
    so: a second softmax flattens the probabilities and decides how steep the loss is.
    """


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    network = nn.ModuleDict(
        {
            name: nn.Linear(dims.video + dims.audio, dims.text, bias=False)
            for name in ("map", "prototypes")
        }
    )
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.0, settings.initial_scale)
    return network


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields classification and regression losses of both maps, and their ``total``."""
    clips = concatenated(settings, batch.video, batch.audio)
    terms = {}
    for name in ("map", "prototypes"):
        mapped = network[name](clips)
        scores = mapped @ batch.class_text.T
        if settings.softmax_twice:
            scores = scores.softmax(dim=1)
        terms[f"class_{name}"] = torch.nn.functional.cross_entropy(scores, batch.text_row)
        terms[f"text_{name}"] = torch.nn.functional.mse_loss(mapped, batch.text)
    yield terms | {"total": torch.stack(list(terms.values())).sum()}
