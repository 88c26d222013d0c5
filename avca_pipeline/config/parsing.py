"""From YAML to the typed config; every mistake is one line that names its key."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from avca_pipeline import registry
from avca_pipeline.config import yaml_files
from avca_pipeline.config.checks import check_references
from avca_pipeline.config.typed import (
    Config,
    DatasetEntry,
    Entry,
    Experiment,
    FeatureSet,
    ImportedFeatures,
    LimitsSettings,
    ModelEntry,
)
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.fetching.youtube import DownloadSettings
from avca_pipeline.models import ModelSettings
from avca_pipeline.registry import Kind
from avca_pipeline.settings import PluginSettings, nearest, whole_path

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*")
MAX_NAME = 100
ENDINGS = (".csv", ".h5", ".html", ".json", ".log", ".pt", ".tar", ".tsv")
"""What our own files end in; a name that ends in one could be taken for a file of another name."""
TAKEN = {"datasets": ("benchmarks", "logs")}
"""Folders of ours beside those that are named in a section."""
MAX_CANDIDATE = 200
MAX_CANDIDATES = 10_000
MAX_RUNS = 100_000
MAX_MISSING = 0.3
"""Share of a split's clips that may be missing, unless ``datasets.<name>.max_missing`` differs."""

Model = TypeVar("Model", bound=PluginSettings)


def load(path: Path) -> Config:
    """Reads and checks a config file.

    Raises:
        PipelineError: see `parse`; or the file is missing or no YAML.
    """
    return parse(yaml_files.read(path))


