"""From what is stored of a network to the network itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avca_pipeline import registry
from avca_pipeline.config import validated
from avca_pipeline.errors import FormatError
from avca_pipeline.models import AnyModel, Dims, ModelSettings
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.training.fit import make_repeatable


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with the method and the settings that it belongs to."""

    plugin: AnyModel
    settings: ModelSettings
    network: torch.nn.Module


def rebuilt(
    model: str,
    settings: Mapping[str, Any],
    dims: Dims,
    state: Mapping[str, torch.Tensor] | None,
    device: str,
    where: str,
) -> TrainedNetwork:
    """Returns a network with its parameters, on the device.

    Args:
        model: plugin of the method.
        settings: its hyper-parameters.
        dims: sizes of the features and of the text embeddings.
        state: parameters and buffers; ``None`` for a method without any.
        device: ``cpu`` or ``cuda``.
        where: the file, to begin messages with.

    Raises:
        PipelineError: there is no such method, or these are the parameters of another network.
    """
    plugin = registry.load("models", model)
    typed = validated(plugin.Settings, settings, where)
    make_repeatable(device, typed)  # Some methods train a classifier.
    network = plugin.build(typed, dims).to(device)
    if state is not None:
        try:
            network.load_state_dict(dict(state))
        except RuntimeError as error:
            raise FormatError(
                f"{where}: its parameters are those of another network "
                f"({' '.join(str(error).splitlines()[1:2]).strip()})"
            ) from error
    return TrainedNetwork(plugin, typed, network)
