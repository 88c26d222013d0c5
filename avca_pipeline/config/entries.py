"""The sections of plugins: each entry is a name with the settings of a plugin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import BeforeValidator, Field, ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from avca_pipeline import registry
from avca_pipeline.backbones import AnyBackbone
from avca_pipeline.config.candidates import candidates, mistakes_in_search
from avca_pipeline.config.names import check_name
from avca_pipeline.config.sections import Count, Share
from avca_pipeline.datasets import AnyDataset
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.models import AnyModel, ModelSettings
from avca_pipeline.registry import Kind
from avca_pipeline.settings import PluginSettings, error_at, error_within, nearest, refusal
from avca_pipeline.splits import AnySplit, SplitSettings
from avca_pipeline.text_embeddings import AnyTextEmbedding

PluginT = TypeVar("PluginT")
SettingsT = TypeVar("SettingsT", bound=PluginSettings)
ValueT = TypeVar("ValueT")


class EntryKeys(PluginSettings):
    """The keys of an entry beside the settings of its plugin."""

    plugin: str
    """Name of the plugin. Without this key, it is the plugin that has the name of the entry."""


class DatasetKeys(EntryKeys):
    """The keys of a dataset beside the settings of its plugin."""

    num_shards: Count = 1
    """Number of parts that the clips are divided into, each with jobs of its own; about 1,000 clips
    a shard is a good size.
    """
    max_missing: Share = 0.3
    """Share of the clips, from 0 to 1, that each feature set may lose in fetching and
    extracting.
    """


class BackboneKeys(EntryKeys):
    """The keys of a backbone beside the settings of its plugin."""

    keep_windows: bool = False
    """Whether the features of each window are kept beside their mean, with its start in seconds.
    Methods that look at clips over time need them; they take as many times the disk as a clip has
    windows.
    """


class ModelKeys(EntryKeys):
    """The keys of a model beside the settings of its plugin."""

    search: Annotated[
        dict[str, Annotated[list[Any], Field(min_length=1)]],
        BeforeValidator(lambda value: {} if value is None else value),
    ] = Field(default_factory=dict)
    """Values to try for some of the settings, a list for each. Stage 1 trains one candidate for
    each combination and keeps the best one.
    """


KEYS: dict[Kind, type[EntryKeys]] = {
    "datasets": DatasetKeys,
    "backbones": BackboneKeys,
    "models": ModelKeys,
}


@dataclass(frozen=True)
class Entry(Generic[PluginT, SettingsT]):
    """A plugin with its settings, under a name of the user's."""

    name: str
    plugin: str
    settings: SettingsT
    module: PluginT


@dataclass(frozen=True)
class DatasetEntry(Entry[AnyDataset, PluginSettings]):
    """A dataset, its number of shards, and the share of its clips that may be missing."""

    num_shards: int
    max_missing: float


@dataclass(frozen=True)
class ModelEntry(Entry[AnyModel, ModelSettings]):
    """A model and its candidates, by their names."""

    candidates: dict[str, ModelSettings]


@dataclass(frozen=True)
class BackboneEntry(Entry[AnyBackbone, WeightsSettings]):
    """A backbone, and whether its windows are kept."""

    keep_windows: bool


@dataclass(frozen=True)
class TextEmbeddingEntry(Entry[AnyTextEmbedding, PluginSettings]):
    """A text embedding."""


@dataclass(frozen=True)
class SplitEntry(Entry[AnySplit, SplitSettings]):
    """A split."""


ENTRIES: dict[Kind, type[Entry[Any, Any]]] = {
    "datasets": DatasetEntry,
    "backbones": BackboneEntry,
    "text_embeddings": TextEmbeddingEntry,
    "splits": SplitEntry,
    "models": ModelEntry,
}


@dataclass(frozen=True)
class ReadBy:
    """Says of a field by which function its value is read; pydantic does not look into its type.

    The schema of such a field is written by `avca_pipeline.config.schema`.
    """

    function: Callable[[Any], Any]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: object
    ) -> core_schema.CoreSchema:
        """Returns what pydantic needs to call the function."""
        return core_schema.no_info_plain_validator_function(self.function)

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        """Returns the schema of anything."""
        return {}


