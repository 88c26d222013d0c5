"""Functions that most backbones share; a backbone imports what fits. It is no plugin."""

from __future__ import annotations

from avca_pipeline.fetching.weights import WeightsSettings


def published(settings: WeightsSettings) -> None:
    """Returns nothing: ``weights: published`` stands for no weights."""


def pretraining_classes(settings: WeightsSettings) -> tuple[str, ...] | None:
    """Returns the classes that the user has named, none for random weights, else ``None``."""
    return settings.stated_classes()
