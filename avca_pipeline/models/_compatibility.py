"""What ALE, SJE and DeViSE have in common: one linear map into the space of the text embeddings.

With ``x`` for a clip's video and audio features side by side, ``w_c`` for the text embedding of
class ``c`` and ``W`` for the map, a clip and a class are compatible to the degree

    s_c = (W x) · w_c

For a clip of class ``y``, another class violates the margin by

    v_c = max(0, margin + s_c - s_y)

The three methods differ in one thing: how the violations of a clip become its loss. ``violations``
returns them.

What the methods assume: text embeddings describe classes so well that a linear function of the
features finds them, also for classes without training clips. What they cannot model: how audio and
video depend on each other (``W x`` is a sum of one term for each), and classes that look different
from clip to clip (a class is one point).

Adapted as published for the benchmark of AVCA, since these are methods for images: the map has no
bias, only the classes trained on are ranked, dropout falls on features and text embeddings alike,
and a clip belongs to the class whose text embedding is nearest to ``W x`` (L2), not to the class
with the largest ``s_c``.
"""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.runtime.lazy import torch


class ConcatenatingSettings(ModelSettings):
    """What the methods share that see both modalities as one vector."""

    works_on_one_modality: ClassVar[bool] = True

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
