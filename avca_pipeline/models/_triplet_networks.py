"""What CJME and AVGZSLNet share: a network each for audio, video and text."""

from __future__ import annotations

from pydantic import Field

from avca_pipeline.models import Dims, ModelSettings
from avca_pipeline.runtime.lazy import torch

TEXT_HIDDEN = 300
"""Hidden width of the text network, which the published code does not let one choose."""


class TripletSettings(ModelSettings):
    """Hyper-parameters of both methods.

    Attributes:
        weight_decay: of Adam, the classic kind that is added to the gradient.
        hidden: hidden width of the audio and the video network.
        embedding_dim: of the shared space.
        batch_norm: use batch norm in the three networks.
        margin: of all triplet losses.
        averages_biases: use the mean of the biases that suit the distances from audio, from video
            and from both, as published, even where their scales differ. Otherwise the bias that
            suits the distances which decide.
    """

    weight_decay: float = Field(default=0.0, ge=0)
    hidden: int = Field(default=1024, ge=1)
    embedding_dim: int = Field(default=64, ge=1)
    batch_norm: bool = True
    margin: float = Field(default=1.0, ge=0)
    averages_biases: bool = True


def networks(
    settings: TripletSettings, dims: Dims, dropout: float
) -> dict[str, torch.nn.Sequential]:
    """Returns the networks of ``audio``, ``video`` and ``text``, into one space."""
    sizes = {
        "audio": (dims.audio, settings.hidden),
        "video": (dims.video, settings.hidden),
        "text": (dims.text, TEXT_HIDDEN),
    }
    return {
        name: two_layers(dim, hidden, settings.embedding_dim, dropout, settings.batch_norm)
        for name, (dim, hidden) in sizes.items()
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
