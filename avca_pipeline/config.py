"""The typed config: what a user may choose, checked before anything runs.

Plugins declare their own settings; this module joins them, checks that they fit together, and
says for each stage which part of the config its result depends on (`settings_of`). That part is
all a stage gets to see, and its change is what makes a result stale.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator

from avca_pipeline import downloads, registry
from avca_pipeline.downloads import DownloadSettings
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import Limits
from avca_pipeline.official import layout
from avca_pipeline.registry import PluginSettings, nearest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_MISSING = 0.3
"""Share of a split's clips that may be missing, unless ``datasets.<name>.max_missing`` differs."""

Model = TypeVar("Model", bound=PluginSettings)


class LimitsSettings(PluginSettings):
    """What a clip may cost at most; one that costs more is rejected.

    Attributes:
        max_pixels: of one frame.
        max_duration_s: of one clip.
    """

    max_pixels: int = Field(default=8192 * 4320, ge=1)
    max_duration_s: float = Field(default=3600.0, gt=0)

    def limits(self) -> Limits:
        """Returns them for the decoders."""
        return Limits(self.max_pixels, self.max_duration_s)


class ImportedFeatures(PluginSettings):
    """Features that were made elsewhere, in the published layout.

    Attributes:
        modality: ``video`` or ``audio``.
        path: the folder that ``video/`` and ``audio/`` are in, with
            ``<modality>/<stage>/<class>.h5`` below it.
    """

    modality: Literal["video", "audio"]
    path: Path


class FeatureSet(PluginSettings):
    """A named pair of backbones, or of imported features in their place.

    Attributes:
        video: name of a video backbone, or under ``imported``.
        audio: name of an audio backbone, or under ``imported``.
        scaling: ``none`` as published, or ``standard``: each dimension gets mean 0 and variance
            1 over the clips trained on.
    """

    video: str
    audio: str
    scaling: Literal["none", "standard"] = "none"


class Experiment(PluginSettings):
    """A grid of runs: one for each combination.

    An experiment may also be a list of grids, where not everything goes with everything.

    Attributes:
        datasets: names under ``datasets``.
        feature_sets: names under ``feature_sets``.
        text_embeddings: names under ``text_embeddings``.
        splits: names under ``splits``.
        models: names under ``models``.
        seeds: of training; the report gives mean and standard deviation over them.
    """

    datasets: tuple[str, ...]
    feature_sets: tuple[str, ...]
    text_embeddings: tuple[str, ...]
    splits: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)

    @field_validator("*")
    @classmethod
    def _listed_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) != len(values):
            raise ValueError("list at least one, and each once")
        return values


@dataclass(frozen=True)
class Entry:
    """A named use of a plugin."""

    name: str
    plugin: str
    settings: PluginSettings
    module: ModuleType


@dataclass(frozen=True)
class Run:
    """One dataset × split × feature set × text embedding × model × seed."""

    dataset: str
    split: str
    feature_set: str
    text_embedding: str
    model: str
    seed: int

    @property
    def path(self) -> str:
        """Where its results lie within the results folder."""
        return (
            f"{self.dataset}/runs/{self.split}/{self.feature_set}/{self.text_embedding}/"
            f"{self.model}/seed{self.seed}"
        )


