"""Sets of encoders that classify without training, from the config or ready-made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone, BundledText, Description
from avca_pipeline.config import Config, LimitsSettings, validated
from avca_pipeline.config.entries import Entry
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference.class_vectors import input_files
from avca_pipeline.settings import nearest

METHOD = "zero_shot"
BUILT_IN: dict[str, dict[str, Any]] = {
    # Encoders that are on the Hugging Face Hub without a login; 600 MB each.
    "clip-clap": {
        "video": ("transformers_images", {"model": "openai/clip-vit-base-patch32"}),
        "audio": ("transformers_audio", {"model": "laion/clap-htsat-unfused"}),
        "text": (
            {"model": "openai/clip-vit-base-patch32", "templates": "a video of {}"},
            {"model": "laion/clap-htsat-unfused", "templates": "the sound of {}"},
        ),
    },
}
"""Name of a set to the plugin and settings of each modality, and those of the text towers."""


def collect(name: str, config: Config | None, extract_version: int, cache: Path) -> Bundle:
    """Returns a set of encoders, ready to classify.

    Args:
        name: of a set that is built in, or of a feature set of the config that has the space of
            one of its text embeddings.
        config: the user's, if there is one; its names come first.
        extract_version: number of this release's code of extraction.
        cache: where downloads are kept.

    Raises:
        PipelineError: there is no such set, or no text embedding in its space.
    """
    if config is not None and name in config.feature_sets:
        return _of_config(name, config, extract_version, cache)
    if name not in BUILT_IN:
        names = [*BUILT_IN, *(config.feature_sets if config else ())]
        raise PipelineError(
            f"--zero-shot: no set {name!r}, built in or under feature_sets; {nearest(name, names)}"
        )
    chosen = BUILT_IN[name]
    parts = [{"plugin": "transformers_text", "settings": part} for part in chosen["text"]]
    backbones = {
        modality: _backbone(f"{name} {modality}", plugin, settings, extract_version)
        for modality in ("video", "audio")
        for plugin, settings in [chosen[modality]]
    }
    text = _text("concatenated", {"parts": parts})
    return _bundle(name, backbones, text, {}, LimitsSettings())


def _of_config(name: str, config: Config, extract_version: int, cache: Path) -> Bundle:
    chosen = config.feature_sets[name]
    named = {"video": chosen.video, "audio": chosen.audio}
    for modality, backbone in named.items():
        if backbone and backbone not in config.backbones:
            raise PipelineError(
                f"feature_sets.{name}.{modality}: {backbone!r} is imported, and nobody knows what "
                "makes it of a video; name a backbone"
            )
    entries = {modality: config.backbones[of] for modality, of in named.items() if of}
    model: Any = registry.load("models", METHOD)
    kind = "both" if len(entries) == 2 else next(iter(entries))
    settings = {"modalities": kind}
    spaces = {
        modality: entry.settings.shared_spaces(cache)[0] for modality, entry in entries.items()
    }
    possible = model.Settings(**settings).text_spaces(spaces.get("video"), spaces.get("audio"))
    fitting = [
        (of, entry)
        for of, entry in config.text_embeddings.items()
        if None not in (space := entry.settings.shared_spaces(cache)) and space in possible
    ]
    if len(fitting) != 1:
        found = ", ".join(of for of, _ in fitting) or "none of them"
        raise PipelineError(
            f"feature_sets.{name}: one text embedding must be in its space, found {found}; keep "
            "the text towers of its encoders under text_embeddings, and no others of that space"
        )
    backbones = {
        modality: _backbone(
            named[modality], entry.plugin, entry.settings.model_dump(mode="json"), extract_version
        )
        for modality, entry in entries.items()
    }
    entry: Entry[Any, Any] = fitting[0][1]
    text = _text(entry.plugin, entry.settings.model_dump(mode="json"))
    return _bundle(name, backbones, text, settings, config.limits)


def assembled(
    name: str,
    backbones: Mapping[str, BundledBackbone],
    plugin: str,
    settings: Mapping[str, Any],
) -> Bundle:
    """Returns a set of encoders whose parts are known, ready to classify.

    Args:
        name: of the set.
        backbones: modality to what makes its features.
        plugin: of the text embedding in their space.
        settings: of the plugin.
    """
    kind = "both" if len(backbones) == 2 else next(iter(backbones))
    text = _text(plugin, dict(settings))
    return _bundle(name, dict(backbones), text, {"modalities": kind}, LimitsSettings())


def _backbone(
    name: str, plugin: str, settings: dict[str, Any], extract_version: int
) -> BundledBackbone:
    typed = validated(registry.load("backbones", plugin).Settings, settings, f"backbone {name}")
    package = registry.package("backbones", plugin)
    return BundledBackbone(name, plugin, package, extract_version, typed.model_dump(mode="json"))


def _text(plugin: str, settings: dict[str, Any]) -> BundledText:
    module: Any = registry.load("text_embeddings", plugin)
    typed = validated(module.Settings, settings, f"text_embeddings ({plugin})")
    package = registry.package("text_embeddings", plugin)
    return BundledText(plugin, package, settings, tuple(sorted(input_files(module, typed))))


def _bundle(
    name: str,
    backbones: dict[str, BundledBackbone],
    text: BundledText,
    settings: dict[str, Any],
    limits: LimitsSettings,
) -> Bundle:
    described = Description(
        name=name,
        model=METHOD,
        model_package="",
        model_settings=settings,
        bias=0.0,
        class_names=(),
        is_unseen=(),
        backbones=backbones,
        text=text,
        max_pixels=limits.max_pixels,
        max_duration_s=limits.max_duration_s,
    )
    return Bundle(described, {}, {"class_vectors": np.zeros((0, 0), np.float32)})
