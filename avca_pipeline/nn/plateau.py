"""A learning-rate schedule that follows a score.

Written by hand because torch's ``ReduceLROnPlateau`` accepts an optimiser object of torch only, and
so costs the imports that `avca_pipeline.nn.adam` avoids (3.5 s of CPU time a job).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Plateau:
    """Divides a learning rate by ten once a score has not risen for some epochs.

    The rule of torch's ``ReduceLROnPlateau`` with its defaults: a rise counts from 0.01 % on.

    Attributes:
        patience: number of epochs without a rise that are let pass.
        best: the highest score.
        num_flat: number of epochs since the last rise or the last division.
    """

    patience: int
    best: float = -math.inf
    num_flat: int = 0

    FACTOR = 0.1
    RISE = 1e-4
    SMALLEST_CHANGE = 1e-8

    def next(self, learning_rate: float, score: float) -> float:
        """Returns the learning rate for the next epoch."""
        if score > self.best * (1 + self.RISE):
            self.best, self.num_flat = score, 0
        else:
            self.num_flat += 1
        if self.num_flat <= self.patience:
            return learning_rate
        self.num_flat = 0
        lower = learning_rate * self.FACTOR
        return lower if learning_rate - lower > self.SMALLEST_CHANGE else learning_rate

    def may_lower(self, num_scores: int) -> bool:
        """Returns whether so many scores more can lower the learning rate, whatever they are."""
        return self.num_flat + num_scores > self.patience

    def state(self) -> dict[str, float]:
        """Returns the state as numbers."""
        return {"best": self.best, "num_flat": self.num_flat}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.best, self.num_flat = state["best"], state["num_flat"]