def parse(raw: Any) -> Config:
    """Checks a config and returns it typed.

    Raises:
        PipelineError: one line that names the first wrong key, what was found, and what would be
            right; for an unknown key the nearest known one.
    """
    known = (
        "results",
        "cache",
        "jobs_per_gpu",
        "limits",
        "download",
        "imported",
        "experiment",
        "feature_sets",
        *registry.KINDS,
    )
    raw = _mapping(raw, "config", known)
    optional = "backbones" if "imported" in raw else "imported"
    raw = {optional: None} | raw
    for key in ("experiment", "feature_sets", *registry.KINDS):
        if key not in raw:
            raise PipelineError(f"config: {key!r} is missing")
    datasets, num_shards, max_missing = _datasets(raw["datasets"])
    grids, models = _models(raw["models"])
    config = Config(
        results=_results(raw),
        cache=_path(raw, "cache", "~/.cache/avca_pipeline"),
        jobs_per_gpu=_count(raw.get("jobs_per_gpu", 1), "jobs_per_gpu"),
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
        found = (
            "" if isinstance(first["input"], dict) else f" (found {abbreviated(first['input'])})"
        )
        raise PipelineError(f"{key}: {message}{found}") from error


def _mapping(raw: Any, where: str, known: Any) -> dict[str, Any]:
    """Returns ``raw`` as a dict whose keys are all known."""
    raw = {} if raw is None else raw
    if not isinstance(raw, Mapping):
        raise PipelineError(f"{where}: expected keys and values, found {abbreviated(raw)}")
    for key in raw:
        if key not in known:
            raise PipelineError(
                f"{where}: unknown key {abbreviated(key)}; {nearest(str(key), known)}"
            )
    return dict(raw)


def _named(raw: dict[str, Any], key: str, optional: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the entries of a section, whose names become parts of paths."""
    section = raw[key]
    if key == optional and section is None:
        return
    if not isinstance(section, Mapping) or not section:
        raise PipelineError(
            f"{key}: expected names with their settings, found {abbreviated(section)}"
        )
    spelled: dict[str, str] = {}
    for name, value in section.items():
        _check_name(key, name)
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            raise PipelineError(
                f"{key}: {other!r} and {name!r} differ in capitals alone, and some file systems "
                "make no difference between the two; rename one"
            )
        yield name, value


def _check_name(key: str, name: Any) -> None:
    """Raises `PipelineError` for what cannot be a part of all paths that it becomes a part of."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PipelineError(
            f"{key}: {abbreviated(name)} cannot be a name; use letters, digits, '.', '_' and '-', "
            "a letter or a digit first, and no '.' at the end or beside another"
        )
    if len(name) > MAX_NAME:
        raise PipelineError(f"{key}: {abbreviated(name)} is longer than {MAX_NAME} characters")
    if name.lower().endswith(ENDINGS) or name.lower() in TAKEN.get(key, ()):
        raise PipelineError(
            f"{key}: {name!r} cannot be a name, because files or folders of the results are "
            "called so; choose another"
        )


def _path(raw: dict[str, Any], key: str, default: str) -> str:
    value = raw.get(key, default)
    if not isinstance(value, str) or not value or re.search(r"[{}<>\s\x00-\x1f\x7f]", value):
        raise PipelineError(
            f"{key}: expected a path without spaces, braces and angle brackets, "
            f"found {abbreviated(value)}"
        )
    if value.startswith("-"):
        raise PipelineError(
            f"{key}: {abbreviated(value)} would be taken for an option; write the whole path"
        )
    try:
        whole_path(Path(value))
    except ValueError as error:
        raise PipelineError(f"{key}: {error} (found {abbreviated(value)})") from error
    return value


def _results(raw: dict[str, Any]) -> str:
    """Returns the folder of the results as Snakemake writes it, who compares paths as texts."""
    value = _path(raw, "results", "results")
    if value.startswith("~"):
        raise PipelineError(
            f"results: {abbreviated(value)}: '~' is another folder for whoever runs this; "
            "write the whole path"
        )
    normal = os.path.normpath(value)
    if normal in (".", "/", "//") or Path(normal).parts[0] == ".snakemake":
        raise PipelineError(
            f"results: {abbreviated(value)} cannot be the folder of results; name another"
        )
    if normal != value:
        raise PipelineError(f"results: found {abbreviated(value)}; write {abbreviated(normal)}")
    return value


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 99_999:
        raise PipelineError(
            f"{where}: expected a whole number from 1 on, found {abbreviated(value)}"
        )
    return value


def _entry(folder: Kind, name: str, raw: Any) -> Entry[Any, Any]:
    """Returns a plugin entry; the plugin is the one of the same name unless ``plugin`` says so."""
    raw = dict(raw) if isinstance(raw, Mapping) else raw
    plugin = raw.pop("plugin", name) if isinstance(raw, dict) else name
    if plugin not in registry.names(folder):
        raise PipelineError(
            f"{folder}.{name}: no plugin {abbreviated(plugin)}; "
            f"{nearest(str(plugin), registry.names(folder))}"
        )
    module = registry.load(folder, plugin)
    return Entry(name, plugin, checked(module.Settings, raw, f"{folder}.{name}"), module)


def _entries(raw: dict[str, Any], folder: Kind, optional: str = "") -> dict[str, Entry[Any, Any]]:
    return {name: _entry(folder, name, value) for name, value in _named(raw, folder, optional)}


def _datasets(section: Any) -> tuple[dict[str, DatasetEntry], dict[str, int], dict[str, float]]:
    """Returns the entry, the number of shards and the share of missing clips of each dataset."""
    entries: dict[str, DatasetEntry] = {}
    num_shards: dict[str, int] = {}
    max_missing: dict[str, float] = {}
    for name, value in _named({"datasets": section}, "datasets"):
        rest = dict(value) if isinstance(value, Mapping) else value
        number = rest.pop("num_shards", 1) if isinstance(rest, dict) else 1
        share = rest.pop("max_missing", MAX_MISSING) if isinstance(rest, dict) else MAX_MISSING
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise PipelineError(
                f"datasets.{name}.max_missing: expected a share from 0 to 1, "
                f"found {abbreviated(share)}"
            )
        num_shards[name] = _count(number, f"datasets.{name}.num_shards")
        max_missing[name] = float(share)
        entries[name] = _entry("datasets", name, rest)
    return entries, num_shards, max_missing


def _models(section: Any) -> tuple[dict[str, dict[str, ModelSettings]], dict[str, ModelEntry]]:
    """Returns each model's candidates, one for each combination under ``search``, and its entry."""
    grids: dict[str, dict[str, ModelSettings]] = {}
    entries: dict[str, ModelEntry] = {}
    for name, value in _named({"models": section}, "models"):
        rest = dict(value) if isinstance(value, Mapping) else value
        search = rest.pop("search", {}) if isinstance(rest, dict) else {}
        entry = entries[name] = _entry("models", name, rest)
        where = f"models.{name}.search"
        search = _mapping(search, where, type(entry.settings).model_fields)
        for key, values in search.items():
            if not isinstance(values, list) or not values:
                raise PipelineError(
                    f"{where}.{key}: expected a list of values, found {abbreviated(values)}"
                )
        base = entry.settings.model_dump(exclude_unset=True)
        num_candidates = math.prod(map(len, search.values()))
        if num_candidates > MAX_CANDIDATES:
            raise PipelineError(
                f"{where}: stands for {num_candidates} candidates; {MAX_CANDIDATES} are the most"
            )
        grids[name] = {}
        for values in itertools.product(*search.values()):
            chosen = dict(zip(search, values, strict=True))
            candidate = "-".join(f"{key}={value}" for key, value in chosen.items()) or "default"
            if not re.fullmatch(r"[A-Za-z0-9._=+-]+", candidate):
                raise PipelineError(f"{where}: {abbreviated(candidate)} cannot be part of a path")
            if len(candidate) > MAX_CANDIDATE:
                raise PipelineError(
                    f"{where}: {abbreviated(candidate)} becomes the name of a folder and is longer "
                    f"than {MAX_CANDIDATE} characters; search over fewer keys at a time"
                )
            grids[name][candidate] = checked(type(entry.settings), {**base, **chosen}, where)
    return grids, entries


def _experiments(section: Any) -> tuple[Experiment, ...]:
    """Returns the grids; ``section`` is one, or a list of them."""
    if section == []:
        raise PipelineError("experiment: expected a grid or a list of grids, found []")
    grids = (
        tuple(checked(Experiment, one, f"experiment.{index}") for index, one in enumerate(section))
        if isinstance(section, list)
        else (checked(Experiment, section, "experiment"),)
    )
    keys = Experiment.model_fields
    num_runs = sum(math.prod(len(getattr(grid, key)) for key in keys) for grid in grids)
    if num_runs > MAX_RUNS:
        raise PipelineError(f"experiment: stands for {num_runs} runs; {MAX_RUNS} are the most")
    return grids
