"""What CJME and AVGZSLNet have in common: a network each for audio, video and text, into one space.

The networks do not see each other's input: only the losses bring them together. A method takes the
three from `networks`, adds its own parts, and computes its losses from their outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from avca_pipeline.models import Dims, ModelSettings
from avca_pipeline.runtime.lazy import torch

TEXT_HIDDEN = 300
"""Hidden width of the text network, which the published code does not let one choose."""


class TripletSettings(ModelSettings):
    """Hyper-parameters of both methods."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of the optimiser Adam, the classic kind that is added to the gradient."""
    hidden: int = Field(default=1024, ge=1)
    """Width of the hidden layer of the audio network and of the video network."""
    embedding_dim: int = Field(default=64, ge=1)
    """Dimension of the shared space."""
    batch_norm: bool = True
    """Whether the three networks have batch norm."""
    margin: float = Field(default=1.0, ge=0)
    """Margin of all triplet losses."""
    averages_biases: bool = True
    """Which calibration bias is used. ``true`` takes the mean of the biases that are best for the
    distances from audio, from video and from both, as published, even where these have different
    scales. ``false`` takes the bias that is best for the distances that decide.
    """


def networks(
    settings: TripletSettings,
    dims: Dims,
    dropout: float,
    modalities: Sequence[str] = ("audio", "video"),
) -> dict[str, torch.nn.Sequential]:
    """Returns the networks of the modalities and of ``text``, into one space."""
    sizes = {
        "audio": (dims.audio, settings.hidden),
        "video": (dims.video, settings.hidden),
        "text": (dims.text, TEXT_HIDDEN),
    }
    return {
        name: two_layers(dim, hidden, settings.embedding_dim, dropout, settings.batch_norm)
        for name, (dim, hidden) in sizes.items()
        if name in (*modalities, "text")
    }


def two_layers(
    dim_in: int, hidden: int, dim_out: int, dropout: float, batch_norm: bool
) -> torch.nn.Sequential:
    """Returns a linear layer, batch norm if asked for, ReLU, dropout, and a linear layer."""
    nn = torch.nn
    norm = [nn.BatchNorm1d(hidden)] if batch_norm else []
    return nn.Sequential(
        nn.Linear(dim_in, hidden), *norm, nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim_out)
    )
