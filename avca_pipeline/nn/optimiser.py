"""The optimiser as plain state, and its learning-rate schedule.

torch's optimiser classes import its compiler, which takes longer than a short training run;
the functional form of the same kernel does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from avca_pipeline.runtime.lazy import torch

BETA2, EPSILON = 0.999, 1e-8


@dataclass
class Adam:
    """Adam, Kingma and Ba (ICLR 2015), with weight decay added to the gradient.

    Attributes:
        parameters: what it moves.
        learning_rate: may change between steps.
        weight_decay: factor of the parameters that is added to their gradient.
        beta1: share of the mean gradient that is kept at a step.
    """

    parameters: Sequence[torch.nn.Parameter]
    learning_rate: float
    weight_decay: float = 0.0
    beta1: float = 0.9
    means: list[torch.Tensor] = field(init=False)
    squares: list[torch.Tensor] = field(init=False)
    steps: list[torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [
            torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters
        ]

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        from torch.optim.adam import adam

        rows = [
            (p, p.grad, *rest)
            for p, *rest in zip(self.parameters, self.means, self.squares, self.steps, strict=True)
            if p.grad is not None
        ]
        parameters, gradients, means, squares, steps = (
            list(column) for column in zip(*rows, strict=True)
        )
        with torch.no_grad():
            adam(
                parameters, gradients, means, squares, [], steps,
                fused=True, foreach=False, amsgrad=False, maximize=False,
                beta1=self.beta1, beta2=BETA2, eps=EPSILON,
                lr=self.learning_rate, weight_decay=self.weight_decay,
            )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Returns all of it as tensors and numbers."""
        names = ("learning_rate", "means", "squares", "steps")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up where `state` was."""
        self.learning_rate = state["learning_rate"]
        for name in ("means", "squares", "steps"):
            for tensor, value in zip(getattr(self, name), state[name], strict=True):
                tensor.copy_(value)


@dataclass
class Plateau:
    """Divides a learning rate by ten once a score has not risen for some epochs.

    The rule of torch's ``ReduceLROnPlateau`` with its defaults: a rise counts from 0.01 % on.
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

    def state(self) -> dict[str, float]:
        """Returns all of it as numbers."""
        return {"best": self.best, "num_flat": self.num_flat}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up where `state` was."""
        self.best, self.num_flat = state["best"], state["num_flat"]
