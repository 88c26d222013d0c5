"""SHA-256 of files, remembered while a file keeps its size, its dates and its place on the disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import PipelineError

ABSENT = "absent"

T = TypeVar("T")


class Digests:
    """Returns digests of files; reads a file only if it is unknown or was touched.

    Attributes:
        memory: the file in which the digests are kept between runs.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self._known: dict[str, tuple[list[Any], Any]] = {}
        self._is_changed = False
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            content = json.loads(memory.read_text(encoding="utf-8"))
            self._known = {path: (state, digest) for path, (state, digest) in content.items()}

    def of(self, path: Path) -> str:
        """Returns the digest of a file's content, as `records.digest_of` defines it.

        Raises:
            OSError: the file cannot be read.
        """
        key = str(path.absolute())
        return str(self._remembered(key, [path], lambda: records.digest_of(path)))

    def of_listing(self, name: str, files: Sequence[Path], find: Callable[[], T]) -> T:
        """Returns what was found in files, found again only if one of them was touched.

        Args:
            name: what is looked for, unlike any path.
            files: that decide what is found; with none of them, or with a folder among them, whose
                dates say nothing about the files below it, nothing is remembered.
            find: looks for it, and returns what can be written as JSON.
        """
        if not files or not all(path.is_file() for path in files):
            return find()
        found: T = self._remembered(name, files, find)
        return found

    def _remembered(self, key: str, files: Sequence[Path], find: Callable[[], Any]) -> Any:
        state = [number for path in files for number in _state(path)]
        former_state, value = self._known.get(key, (None, None))
        if former_state == state:
            return value
        value = find()
        self._known[key] = state, value
        self._is_changed = True
        return value

    def of_all(self, paths: Iterable[Path]) -> str:
        """Returns one digest of several files, and of all files in folders among them."""
        lines = []
        for path in paths:
            files = (
                sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
            )
            for file in files or [path]:
                try:
                    digest = self.of(file)
                except OSError:
                    digest = ABSENT
                lines.append(f"{digest} {file.relative_to(path) if files else ''}")
        return records.digest_of_text("\n".join(lines))

    def save(self) -> None:
        """Keeps the digests for the next run; where that fails, it reads the files again."""
        if not self._is_changed or not self.memory.parent.is_dir():
            return
        with contextlib.suppress(PipelineError, OSError), atomic_write(self.memory) as temporary:
            temporary.write_text(json.dumps(self._known) + "\n", encoding="utf-8")


def _state(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
