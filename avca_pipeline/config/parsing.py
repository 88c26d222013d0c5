"""From YAML to the typed config; every mistake is one line that names its key."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from avca_pipeline import registry
from avca_pipeline.config.checks import check_references
from avca_pipeline.config.typed import (
    Config,
    Entry,
    Experiment,
    FeatureSet,
    ImportedFeatures,
    LimitsSettings,
)
from avca_pipeline.downloads import DownloadSettings
from avca_pipeline.errors import PipelineError
from avca_pipeline.registry import PluginSettings, nearest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_MISSING = 0.3
"""Share of a split's clips that may be missing, unless ``datasets.<name>.max_missing`` differs."""

Model = TypeVar("Model", bound=PluginSettings)


def load(path: Path) -> Config:
    """Reads and checks a config file.

    Raises:
        PipelineError: see `parse`; or the file is missing or no YAML.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PipelineError(
            f"{path}: cannot be read as YAML ({' '.join(str(error).split())})"
        ) from error
    return parse(raw)


def parse(raw: Any) -> Config:
    """Checks a config and returns it typed.

    Raises:
        PipelineError: one line that names the first wrong key, what was found, and what would be
            right; for an unknown key the nearest known one.
    """
    known = (
        "results",
        "cache",
        "limits",
        "download",
        "imported",
        "experiment",
        "feature_sets",
        *registry.FOLDERS,
    )
    raw = _mapping(raw, "config", known)
    optional = "backbones" if "imported" in raw else "imported"
    raw = {optional: None} | raw
    for key in ("experiment", "feature_sets", *registry.FOLDERS):
        if key not in raw:
            raise PipelineError(f"config: {key!r} is missing")
    datasets, num_shards, max_missing = _datasets(raw["datasets"])
    grids, models = _models(raw["models"])
    config = Config(
        results=_text(raw, "results", "results"),
        cache=_text(raw, "cache", "~/.cache/avca_pipeline"),
        limits=checked(LimitsSettings, raw.get("limits", {}), "limits"),
        download=checked(DownloadSettings, raw.get("download", {}), "download"),
        datasets=datasets,
        num_shards=num_shards,
        max_missing=max_missing,
        backbones=_entries(raw, "backbones", optional),
        imported={
            name: checked(ImportedFeatures, value, f"imported.{name}")
            for name, value in _named(raw, "imported", optional)
        },
        feature_sets={
            name: checked(FeatureSet, value, f"feature_sets.{name}")
            for name, value in _named(raw, "feature_sets")
        },
        text_embeddings=_entries(raw, "text_embeddings"),
        splits=_entries(raw, "splits"),
        models=models,
        candidates=grids,
        experiments=_experiments(raw["experiment"]),
    )
    check_references(config)
    return config


def checked(kind: type[Model], raw: Any, where: str) -> Model:
    """Returns ``raw`` as a settings object.

    Raises:
        PipelineError: one line naming ``where`` and the first wrong key.
    """
    raw = _mapping(raw, where, kind.model_fields)
    try:
        return kind(**raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where, *(str(part) for part in first["loc"])])
        if first["type"] == "missing":
            raise PipelineError(f"{key}: is missing") from error
        message = first["msg"].removeprefix("Value error, ")
        found = "" if isinstance(first["input"], dict) else f" (found {first['input']!r})"
        raise PipelineError(f"{key}: {message}{found}") from error


def _mapping(raw: Any, where: str, known: Any) -> dict[str, Any]:
    """Returns ``raw`` as a dict whose keys are all known."""
    raw = {} if raw is None else raw
    if not isinstance(raw, Mapping):
        raise PipelineError(f"{where}: expected keys and values, found {raw!r}")
    for key in raw:
        if key not in known:
            raise PipelineError(f"{where}: unknown key {key!r}; {nearest(str(key), known)}")
    return dict(raw)


def _named(raw: dict[str, Any], key: str, optional: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the entries of a section, whose names become parts of paths."""
    section = raw[key]
    if key == optional and section is None:
        return
    if not isinstance(section, Mapping) or not section:
        raise PipelineError(f"{key}: expected names with their settings, found {section!r}")
    for name, value in section.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PipelineError(
                f"{key}: {name!r} cannot be a name; use letters, digits, '.', '_' and '-'"
            )
        yield name, value


