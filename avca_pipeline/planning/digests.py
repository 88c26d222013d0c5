"""SHA-256 of files, remembered while a file keeps its size, its dates and its place on the disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import PipelineError

ABSENT = "absent"


class Digests:
    """Returns digests of files; reads a file only if it is unknown or was touched.

    Attributes:
        memory: the file in which the digests are kept between runs.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self._known: dict[str, tuple[list[int], str]] = {}
        self._is_changed = False
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            content = json.loads(memory.read_text(encoding="utf-8"))
            self._known = {path: (state, digest) for path, (state, digest) in content.items()}

    def of(self, path: Path) -> str:
        """Returns the digest of a file's content, as `records.digest_of` defines it.

        Raises:
            OSError: the file cannot be read.
        """
        status = path.stat()
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        key = str(path.absolute())
        former_state, digest = self._known.get(key, (None, ""))
        if former_state == state:
            return digest
        digest = records.digest_of(path)
        self._known[key] = state, digest
        self._is_changed = True
        return digest

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
