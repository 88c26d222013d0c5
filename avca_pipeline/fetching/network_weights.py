"""Gives a network its parameters: from a file, without running code that is in it, or at random."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.checkpoint import check_size
from avca_pipeline.artifacts.pickled_arrays import MEANINGS, PickledArray, PickledType
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.pinned import forget
from avca_pipeline.fetching.weights import PublishedWeights, WeightsSettings, obtain_weights
from avca_pipeline.runtime.lazy import torch


def read_state_dict(path: Path) -> dict[str, Any]:
    """Returns the tensors of a state dict file; never runs code from it.

    Of a training checkpoint, the entry ``state_dict`` or ``model`` is read. The prefix ``module.``
    of data-parallel training is removed. Arrays of NumPy, such as those of VGGish's PCA, become
    tensors.

    Raises:
        PipelineError: the file is damaged or would need code to load.
    """
    try:
        check_size(path)
        with torch.serialization.safe_globals(_numpy_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise PipelineError(
            f"weights {path}: holds more than tensors, and loading that could run code; "
            "open it where you trust it and save its state_dict alone"
        ) from error
    except Exception as error:  # Damaged files make the unpickler raise errors of any type.
        raise PipelineError(f"weights {path}: damaged or not a PyTorch file") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise PipelineError(f"weights {path}: no state dict in it but a {type(content).__name__}")
    try:
        return {
            str(name).removeprefix("module."): (
                torch.as_tensor(value.numbers()) if isinstance(value, PickledArray) else value
            )
            for name, value in content.items()
        }
    except (TypeError, ValueError) as error:
        raise PipelineError(f"weights {path}: damaged or not numbers ({error})") from error


def _numpy_globals() -> list[Any]:
    """Returns the classes that stand in for NumPy's while arrays of numbers are read."""
    named = [(meaning, f"{module}.{name}") for (module, name), meaning in MEANINGS.items()]
    return [*named, PickledArray, PickledType]


def load_weights(
    network: torch.nn.Module,
    settings: WeightsSettings,
    cache: Path,
    *,
    published: PublishedWeights | None = None,
    prefix: str = "",
    rename: Callable[[str], str] = lambda name: name,
    unused: Callable[[str], bool] = lambda name: False,
) -> str:
    """Gives a network its parameters and returns what they are: a SHA-256 or ``random:<seed>``.

    Args:
        network: filled in place, put into eval mode and into the settings' precision.
        settings: where the parameters come from.
        cache: where downloads are kept.
        published: what the backbone's authors publish.
        prefix: what the file puts before the names of this network's parameters.
        rename: gives this network's name for a name in the file, where files of several layouts
            are published.
        unused: whether a name that the file has and the network does not need is expected, such
            as a classifier's.

    Raises:
        PipelineError: the file is not this network's.
    """
    if settings.is_random:
        init_random(network, settings.seed)
        what = f"random:{settings.seed}"
    else:
        path, what = obtain_weights(settings.weights, settings.sha256, cache, published)
        state = {
            rename(name.removeprefix(prefix)): value
            for name, value in _loaded(path, cache).items()
            if not unused(name)
        }
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise PipelineError(
                f"weights {path}: not the weights of this network ({' '.join(lines[1:2]).strip()})"
            ) from error
    freeze(network, settings)
    return what


def freeze(network: torch.nn.Module, settings: WeightsSettings) -> torch.nn.Module:
    """Returns a network in eval mode, without gradients, in the settings' precision."""
    network.eval().requires_grad_(False)
    return network.to(torch.bfloat16) if settings.precision == "bf16" else network


def state_sha256(network: torch.nn.Module) -> str:
    """Returns the SHA-256 of a network's parameters, for weights that come without a file."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _loaded(path: Path, cache: Path) -> dict[str, Any]:
    """Returns the tensors of a file; a download without any is removed, and so is its pin."""
    try:
        return read_state_dict(path)
    except PipelineError:
        if path.parent == cache.expanduser():
            forget(path)
        raise


def init_random(network: torch.nn.Module, seed: int) -> None:
    """Fills weights with He et al.'s (2015) normal initialisation, biases with zero.

    This keeps the scale of the activations through many ReLU layers, so that the last layer of a
    random network still depends on its input. Normalisation layers keep their initial values.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                fan_in = math.prod(parameter.shape[1:])
                parameter.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
