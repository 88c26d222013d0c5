"""A method over time for tests: a linear map of the sum of windows, each as often as it is late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch

from avca_pipeline.models import BatchOverTime, Dims, ModelSettings, Windows, defaults

trainable = defaults.trainable
adapt_to_classes = defaults.adapt_to_classes
embed_classes = defaults.embed_classes
distances = defaults.distances


class Settings(ModelSettings):
    """Nothing to choose."""

    over_time: ClassVar[bool] = True


def build(settings: Settings, dims: Dims) -> torch.nn.Linear:
    """Returns the map."""
    return torch.nn.Linear(dims.video + dims.audio, dims.text, dtype=torch.float64)


def steps(
    settings: Settings, network: torch.nn.Linear, batch: BatchOverTime
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields how far clips are from the text embeddings of their classes."""
    assert len(batch.video.lengths) == settings.batch_size
    assert torch.equal(batch.text, batch.class_text[batch.text_row])
    mapped = embed_clips(settings, network, batch.video, batch.audio)
    yield {"total": (mapped - batch.text).square().mean()}


def embed_clips(
    settings: Settings, network: torch.nn.Linear, video: Windows, audio: Windows
) -> torch.Tensor:
    """Returns the map of each clip's sums."""
    assert len(video.lengths) == len(audio.lengths) <= settings.batch_size
    mapped: torch.Tensor = network(torch.cat([_sums(video), _sums(audio)], dim=1))
    return mapped


def _sums(windows: Windows) -> torch.Tensor:
    weighted = windows.values.double() * (1 + windows.starts_s)[:, None] * windows.hop_s
    return torch.stack([part.sum(dim=0) for part in weighted.split(windows.lengths.tolist())])
