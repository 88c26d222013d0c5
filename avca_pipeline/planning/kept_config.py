"""Keeps the config of a run among its results, for the report."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import kept_configs
from avca_pipeline.artifacts.kept_configs import KeptConfig
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import Config
from avca_pipeline.config.entries import Entry
from avca_pipeline.runtime.sealing import without_secrets


def keep_config(config: Config, raw: Mapping[str, Any], files: str) -> str:
    """Keeps a config and returns the name that records give it.

    Args:
        config: as it was understood.
        raw: as it was written.
        files: where it was written.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    differs = without_secrets(dict(differing(config)))
    value = KeptConfig(files, now, without_secrets(dict(raw)), list(differs.items()))
    return kept_configs.keep(Path(config.results), value)


def differing(config: Config) -> Iterator[tuple[str, str]]:
    """Yields key and value of each setting that differs from its default."""
    for section in type(config).model_fields:
        value = getattr(config, section)
        if isinstance(value, Mapping):
            for name, entry in value.items():
                yield from _flat(f"{section}.{name}", _set(entry))
        elif section != "experiment" and value != type(config).model_fields[section].default:
            yield from _flat(section, _set(value))


def _set(value: Any) -> Any:
    """Returns what differs from the defaults of a part of the config."""
    if isinstance(value, Entry):
        return _set(value.settings)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_defaults=True)
    return value


def _flat(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}", inner)
    else:
        yield key, value if isinstance(value, str) else canonical_json(value)
