"""From YAML to the typed config; every mistake is one line that names its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from avca_pipeline.config import applied, mistakes, modalities, references, yaml_files
from avca_pipeline.config.checks import missing_inputs
from avca_pipeline.config.right_parts import right_parts
from avca_pipeline.config.typed import Config
from avca_pipeline.errors import PipelineError
from avca_pipeline.settings import PluginSettings

SettingsT = TypeVar("SettingsT", bound=PluginSettings)


def load(path: Path) -> Config:
    """Reads and checks a config file.

    Raises:
        PipelineError: see `parse`; or the file is missing or no YAML.
    """
    return parse(yaml_files.read(path))


def parse(written: Any) -> Config:
    """Checks a config and returns it typed.

    Args:
        written: what the user wrote, as YAML says it.

    Raises:
        PipelineError: one line for each mistake: its key, what was found, and what would be right;
            for an unknown key or name the nearest one. With them, one line for each file that
            is named by an entry without mistakes and is not there.
    """
    written = {} if written is None else written
    lines: list[str] = []
    try:
        config = Config.model_validate(written)
    except ValidationError as error:
        lines = mistakes.lines(error)
    lines += references.mistakes(written)
    if not lines:
        lines = references.unknown_backbones_of_splits(config) + modalities.mistakes(config)
        lines += references.means_where_windows_are_needed(config)
        lines += references.windows_at_uneven_distances(config)
        lines += applied.mistakes(config)
    if lines:
        lines += missing_inputs(right_parts(written))
        raise PipelineError(*mistakes.shortened(lines))
    return config


def validated(kind: type[SettingsT], written: Any, where: str) -> SettingsT:
    """Returns what a user wrote as an object of the kind that it must be.

    Args:
        kind: class of the settings.
        written: keys and values, as YAML or JSON has them.
        where: the key or option that they stand under, to begin messages with.

    Raises:
        PipelineError: one line for each mistake, which begins with ``where``.
    """
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        raise PipelineError(*mistakes.shortened(mistakes.lines(error, where))) from error
