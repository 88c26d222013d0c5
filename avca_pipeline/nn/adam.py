"""The optimiser Adam as plain state, around the functional form of torch's own kernel.

Written by hand for the time that its import saves in each job: creating ``torch.optim.Adam``
imports torch's compiler, 880 modules. On two cores that took 3.5 s of CPU time, and 6 to 12 s of
waiting when they were busy, longer than a short training. The functional form takes 4 ms. The
kernel is the same, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avca_pipeline.runtime.lazy import torch

BETA2, EPSILON = 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba, ICLR 2015), with weight decay added to the gradient.

    Attributes:
        parameters: the parameters that it moves.
        weight_decay: factor of the parameters that is added to their gradient.
        beta1: share of the mean gradient that is kept at a step.
        means: running mean of each parameter's gradient.
        squares: running mean of each parameter's squared gradient.
        steps: number of steps of each parameter.
        rate: the learning rate as the kernel reads it. On a GPU it is a tensor, which a step that
            was recorded as a CUDA graph reads anew each time.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        beta1: float = 0.9,
    ) -> None:
        self.parameters = parameters
        self.weight_decay, self.beta1 = weight_decay, beta1
        self.means = [torch.zeros_like(parameter) for parameter in parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in parameters]
        self.steps = [
            torch.zeros((), dtype=torch.float32, device=parameter.device)
            for parameter in parameters
        ]
        self.rate: torch.Tensor | float = learning_rate
        if parameters and parameters[0].is_cuda:
            self.rate = torch.zeros((), dtype=torch.float32, device=parameters[0].device)
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """The learning rate, which may change between steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = value
        if isinstance(self.rate, torch.Tensor):
            self.rate.fill_(value)
        else:
            self.rate = value

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        from torch.optim.adam import adam

        state = zip(self.parameters, self.means, self.squares, self.steps, strict=True)
        rows = [
            (parameter, parameter.grad, mean, square, steps)
            for parameter, mean, square, steps in state
            if parameter.grad is not None
        ]
        parameters, gradients, means, squares, steps = (
            list(column) for column in zip(*rows, strict=True)
        )
        with torch.no_grad():
            adam(
                parameters, gradients, means, squares, [], steps,
                fused=True, foreach=False, amsgrad=False, maximize=False,
                beta1=self.beta1, beta2=BETA2, eps=EPSILON,
                lr=self.rate, weight_decay=self.weight_decay,
            )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Returns the state as tensors and numbers."""
        names = ("learning_rate", "means", "squares", "steps")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.learning_rate = state["learning_rate"]
        for name in ("means", "squares", "steps"):
            for tensor, value in zip(getattr(self, name), state[name], strict=True):
                tensor.copy_(value)
