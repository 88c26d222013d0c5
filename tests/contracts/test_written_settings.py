"""Settings are written into the request of a job, and read there: they must stay what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from avca_pipeline import registry
from avca_pipeline.config import validated
from avca_pipeline.settings import PluginSettings

PLUGINS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]
PATHS_AND_WORDS = ("/some/file.csv", "owner/name")


def required_value(key: str, annotation: Any) -> Any:
    if key == "parts":
        return [{"plugin": "hashed"}, {"plugin": "wordllama", "settings": {"names": "/n.csv"}}]
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    return [] if get_origin(annotation) is tuple else "here"


def other_values(default: Any) -> list[Any]:
    """Returns values that an optional key with this default may have; some may be refused."""
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int | float):
        return [default + 1, default / 2]
    return list(PATHS_AND_WORDS)


def settings_with_one_more_key(cls: type[PluginSettings]) -> Iterator[PluginSettings]:
    """Yields settings with all keys that a plugin needs, and then with each other key beside."""
    required = {
        key: required_value(key, field.annotation)
        for key, field in cls.model_fields.items()
        if field.is_required()
    }
    yield cls(**required)
    for key, field in cls.model_fields.items():
        if field.is_required():
            continue
        literals = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        for value in [*literals, *other_values(field.default)]:
            try:
                settings = cls(**required, **{key: value})
            except ValidationError:
                continue  # Not a value of this key.
            yield settings


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_settings_that_are_written_and_read_stay_the_same(kind: registry.Kind, name: str) -> None:
    cls = registry.load(kind, name).Settings
    for settings in settings_with_one_more_key(cls):
        written = settings.model_dump(mode="json")
        read = validated(cls, written, name)
        assert read == settings
        assert read.model_dump(mode="json") == written


@pytest.mark.parametrize("name", ["wordllama", "transformers_text"])
def test_descriptions_are_among_the_values_that_are_tried(name: str) -> None:
    cls = registry.load("text_embeddings", name).Settings
    tried = [settings.model_dump()["descriptions"] for settings in settings_with_one_more_key(cls)]
    assert Path(PATHS_AND_WORDS[0]) in tried
