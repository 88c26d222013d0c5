"""The rule by which the golden data's networks were filled, so that no weights need storing."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

import numpy as np
import torch


def filled(
    name: str, shape: tuple[int, ...], seed: int, position: int, gain: float = 1.0
) -> np.ndarray:
    """Returns the values of entry number ``position`` of a state dict."""
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    normal = np.random.default_rng([seed, position]).standard_normal(shape, dtype=np.float32)
    if kind == "running_var":
        return np.float32(1) + np.float32(0.25) * np.abs(normal)
    if kind == "running_mean":
        return np.float32(0.1) * normal
    if kind == "bias":
        return np.float32(0.05) * normal
    if kind == "weight" and len(shape) == 1:
        return np.float32(1) + np.float32(0.1) * normal
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else shape[0]
    return normal * np.float32(gain / np.sqrt(fan_in))


def filled_state(
    golden: dict[str, np.ndarray], network: str, gain: float
) -> dict[str, torch.Tensor]:
    """Returns the whole state dict of one of the networks in ``networks.npz``, checked."""
    state = {}
    for position, (name, shape) in enumerate(
        zip(golden[f"{network}/state_names"], golden[f"{network}/state_shapes"], strict=True)
    ):
        size = ast.literal_eval(str(shape))
        value = filled(str(name), size, int(golden[f"{network}/seed"]), position, gain)
        first = golden[f"{network}/state_first4"][position]
        np.testing.assert_array_equal(value.ravel()[:4], first[: value.size])
        state[str(name)] = torch.from_numpy(value)
    return state


def layer_norms(
    network: torch.nn.Module, run: Callable[[], torch.Tensor]
) -> tuple[torch.Tensor, dict[str, float]]:
    """Returns the output of a run, and the L2 norm of what each named layer last gave out."""
    norms: dict[str, float] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_layer: object, _inputs: object, output: torch.Tensor) -> None:
            norms[name] = float(output.double().norm())

        return hook

    handles = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if name]
    with torch.inference_mode():
        output = run()
    for handle in handles:
        handle.remove()
    return output, norms
