"""``records/configs/<name>.json``: the configs that results were made with, for the report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from avca_pipeline.artifacts import records, typed_json
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.artifacts.typed_json import STRICT
from avca_pipeline.errors import PipelineError

FOLDER = "configs"
VERSION = 1


@dataclass(frozen=True)
class KeptConfig:
    """A config as a run was started with it, without secrets.

    Attributes:
        files: names of its files.
        at: when a run with it was started first.
        content: all that it says.
        differs: key and value of each setting that differs from its default.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    files: str
    at: str
    content: Mapping[str, Any]
    differs: Sequence[tuple[str, str]]

    @property
    def lines(self) -> list[str]:
        """The content as JSON, line by line."""
        return json.dumps(self.content, indent=2, ensure_ascii=False).split("\n")


def keep(results: Path, value: KeptConfig) -> str:
    """Keeps a config, unless it is there already, and returns its name."""
    name = records.digest_of_text(canonical_json([value.files, value.content]))[:12]
    path = _path(results, name)
    if not path.exists():
        typed_json.write(path, value, VERSION)
    return name


def read(results: Path, name: str) -> KeptConfig | None:
    """Returns a config that was kept; ``None`` if it cannot be read."""
    with contextlib.suppress(PipelineError):
        return typed_json.read(_path(results, name), KeptConfig, VERSION)
    return None


def _path(results: Path, name: str) -> Path:
    return results / records.FOLDER / FOLDER / f"{Path(name).name}.json"
