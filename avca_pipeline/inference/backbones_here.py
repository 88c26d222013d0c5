"""The backbones of a run on this machine: where their weights are, and if they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone
from avca_pipeline.artifacts.features import Features
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.fetching.weights import RANDOM
from avca_pipeline.requests import ApplyRequest
from avca_pipeline.runtime.sealing import lacks_secrets
from avca_pipeline.transformer_models.settings import NamedModel

PLACES = ("weights", "sha256", "pretraining_classes")
"""Settings that say where a backbone's weights come from, and nothing of its features."""


def placed(backbone: BundledBackbone, file: str | Path | None) -> BundledBackbone:
    """Returns a backbone with its weights where they are on this machine."""
    settings = registry.load("backbones", backbone.plugin).Settings
    key = "model" if issubclass(settings, NamedModel) else "weights"
    for name, value in backbone.settings.items():
        if lacks_secrets(value) and (name != key or file is None):
            given = f"--weights {backbone.name}=FILE" if name == key else "the run's folder"
            raise PipelineError(
                f"backbone {backbone.name}: {name}: the password or token of {value} is not in the "
                f"bundle; give {given}"
            )
    if file is None:
        return backbone
    if backbone.settings.get(key, RANDOM) == RANDOM:
        raise PipelineError(
            f"weights: backbone {backbone.name} has random weights and needs no file, found "
            f"{abbreviated(str(file))}"
        )
    return replace(backbone, settings={**backbone.settings, key: str(file)})


def backbones_of(request: ApplyRequest) -> dict[str, BundledBackbone]:
    """Returns modality to the backbone of the config that makes its features."""
    return {
        modality: BundledBackbone(
            chosen.name, chosen.plugin, chosen.package, request.extract_version, chosen.settings
        )
        for modality, chosen in request.backbones.items()
    }


def with_backbones_of(bundle: Bundle, config: Mapping[str, BundledBackbone], key: str) -> Bundle:
    """Returns a run that has a config's backbones in the place of its own, which are the same.

    Args:
        bundle: of the run.
        config: modality to the backbone of the config; weights are in other places there, perhaps.
        key: of the config, to begin messages with.

    Raises:
        PipelineError: they are not the same.
    """
    own = bundle.description.backbones
    if own.keys() != config.keys():
        raise PipelineError(
            f"{key}: the run was trained on {' and '.join(own)}, found {' and '.join(config)}; "
            "name a feature set of the same modalities"
        )
    placed_here = {}
    for modality, backbone in own.items():
        found = config[modality]
        for name, before, now in _differences(backbone, found):
            raise PipelineError(
                f"{key}: backbones.{found.name}.{name}: found {abbreviated(now)}, and the run was "
                f"trained with {abbreviated(before)}; use that"
            )
        placed_here[modality] = replace(
            found, version=backbone.version, weights=backbone.weights, dim=backbone.dim
        )
    described = replace(bundle.description, backbones=placed_here)
    return replace(bundle, description=described)


def check_features(backbone: BundledBackbone, features: Features) -> None:
    """Raises `PipelineError` unless features were made as those that a run was trained on."""
    stated = features.attributes
    if backbone.weights and stated.get("weights") != backbone.weights:
        raise PipelineError(
            f"backbones.{backbone.name}: the features were made with weights "
            f"{stated.get('weights')}, and the run was trained with {backbone.weights}; bring those"
        )
    if backbone.dim and len(features.clip_ids) and features.features.shape[1] != backbone.dim:
        raise PipelineError(
            f"backbones.{backbone.name}: the features have {features.features.shape[1]} numbers, "
            f"and the run was trained on {backbone.dim}"
        )


def _differences(before: BundledBackbone, now: BundledBackbone) -> list[tuple[str, str, str]]:
    """Returns the settings that make other features: key, value of the run, value of the config."""
    pairs = [("plugin", before.plugin, now.plugin), ("package", before.package, now.package)]
    if before.plugin == now.plugin:
        settings = registry.load("backbones", now.plugin).Settings
        is_named = issubclass(settings, NamedModel)
        places = (*PLACES, "model", "revision") if is_named else PLACES
        names = sorted({*before.settings, *now.settings} - {*places})
        nothing: Any = None
        pairs += [
            (name, before.settings.get(name, nothing), now.settings.get(name, nothing))
            for name in names
        ]
    return [(name, str(one), str(other)) for name, one, other in pairs if one != other]
