"""What the compatibility methods share: one linear map of a clip into the space of class vectors.

ALE, SJE and DeViSE score a clip and a class by the dot product of the mapped clip and the class's
text embedding, and differ in how they weigh the classes that come too close. They are image
methods; for two modalities the features of both are concatenated, video first. As published, the
map has no bias, the class vectors are those of the classes trained on, dropout falls on features
and on class vectors alike, and at test time a clip belongs to the nearest class vector (L2), not
to the one with the largest dot product.
"""

from __future__ import annotations

from typing import cast

from pydantic import Field

from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.runtime.lazy import torch


class ConcatenatingSettings(ModelSettings):
    """What the methods share that see both modalities as one vector."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of the optimiser Adam, the classic kind that is added to the gradient."""
    normalises_inputs: bool = False
    """Whether each clip's concatenated features are scaled to unit length. The published code does
    so for the ``cls`` features only.
    """


class CompatibilitySettings(ConcatenatingSettings):
    """Hyper-parameters of the three methods; the defaults are those for UCF-GZSL, main split."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout rate of the features and of the class vectors."""
    margin: float = Field(default=0.1, ge=0)
    """Margin by which a clip's own class must score higher than every other class."""


def build(settings: CompatibilitySettings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    return nn.ModuleDict(
        {
            "map": nn.Linear(dims.video + dims.audio, dims.text, bias=False),
            "dropout": nn.Dropout(settings.dropout),
        }
    )


def violations(
    settings: CompatibilitySettings, network: torch.nn.ModuleDict, batch: Batch
) -> torch.Tensor:
    """Returns ``(batch, classes)``: how far each other class is inside the margin, 0 if it is not.

    A clip's own class has 0.
    """
    clips = network["dropout"](concatenated(settings, batch.video, batch.audio))
    scores: torch.Tensor = network["map"](clips) @ network["dropout"](batch.class_text).T
    own = batch.text_row[:, None]
    hinge = (settings.margin + scores - scores.gather(1, own)).clamp(min=0)
    return hinge.scatter(1, own, 0.0)


def embed_clips(
    settings: ConcatenatingSettings,
    network: torch.nn.ModuleDict,
    video: torch.Tensor,
    audio: torch.Tensor,
) -> torch.Tensor:
    """Returns mapped clips, ``(clips, text dim)``."""
    return cast("torch.Tensor", network["map"](concatenated(settings, video, audio)))


def concatenated(
    settings: ConcatenatingSettings, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns both modalities as one vector, ``(clips, video dim + audio dim)``."""
    both = torch.cat([video, audio], dim=1)
    return torch.nn.functional.normalize(both, dim=1) if settings.normalises_inputs else both
