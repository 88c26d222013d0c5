"""The names of one run, which every file that belongs to it states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from avca_pipeline.artifacts.typed_json import STRICT


@dataclass(frozen=True)
class Run:
    """One dataset × split × feature set × text embedding × model × seed.

    Attributes:
        dataset: its name in the config.
        split: its name in the config.
        feature_set: its name in the config.
        text_embedding: its name in the config.
        model: its name in the config.
        seed: of the training.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    dataset: str
    split: str
    feature_set: str
    text_embedding: str
    model: str
    seed: int

    @property
    def path(self) -> str:
        """Where its results lie within the results folder."""
        return (
            f"{self.dataset}/runs/{self.split}/{self.feature_set}/{self.text_embedding}/"
            f"{self.model}/seed{self.seed}"
        )
