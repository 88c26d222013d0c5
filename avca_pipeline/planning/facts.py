"""What the files of the user say that decides results: clips of datasets, digests of files.

The process that plans a run reads the files and writes down what it found; the processes that run
the jobs take it from there.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pydantic import TypeAdapter

from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.config import Config
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.found import Found, found
from avca_pipeline.planning.listing import listing


class Facts:
    """What the files of the user say, each read when it is asked for.

    Args:
        config: names the files.
        digests: of the files.
        written: file in which another process wrote what it found; without it the files are read.
    """

    def __init__(self, config: Config, digests: Digests, written: Path | None = None) -> None:
        self._config, self._digests = config, digests
        self._facts: dict[str, Any] = {}
        if written is not None:
            with contextlib.suppress(OSError, ValueError):
                self._facts = json.loads(written.read_text(encoding="utf-8"))

    def lists(self, dataset: str, request: str) -> dict[str, str]:
        """Returns the path of each list of a dataset's clips with the digest that it will have.

        The list of all clips comes first. Paths are within the results.

        Args:
            dataset: its name.
            request: for its lists, as JSON.
        """
        name = f"clips of {dataset}"
        if name not in self._facts:
            entry = self._config.datasets[dataset]
            files = entry.module.inputs(entry.settings)
            # The plugin's own code decides what is in the lists as much as the user's files do.
            code = [Path(inspect.getfile(cast(ModuleType, entry.module)))] if files else []
            self._facts[name] = self._digests.of_listing(
                f"{name}: {records.digest_of_text(request)}",
                [*files, *code],
                lambda: listing(self._config, dataset),
            )
        return dict(self._facts[name])

    def digest(self, name: str, paths: Callable[[], Iterable[Path]]) -> str:
        """Returns one digest of several files.

        Args:
            name: of the digest among the facts.
            paths: gives the files, if they have to be read.
        """
        if name not in self._facts:
            self._facts[name] = self._digests.of_all(paths())
        return str(self._facts[name])

    def found(self, trainings: Callable[[], Mapping[str, str]]) -> Found:
        """Returns the runs of other configs among the results, looked for once.

        Args:
            trainings: gives path and training of each of the config's runs, see `found`.
        """
        name = "runs of other configs"
        if name not in self._facts:
            value = found(Path(self._config.results), trainings(), self._digests)
            self._facts[name] = TypeAdapter(Found).dump_python(value, mode="json")
        return TypeAdapter(Found).validate_python(self._facts[name])

    def write(self, path: Path) -> None:
        """Writes what was read, for other processes."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(self._facts) + "\n", encoding="utf-8")
