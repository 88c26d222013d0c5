"""Plugins: a vector for each class name.

A text embedding is one file here, or a module that another package registers. `TextEmbedding` says
what it must have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from avca_pipeline.settings import PluginSettings

SettingsT = TypeVar("SettingsT", bound=PluginSettings)


class TextEmbedding(Protocol[SettingsT]):
    """What the module of a text embedding must have."""

    @property
    def Settings(self) -> type[SettingsT]:
        """The class of what the user says about the text embedding."""

    def inputs(self, settings: SettingsT) -> list[Path]:
        """Returns the files that the vectors are read from.

        Args:
            settings: what the user says about the text embedding.
        """

    def vectors(self, settings: SettingsT, class_names: Sequence[str]) -> np.ndarray:
        """Returns ``(classes, dim)`` float32, one row for each name in the order of the names.

        Args:
            settings: what the user says about the text embedding.
            class_names: names of classes, as the dataset spells them.

        Raises:
            PipelineError: a class has no vector, or a file is not what it should be.
        """

    def describe(self, settings: SettingsT) -> str:
        """Returns where the vectors come from, in words for the report.

        Args:
            settings: what the user says about the text embedding.
        """


AnyTextEmbedding: TypeAlias = TextEmbedding[PluginSettings]
"""A text embedding with settings of any type, which only it looks into."""
