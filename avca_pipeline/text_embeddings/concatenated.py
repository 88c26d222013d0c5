"""Several text embeddings side by side, as an image tower and an audio tower need them together.

ClipClap (Kurzendoerfer et al., CVPRW 2024) describes classes by the text towers of CLIP and of an
audio model, ``[clip | audio]``, where the features are those of the two models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from avca_pipeline import registry
from avca_pipeline.errors import abbreviated
from avca_pipeline.settings import PluginSettings, error_within, nearest, refusal


class Part(PluginSettings):
    """One of the text embeddings."""

    plugin: str
    """Name of its plugin."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the plugin."""

    @model_validator(mode="after")
    def _is_good(self) -> Self:
        if self.plugin not in registry.names("text_embeddings"):
            names = registry.names("text_embeddings")
            hint = nearest(self.plugin, names)
            raise refusal(f"no plugin {abbreviated(self.plugin)}; {hint}")
        try:
            self.typed()
        except ValidationError as error:
            errors = [
                error_within(("settings",), details) for details in error.errors(include_url=False)
            ]
            raise ValidationError.from_exception_data("settings", errors) from None
        return self

    def typed(self) -> PluginSettings:
        """Returns the plugin's own settings."""
        return registry.load("text_embeddings", self.plugin).Settings(**self.settings)


class Settings(PluginSettings):
    """Text embeddings side by side; each keeps the length of its vectors."""

    parts: tuple[Part, ...] = Field(min_length=2)
    """The text embeddings in the order of their numbers: ``plugin``, and its ``settings``."""

    def look_up(self, cache: Path) -> None:
        """Raises `PipelineError` unless what the parts name exists."""
        for part in self.parts:
            part.typed().look_up(cache)

    def check_names(self, class_names: Sequence[str]) -> None:
        """Raises `PipelineError` unless all parts have a vector of each class."""
        for part in self.parts:
            part.typed().check_names(class_names)

    def shared_spaces(self, cache: Path) -> tuple[str | None, ...]:
        """Returns the spaces of the parts, in their order."""
        return tuple(space for part in self.parts for space in part.typed().shared_spaces(cache))

    def weights_used(self, cache: Path) -> tuple[dict[str, str], ...]:
        """Returns the weights of the parts, in their order."""
        return tuple(used for part in self.parts for used in part.typed().weights_used(cache))

    def with_files(self, cache: Path) -> Self:
        """Returns the settings with local files in all parts."""
        parts = tuple(
            part.model_copy(
                update={"settings": part.typed().with_files(cache).model_dump(exclude_unset=True)}
            )
            for part in self.parts
        )
        return self.model_copy(update={"parts": parts})


def inputs(settings: Settings) -> list[Path]:
    """Returns the files that the parts read."""
    return [
        path
        for part in settings.parts
        for path in registry.load("text_embeddings", part.plugin).inputs(part.typed())
    ]


def describe(settings: Settings) -> str:
    """Returns where the vectors of the parts come from."""
    described = (
        registry.load("text_embeddings", part.plugin).describe(part.typed())
        for part in settings.parts
    )
    return " | ".join(described)


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, dim)`` float32: the vectors of the parts side by side.

    Raises:
        PipelineError: a part has no vector for a class.
    """
    return np.concatenate(
        [
            registry.load("text_embeddings", part.plugin).vectors(part.typed(), class_names)
            for part in settings.parts
        ],
        axis=1,
    )