def read_section(section: str, read_entry: Callable[[str, Any], ValueT], value: Any) -> Any:
    """Returns the entries of a section by their names.

    Args:
        section: the key of the section.
        read_entry: turns a name and what the user wrote below it into an entry.
        value: what the user wrote.

    Raises:
        ValidationError: an entry or its name is wrong; it holds the mistakes of all entries.
        PydanticCustomError: the section has no entries.
    """
    if not isinstance(value, Mapping) or not value:
        raise refusal(f"expected names with their settings, found {abbreviated(value)}")
    entries: dict[str, ValueT] = {}
    errors: list[InitErrorDetails] = []
    spelling: dict[str, str] = {}
    for name, settings in value.items():
        try:
            check_name(section, name)
            other = spelling.setdefault(name.lower(), name)
            if other != name:
                raise refusal(
                    f"{other!r} and {name!r} differ in capitals alone, and some file systems make "
                    "no difference between the two; rename one"
                )
        except PydanticCustomError as error:
            errors.append(InitErrorDetails(type=error, loc=(), input=name))
            continue
        try:
            entries[name] = read_entry(name, settings)
        except ValidationError as error:
            inner = error.errors(include_url=False)
            errors += [error_within((name,), details) for details in inner]
        except PydanticCustomError as error:
            errors.append(InitErrorDetails(type=error, loc=(name,), input=settings))
    if errors:
        raise ValidationError.from_exception_data(section, errors)
    return entries


def read_entry(kind: Kind, name: str, value: Any) -> Entry[Any, Any]:
    """Returns an entry of a section of plugins.

    Raises:
        ValidationError: its settings are wrong.
        PydanticCustomError: it is no mapping, or there is no such plugin, or none that works.
    """
    value = {} if value is None else value
    if not isinstance(value, Mapping):
        raise refusal(f"expected keys and values, found {abbreviated(value)}")
    is_named = "plugin" in value
    value = {"plugin": name, **value}
    plugin = value["plugin"]
    if not isinstance(plugin, str):
        no_text = refusal(f"expected a text, found {abbreviated(plugin)}; name a plugin")
        raise error_at("plugin", no_text)
    if plugin not in registry.names(kind):
        hint = nearest(plugin, registry.names(kind))
        unknown = refusal(f"no plugin {abbreviated(plugin)}; {hint}")
        raise error_at("plugin", unknown) if is_named else unknown
    try:
        module = registry.load(kind, plugin)
    except PipelineError as error:
        raise refusal(str(error)) from error
    keys, settings = _read_settings(kind, module.Settings, value)
    details: dict[str, Any] = {}
    if isinstance(keys, DatasetKeys):
        details = {"num_shards": keys.num_shards, "max_missing": keys.max_missing}
    if isinstance(keys, BackboneKeys):
        details = {"keep_windows": keys.keep_windows}
    if isinstance(keys, ModelKeys):
        details = {"candidates": candidates(settings, keys.search)}
    return ENTRIES[kind](name, plugin, settings, module, **details)


def entry_model(kind: Kind, settings: type[PluginSettings]) -> type[EntryKeys]:
    """Returns the model of an entry as a user writes it: its own keys and the plugin's together."""
    return _joined(KEYS.get(kind, EntryKeys), settings)


@functools.cache
def _joined(keys: type[EntryKeys], settings: type[PluginSettings]) -> type[EntryKeys]:
    bases: Any = (keys, settings)
    joined: Any = create_model(
        settings.__name__,
        __base__=bases,
        __doc__=settings.__doc__,
    )
    return cast("type[EntryKeys]", joined)


def _read_settings(
    kind: Kind, settings: type[PluginSettings], value: dict[Any, Any]
) -> tuple[EntryKeys, PluginSettings]:
    """Returns an entry with all its keys, and the settings of its plugin alone."""
    errors = []
    try:
        whole = entry_model(kind, settings).model_validate(value)
    except ValidationError as error:
        errors = [error_within((), details) for details in error.errors(include_url=False)]
    if kind == "models":
        errors += mistakes_in_search(settings, value.get("search"))
    if errors:
        raise ValidationError.from_exception_data(settings.__name__, errors)
    keys = whole.model_fields_set & settings.model_fields.keys()
    return whole, settings.model_validate({key: getattr(whole, key) for key in keys})
