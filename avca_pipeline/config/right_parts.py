"""What is right in a config that has mistakes: enough of it to look for the files that it names."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from avca_pipeline.config import references
from avca_pipeline.config.sections import Experiment
from avca_pipeline.config.typed import Config

SECTIONS = ("datasets", "backbones", "imported", "feature_sets", "text_embeddings", "splits")
"""The sections that can name files, and ``feature_sets``, which says what backbones are used."""


def right_parts(written: Any) -> Config:
    """Returns a config of what can be read by itself, for `checks.missing_inputs` and nothing else.

    The experiment is one grid that names the entries which the user's grids name, as far as these
    entries are right; its other lists may be empty. What is wrong elsewhere has its default.

    Args:
        written: what the user wrote.
    """
    written = written if isinstance(written, Mapping) else {}
    sections: dict[str, Any] = {
        section: {
            name: entry
            for name, settings in references.entries(written, section)
            for entry in _read(section, {name: settings}).values()
        }
        for section in SECTIONS
    }
    others: dict[str, Any] = {
        key: value
        for key in ("results", "download")
        if key in written and (value := _read(key, written[key])) != {}
    }
    used: dict[str, Any] = {
        section: _used(written, section, right)
        for section, right in sections.items()
        if section in Experiment.model_fields
    }
    grid = Experiment.model_construct(**used)
    return Config.model_construct(**others, **sections, experiment=(grid,))


def _used(written: Mapping[str, Any], section: str, right: Mapping[str, object]) -> tuple[str, ...]:
    """Returns the right entries of a section that the experiment names; all if there is none."""
    grids = references.grids(written)
    names = (name for _, grid in grids for name in references.texts(grid.get(section)))
    if "experiment" not in written:
        names = (name for name in right)
    return tuple(name for name in dict.fromkeys(names) if name in right)


def _read(key: str, value: Any) -> Any:
    """Returns a value of the config as its type; an empty mapping if it is wrong."""
    try:
        return _reader(key).validate_python(value)
    except ValidationError:
        return {}


@functools.cache
def _reader(key: str) -> TypeAdapter[Any]:
    field = Config.model_fields[key]
    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated[kind, *field.metadata]
    return TypeAdapter(kind)
