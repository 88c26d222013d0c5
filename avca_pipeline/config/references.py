"""Checks that each name which refers to an entry of another section has such an entry.

This looks at what the user wrote, not at the typed config, so that a wrong name is reported
together with the mistakes that keep a config from being typed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from avca_pipeline import registry
from avca_pipeline.config.typed import SECTIONS_OF_EXPERIMENT, Config
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.settings import first_sentence, nearest


def mistakes(config: Any) -> list[str]:
    """Returns one line for each name that has no entry, or an entry of another kind.

    Args:
        config: what the user wrote. Whatever is not as it should be is passed over; the model of
            the config reports it.
    """
    if not isinstance(config, Mapping):
        return []
    return [
        *_missing_sections(config),
        *_missing_features(config),
        *_names_used_twice(config),
        *_wrong_features(config),
        *_wrong_backbones_of_splits(config),
        *_wrong_names_in_experiment(config),
        *_wrong_names_under_apply(config),
    ]


def unknown_backbones_of_splits(config: Config) -> list[str]:
    """Returns one line for each backbone that a split excludes by a key of its own plugin."""
    return [
        f"splits.{name}: {abbreviated(backbone)} is not under backbones; "
        f"{nearest(backbone, config.backbones)}"
        for name, split in config.splits.items()
        for backbone in split.settings.backbones_to_exclude()
        if backbone not in config.backbones
    ]


def means_where_windows_are_needed(config: Config) -> list[str]:
    """Returns one line for each method over time and features of which only means are kept."""
    lines = []
    for run in config.runs():
        over_time = config.models[run.model].module.Settings.over_time
        feature_set = config.feature_sets[run.feature_set]
        for name in feature_set.names.values() if over_time else ():
            section = "imported" if name in config.imported else "backbones"
            if not getattr(config, section)[name].keep_windows:
                lines.append(
                    f"models.{run.model}: looks at clips over time, but of {section}.{name} only "
                    f"means are kept; set {section}.{name}.keep_windows: true"
                )
    return list(dict.fromkeys(lines))


def windows_at_uneven_distances(config: Config) -> list[str]:
    """Returns one line for each method that cuts clips and features that it cannot cut."""
    lines = []
    for run in config.runs():
        candidates = config.models[run.model].candidates.values()
        if not any(settings.needs_steady_hop for settings in candidates):
            continue
        for name in config.feature_sets[run.feature_set].names.values():
            if name in config.backbones and not config.backbones[name].settings.has_steady_hop:
                lines.append(
                    f"models.{run.model}: train_windows and scored_windows cut clips to one "
                    f"length, but windows of backbones.{name} are not equally far apart; set both "
                    "to 0"
                )
    return list(dict.fromkeys(lines))


def _missing_sections(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each section that is needed because there is an experiment."""
    for section in SECTIONS_OF_EXPERIMENT if "experiment" in config else ():
        if section not in config:
            yield f"{section}: is missing; add it: {first_sentence(Config, section)}"


def _missing_features(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("backbones") in (None, {}) and config.get("imported") in (None, {}):
        yield "backbones: is missing; name a video and an audio backbone, or features in imported"


def _names_used_twice(config: Mapping[str, Any]) -> Iterator[str]:
    backbones = {name.lower() for name in _names(config, "backbones")}
    for name in _names(config, "imported"):
        if name.lower() in backbones:
            yield f"imported: {name!r} is the name of a backbone too; rename one"


def _wrong_features(config: Mapping[str, Any]) -> Iterator[str]:
    names = [*_names(config, "backbones"), *_names(config, "imported")]
    for name, feature_set in entries(config, "feature_sets"):
        for modality in ("video", "audio"):
            features = feature_set.get(modality)
            key = f"feature_sets.{name}.{modality}"
            if not isinstance(features, str) or not names:
                continue
            if features not in names:
                yield (
                    f"{key}: {abbreviated(features)} is not under backbones or imported; "
                    f"{nearest(features, names)}"
                )
            elif (other := _modality(config, features)) not in (None, modality):
                yield (f"{key}: {features!r} is a backbone for {other}; name one for {modality}")


def _wrong_backbones_of_splits(config: Mapping[str, Any]) -> Iterator[str]:
    backbones = _names(config, "backbones")
    for name, split in entries(config, "splits"):
        for backbone in texts(split.get("exclude_pretraining_of")):
            if backbone not in backbones:
                yield (
                    f"splits.{name}.exclude_pretraining_of: {abbreviated(backbone)} is not under "
                    f"backbones; {nearest(backbone, backbones)}"
                )


def _wrong_names_in_experiment(config: Mapping[str, Any]) -> Iterator[str]:
    for key, grid in grids(config):
        for section in ("datasets", *SECTIONS_OF_EXPERIMENT):
            choices = _names(config, section)
            for name in texts(grid.get(section)):
                if choices and name not in choices:
                    yield (
                        f"{key}.{section}: {abbreviated(name)} is not under {section}; "
                        f"{nearest(name, choices)}"
                    )


def _wrong_names_under_apply(config: Mapping[str, Any]) -> Iterator[str]:
    sections = {
        "dataset": "datasets",
        "zero_shot": "feature_sets",
        "feature_set": "feature_sets",
        "text_embedding": "text_embeddings",
    }
    for name, entry in entries(config, "apply"):
        for key, section in sections.items():
            written, choices = entry.get(key), _names(config, section)
            if isinstance(written, str) and written not in choices:
                yield (
                    f"apply.{name}.{key}: {abbreviated(written)} is not under {section}; "
                    f"{nearest(written, choices)}"
                )


def _modality(config: Mapping[str, Any], features: str) -> Any:
    """Returns the modality of a backbone or of imported features, as far as the plugin is known."""
    for name, imported in entries(config, "imported"):
        if name == features:
            return imported.get("modality")
    for name, backbone in entries(config, "backbones"):
        plugin = backbone.get("plugin", name)
        if name == features and plugin in registry.names("backbones"):
            with contextlib.suppress(PipelineError):  # which the entry itself reports
                return registry.load("backbones", plugin).MODALITY
    return None


def _names(config: Mapping[str, Any], section: str) -> list[str]:
    entries = config.get(section)
    return texts(list(entries)) if isinstance(entries, Mapping) else []


def grids(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Returns the key of each grid of the experiment, and the grid."""
    experiment = config.get("experiment")
    written = (
        [(f"experiment.{index}", grid) for index, grid in enumerate(experiment)]
        if isinstance(experiment, list)
        else [("experiment", experiment)]
    )
    return ((key, grid) for key, grid in written if isinstance(grid, Mapping))


def entries(config: Mapping[str, Any], section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the entries of a section; one without settings has none."""
    for name in _names(config, section):
        settings = config[section][name]
        if settings is None or isinstance(settings, Mapping):
            yield name, settings or {}


def texts(values: Any) -> list[str]:
    """Returns those values of a list that are texts."""
    return [v for v in values if isinstance(v, str)] if isinstance(values, list | tuple) else []
