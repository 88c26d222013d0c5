"""Each key of a config with each kind of wrong value: one line with key, value and remedy."""

from __future__ import annotations

import copy
import datetime
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import jsonschema
import pytest
import yaml
from pydantic.fields import FieldInfo

from avca_pipeline import config as avca_config
from avca_pipeline import registry
from avca_pipeline.config import schema
from avca_pipeline.config.sections import Experiment, FeatureSet, ImportedFeatures, LimitsSettings
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.fetching.youtube import DownloadSettings
from avca_pipeline.settings import PluginSettings
from tests.conftest import REPOSITORY

GOOD = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
NAN = float("nan")
WRONG: dict[Any, tuple[Any, ...]] = {
    bool: ("maybe", 2, [True], {"a": 1}, None),
    int: ("many", 1.5, [1], {"a": 1}, True, NAN, None),
    float: ("many", [1.0], {"a": 1}, True, NAN, None),
    str: (7, 1.5, ["a"], {"a": 1}, True, None),
    Path: (7, 1.5, ["a"], {"a": 1}, True, None),
    tuple: ("a", 7, {"a": 1}, True, None),
    dict: ("a", 7, ["a"], True),
    PluginSettings: ("a", 7, ["a"], True),
    Literal: ("misspelt", 7, ["a"], {"a": 1}, None),
}
"""Wrong values for each kind of value; nothing (None) is right where a value is optional."""
REQUIRED = {Path: "there", str: "UCF", tuple: ["there"], Literal: "video"}
PARTS = [{"plugin": "hashed"}, {"plugin": "hashed", "settings": {"seed": 1}}]
Place = tuple[str, ...]


def kind_of(annotation: Any) -> Any:
    """Returns the key of `WRONG` for a type."""
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return kind_of(next(part for part in get_args(annotation) if part is not type(None)))
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, PluginSettings):
        return PluginSettings
    return origin


def settings_of_plugins() -> Iterator[tuple[Place, type[PluginSettings]]]:
    for kind in registry.KINDS:
        for plugin in registry.names(kind):
            settings = registry.load(kind, plugin).Settings
            yield (kind, plugin), settings
            for key, field in settings.model_fields.items():
                if kind_of(field.annotation) is PluginSettings:
                    yield (kind, plugin, key), field.annotation


PLACES: list[tuple[Place, type[PluginSettings]]] = [
    (("limits",), LimitsSettings),
    (("download",), DownloadSettings),
    (("imported", "there"), ImportedFeatures),
    (("feature_sets", "c3d-vggish"), FeatureSet),
    (("experiment",), Experiment),
    *settings_of_plugins(),
]
FIELDS: list[tuple[Place, FieldInfo]] = [
    ((*place, key), field)
    for place, settings in PLACES
    for key, field in settings.model_fields.items()
]
SECTIONS = ["limits", "download", "imported", "feature_sets", *registry.KINDS]
OTHERS: list[tuple[Place, tuple[Any, ...]]] = [
    *(((section,), (7, "a", ["a"], True)) for section in SECTIONS),
    *(((section,), ({}, None)) for section in ("datasets", "feature_sets", "splits", "models")),
    (("jobs_per_gpu",), (0, -1, 100_000, 1.5, "1", None, NAN, 10**5000)),
    (("results",), (None, "", "a b", ["a"], {"a": 1}, 7)),
    (("experiment",), ([], 7, "a", [7], ["a"])),
    (("datasets", "demo"), (7, "a", ["a"], True)),
    (("datasets", "demo", "plugin"), (7, "dem", ["a"], {"a": 1}, None)),
    (("datasets", "demo", "num_shards"), (0, -1, 1.5, "1", None, NAN, True, 10**5000)),
    (("datasets", "demo", "max_missing"), (-0.1, 1.1, "a", None, NAN, True, 10**5000)),
    (("models", "avca", "search"), (7, "a", ["a"], True)),
    (("models", "avca", "search", "epochs"), (7, "a", {"a": 1}, None, [])),
    (("backbones", "c3d"), (7, "a", ["a"])),
    (("imported", "there"), (7, "a", ["a"])),
]  # fmt: skip