@dataclass(frozen=True)
class Config:
    """A config that has passed every check that needs no media."""

    results: str
    cache: str
    jobs_per_gpu: int
    limits: LimitsSettings
    download: DownloadSettings
    datasets: dict[str, Entry]
    num_shards: dict[str, int]
    max_missing: dict[str, float]
    backbones: dict[str, Entry]
    imported: dict[str, ImportedFeatures]
    feature_sets: dict[str, FeatureSet]
    text_embeddings: dict[str, Entry]
    splits: dict[str, Entry]
    models: dict[str, Entry]
    candidates: dict[str, dict[str, PluginSettings]]
    experiments: tuple[Experiment, ...]

    def runs(self) -> list[Run]:
        """Returns all runs of the experiment, each once."""
        combinations = itertools.chain.from_iterable(
            itertools.product(
                e.datasets, e.splits, e.feature_sets, e.text_embeddings, e.models, e.seeds
            )
            for e in self.experiments
        )
        return [Run(*combination) for combination in dict.fromkeys(combinations)]

    def used(self, key: str) -> list[str]:
        """Returns the names that the experiment lists under one of its keys, each once."""
        return list(dict.fromkeys(name for e in self.experiments for name in getattr(e, key)))

    def used_splits(self) -> list[tuple[str, str]]:
        """Returns each dataset with each of the splits that it is used with."""
        return list(dict.fromkeys((run.dataset, run.split) for run in self.runs()))

    def used_features(self) -> list[tuple[str, str]]:
        """Returns each dataset with each of its backbones and imported features."""
        sets = [(run.dataset, self.feature_sets[run.feature_set]) for run in self.runs()]
        return sorted({(dataset, name) for dataset, s in sets for name in (s.video, s.audio)})

    def used_backbones(self) -> list[str]:
        """Returns the names of the backbones and imported features that the experiment uses."""
        return sorted({name for _, name in self.used_features()})

    def used_with(self, split: str, dataset: str = "") -> list[str]:
        """Returns the names of the backbones and imported features that a split is used with."""
        runs = [r for r in self.runs() if r.split == split and r.dataset == (dataset or r.dataset)]
        sets = [self.feature_sets[run.feature_set] for run in runs]
        return sorted({name for s in sets for name in (s.video, s.audio)})

    def text_embeddings_with(self, split: str, dataset: str) -> list[str]:
        """Returns the names of the text embeddings that a dataset's split is used with."""
        runs = [run for run in self.runs() if (run.split, run.dataset) == (split, dataset)]
        return sorted({run.text_embedding for run in runs})

    def pretraining_lists(self, split: str) -> list[Path]:
        """Returns the files that say which classes the backbones of a split were trained on."""
        parts = _pretrained_backbones(self, split)
        files = [
            getattr(self.backbones[name].settings, "pretraining_classes", None)
            for name, part in parts.items()
            if part is not None
        ]
        return sorted({Path(file).expanduser() for file in files if file})

    def with_media(self) -> list[str]:
        """Returns the datasets of which any features are extracted here."""
        used = self.used_features()
        return sorted({dataset for dataset, name in used if name in self.backbones})


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
        "jobs_per_gpu",
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
    _check_references(config)
    return config


def check_inputs(config: Config) -> None:
    """Raises `PipelineError` if a file or folder that the experiment reads is not there."""
    for name in config.used("datasets"):
        entry = config.datasets[name]
        entry.module.inputs(entry.settings)
        if getattr(entry.settings, "download", False):
            downloads.check(config.download)
    for name in config.used("text_embeddings"):
        entry = config.text_embeddings[name]
        for path in entry.module.inputs(entry.settings):
            if not path.is_file():
                raise PipelineError(f"text_embeddings.{name}: {path}: no such file")
    for name in config.used("splits"):
        config.splits[name].module.inputs(config.splits[name].settings)
    for name in config.used_backbones():
        if name in config.imported:
            layout.stage_folders(config.imported[name].path, config.imported[name].modality)
            continue
        settings: Any = config.backbones[name].settings
        for key, path in settings.local_files().items():
            if not path.is_file():
                raise PipelineError(f"backbones.{name}.{key}: {path}: no such file")


