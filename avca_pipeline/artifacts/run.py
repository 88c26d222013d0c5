"""The names of one run, which every file that belongs to it states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from avca_pipeline.artifacts.typed_json import STRICT

Modalities: TypeAlias = Literal["both", "video", "audio"]
"""Which modalities a run uses."""
BOTH: Modalities = "both"
ALONE = "+"
"""What precedes a modality that a model uses alone; no name of a model has it."""


@dataclass(frozen=True)
class Run:
    """One dataset × split × feature set × text embedding × model × modalities × seed.

    Attributes:
        dataset: its name in the config.
        split: its name in the config.
        feature_set: its name in the config.
        text_embedding: its name in the config.
        model: its name in the config.
        seed: of the training.
        modalities: which of its feature set it uses.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    dataset: str
    split: str
    feature_set: str
    text_embedding: str
    model: str
    seed: int
    modalities: Modalities = BOTH

    @property
    def model_and_modalities(self) -> str:
        """The model as paths name it, such as ``avca+video``; by itself where it uses both."""
        return self.model if self.modalities == BOTH else f"{self.model}{ALONE}{self.modalities}"

    @property
    def path(self) -> str:
        """Where its results lie within the results folder."""
        return (
            f"{self.dataset}/runs/{self.split}/{self.feature_set}/{self.text_embedding}/"
            f"{self.model_and_modalities}/seed{self.seed}"
        )