def config_at(place: Place) -> dict[str, Any]:
    """Returns a good config in which this place is written out."""
    config = copy.deepcopy(GOOD)
    config["imported"] = {"there": {"modality": "video", "path": "there"}}
    section: Any = config
    for key in place[:-1]:
        section = section.setdefault(key, {})
    if place[0] in registry.KINDS and len(place) > 1 and place[1] not in GOOD[place[0]]:
        settings = registry.load(place[0], place[1]).Settings  # type: ignore[arg-type]
        for key, field in settings.model_fields.items():
            if field.is_required():
                required = PARTS if key == "parts" else REQUIRED[kind_of(field.annotation)]
                config[place[0]][place[1]][key] = required
    return config


def with_value(place: Place, value: Any) -> dict[str, Any]:
    config = config_at(place)
    section = config
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    return config


def lines_for(place: Place, value: Any) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(with_value(place, value))
    return caught.value.lines


def check_one_line(place: Place, value: Any) -> None:
    lines = lines_for(place, value)
    about_it = [line for line in lines if line.startswith(".".join(place))]
    assert about_it, lines
    assert "\n" not in about_it[0]
    assert len(about_it[0]) < 600
    assert any(word in about_it[0] for word in ("expected", "write", "did you mean", "known:"))
    shown = abbreviated(value[0]) if isinstance(value, list) and value else abbreviated(value)
    assert shown in about_it[0]


@pytest.mark.parametrize(("place", "field"), FIELDS, ids=[".".join(p) for p, _ in FIELDS])
def test_a_wrong_value_is_one_line(place: Place, field: FieldInfo) -> None:
    avca_config.parse(config_at(place))
    is_optional = type(None) in get_args(field.annotation)
    for value in WRONG[kind_of(field.annotation)]:
        if value is not None or not is_optional:
            check_one_line(place, value)
            if place[0] != "experiment":  # which other lines may be about, too
                assert len(lines_for(place, value)) == 1


@pytest.mark.parametrize(("place", "values"), OTHERS, ids=[".".join(p) for p, _ in OTHERS])
def test_a_wrong_section_or_key_of_an_entry_is_one_line(
    place: Place, values: tuple[Any, ...]
) -> None:
    for value in values:
        check_one_line(place, value)


def deep(make: Callable[[Any], Any]) -> Any:
    value: Any = make(None)
    for _ in range(400):
        value = make(value)
    return value


HOSTILE: dict[str, Any] = {
    "truth": True, "zero": 0, "below zero": -1, "huge": 2**70, "endless": 10**5000, "nan": NAN,
    "infinite": float("inf"), "empty": "", "nul": "a\0b", "no text": "\udcff", "reversed": "\u202e",
    "long": "x" * 10**6, "pattern": "{key}", "open": "{", "percent": "%s", "line break": "a\nb",
    "list": [], "lists": [[]], "deep lists": deep(lambda value: [value]), "mapping": {},
    "deep mappings": deep(lambda value: {"a": value}), "number as key": {1: 2},
    "nothing as key": {None: 1}, "tuple as key": {(1, 2): 3}, "endless key": {10**5000: 1},
    "long key": {"x" * 10**6: 1}, "line break in a key": {"a\nb": 1},
    "pattern as key": {"{key}": 1},
    "nan as key": {NAN: 1}, "bytes": b"bytes", "date": datetime.date(2020, 1, 1), "set": {1},
    "complex": 1j, "endless plugin": {"plugin": 10**5000}, "twice": ["demo", "demo"],
}  # fmt: skip


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places_in(inner, (*place, key))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_value_is_read_or_short_lines(case: str) -> None:
    for place in places_in(GOOD):
        config = with_value(place, HOSTILE[case])
        try:
            avca_config.parse(config)
        except PipelineError as error:
            lines = error.lines
        else:
            lines = []
        assert len(lines) <= 21, place
        assert all(len(line) < 2000 and "\n" not in line for line in lines), place


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.build())


def test_the_schema_refuses_what_the_config_refuses(
    validator: jsonschema.Draft202012Validator,
) -> None:
    """But for what one key alone does not tell: NaN is a number, and paths have no pattern."""
    taken = []
    for place, field in FIELDS:
        assert validator.is_valid(config_at(place)), place
        is_optional = type(None) in get_args(field.annotation)
        for value in WRONG[kind_of(field.annotation)]:
            if (value is None and is_optional) or value is NAN:
                continue
            if validator.is_valid(with_value(place, value)):
                taken.append((place, value))
    assert taken == []