def settings_of(config: Config, stage: str, name: str = "", **more: Any) -> str:
    """Returns, as canonical JSON, the part of the config that a stage's result depends on.

    Devices, workers and batch sizes are no part of it: they change how fast a result comes, not
    what it is.

    Args:
        config: the config.
        stage: name of a stage.
        name: which dataset, backbone, text embedding, split or model.
        more: what else decides the result, such as a candidate or a seed.
    """
    part: dict[str, Any] = dict(more)
    if stage in ("manifest", "fetch"):
        part |= _plugin_part(config.datasets[name])
    elif stage == "extract":
        part |= _plugin_part(config.backbones[name])
        part["limits"] = config.limits.model_dump(mode="json")
    elif stage == "embed":
        part |= _plugin_part(config.text_embeddings[name])
    elif stage == "split":
        part |= _plugin_part(config.splits[name])
        part["backbones"] = _pretrained_backbones(config, name)
    elif stage == "audit":
        part |= _plugin_part(config.splits[name])
        part["max_missing"] = config.max_missing[part.pop("dataset")]
    elif stage == "export":
        chosen: Any = config.splits[name].settings
        dataset = part.pop("dataset")
        part["benchmark"] = getattr(chosen, "benchmark", dataset)
        part["lists"] = getattr(chosen, "lists", "main")
    elif stage == "import":
        part["settings"] = config.imported[name].model_dump(mode="json")
    elif stage == "train":
        entry = config.models[name]
        part |= {"plugin": entry.plugin}
        part["scaling"] = config.feature_sets[part.pop("feature_set")].scaling
        if "candidate" in part:
            part["candidates"] = {
                part["candidate"]: _dump(config.candidates[name][part.pop("candidate")])
            }
        else:
            part["candidates"] = {k: _dump(v) for k, v in config.candidates[name].items()}
    return canonical(part)


def canonical(value: Any) -> str:
    """Returns JSON that is equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


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


def _pretrained_backbones(config: Config, split: str) -> dict[str, dict[str, Any] | None]:
    """Returns the backbones that may have seen classes of a split; ``None`` if imported."""
    excluded = getattr(config.splits[split].settings, "exclude_pretraining_of", ())
    parts: dict[str, dict[str, Any] | None] = {}
    for name in sorted({*excluded, *config.used_with(split)}):
        settings: Any = config.backbones[name].settings if name in config.backbones else None
        if settings is None:
            parts[name] = None
        elif not settings.is_random or settings.pretraining_classes:
            parts[name] = _plugin_part(config.backbones[name])
    return parts


def _plugin_part(entry: Entry) -> dict[str, Any]:
    return {"plugin": entry.plugin, "settings": _dump(entry.settings)}


def _dump(settings: PluginSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


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


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 99_999:
        raise PipelineError(f"{where}: expected a whole number from 1 on, found {value!r}")
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
        share = rest.pop("max_missing", MAX_MISSING) if isinstance(rest, dict) else MAX_MISSING
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise PipelineError(
                f"datasets.{name}.max_missing: expected a share from 0 to 1, found {share!r}"
            )
        num_shards[name] = _count(number, f"datasets.{name}.num_shards")
        max_missing[name] = float(share)
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


def _check_references(config: Config) -> None:
    for name in config.imported:
        if name in config.backbones:
            raise PipelineError(f"imported: {name!r} is the name of a backbone too")
    for key in ("datasets", "feature_sets", "text_embeddings", "splits", "models"):
        known = getattr(config, key)
        for name in config.used(key):
            if name not in known:
                raise PipelineError(
                    f"experiment.{key}: {name!r} is not under {key}; {nearest(name, known)}"
                )
    for name, split in config.splits.items():
        for backbone in getattr(split.settings, "exclude_pretraining_of", ()):
            if backbone not in config.backbones:
                raise PipelineError(
                    f"splits.{name}.exclude_pretraining_of: {backbone!r} is not under backbones; "
                    f"{nearest(backbone, config.backbones)}"
                )
    for name, feature_set in config.feature_sets.items():
        for modality in ("video", "audio"):
            where = f"feature_sets.{name}.{modality}"
            _check_modality(config, where, modality, getattr(feature_set, modality))


def _check_modality(config: Config, where: str, modality: str, name: str) -> None:
    if name in config.imported:
        found = config.imported[name].modality
    elif name in config.backbones:
        found = config.backbones[name].module.MODALITY
    else:
        raise PipelineError(
            f"{where}: {name!r} is not under backbones or imported; "
            f"{nearest(name, [*config.backbones, *config.imported])}"
        )
    if found != modality:
        raise PipelineError(f"{where}: {name!r} is a backbone for {found}")