def _text(raw: dict[str, Any], key: str, default: str) -> str:
    value = raw.get(key, default)
    if not isinstance(value, str) or not value.strip() or re.search(r"[{}\s]", value):
        raise PipelineError(f"{key}: expected a path without spaces and braces, found {value!r}")
    return value


def _entry(folder: str, name: str, raw: Any) -> Entry:
    """Returns a plugin entry; the plugin is the one of the same name unless ``plugin`` says so."""
    raw = dict(raw) if isinstance(raw, Mapping) else raw
    plugin = raw.pop("plugin", name) if isinstance(raw, dict) else name
    if plugin not in registry.names(folder):
        raise PipelineError(
            f"{folder}.{name}: no plugin {plugin!r}; {nearest(str(plugin), registry.names(folder))}"
        )
    module = registry.load(folder, plugin)
    return Entry(name, plugin, checked(module.Settings, raw, f"{folder}.{name}"), module)


def _entries(raw: dict[str, Any], folder: str, optional: str = "") -> dict[str, Entry]:
    return {name: _entry(folder, name, value) for name, value in _named(raw, folder, optional)}


def _datasets(section: Any) -> tuple[dict[str, Entry], dict[str, int], dict[str, float]]:
    """Returns the entry, the number of shards and the share of missing clips of each dataset."""
    entries: dict[str, Entry] = {}
    num_shards: dict[str, int] = {}
    max_missing: dict[str, float] = {}
    for name, value in _named({"datasets": section}, "datasets"):
        rest = dict(value) if isinstance(value, Mapping) else value
        number = rest.pop("num_shards", 1) if isinstance(rest, dict) else 1
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 99_999:
            raise PipelineError(
                f"datasets.{name}.num_shards: expected a whole number from 1 on, found {number!r}"
            )
        share = rest.pop("max_missing", MAX_MISSING) if isinstance(rest, dict) else MAX_MISSING
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise PipelineError(
                f"datasets.{name}.max_missing: expected a share from 0 to 1, found {share!r}"
            )
        num_shards[name], max_missing[name] = number, float(share)
        entries[name] = _entry("datasets", name, rest)
    return entries, num_shards, max_missing


def _models(section: Any) -> tuple[dict[str, dict[str, PluginSettings]], dict[str, Entry]]:
    """Returns each model's candidates, one for each combination under ``search``, and its entry."""
    grids: dict[str, dict[str, PluginSettings]] = {}
    entries: dict[str, Entry] = {}
    for name, value in _named({"models": section}, "models"):
        rest = dict(value) if isinstance(value, Mapping) else value
        search = rest.pop("search", {}) if isinstance(rest, dict) else {}
        entry = entries[name] = _entry("models", name, rest)
        where = f"models.{name}.search"
        search = _mapping(search, where, type(entry.settings).model_fields)
        for key, values in search.items():
            if not isinstance(values, list) or not values:
                raise PipelineError(f"{where}.{key}: expected a list of values, found {values!r}")
        base = entry.settings.model_dump(exclude_unset=True)
        grids[name] = {}
        for values in itertools.product(*search.values()):
            chosen = dict(zip(search, values, strict=True))
            candidate = "-".join(f"{key}={value}" for key, value in chosen.items()) or "default"
            if not re.fullmatch(r"[A-Za-z0-9._=+-]+", candidate):
                raise PipelineError(f"{where}: {candidate!r} cannot be part of a path")
            grids[name][candidate] = checked(type(entry.settings), {**base, **chosen}, where)
    return grids, entries


def _experiments(section: Any) -> tuple[Experiment, ...]:
    """Returns the grids; ``section`` is one, or a list of them."""
    if not isinstance(section, list):
        return (checked(Experiment, section, "experiment"),)
    if not section:
        raise PipelineError("experiment: expected a grid or a list of grids, found []")
    return tuple(
        checked(Experiment, grid, f"experiment.{index}") for index, grid in enumerate(section)
    )
