"""What has come of a file so far, and which version of the file it is of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError


class PartialFile:
    """A file that is being downloaded, and a note beside it.

    Args:
        target: where the file goes once it is whole.
        url: where it comes from.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.of = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()

    def known(self) -> dict[str, Any]:
        """Returns the note, if what is here can be continued; else nothing, and drops it."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["of"] == self.of and note["version"] and self.path.stat().st_size:
                return dict(note)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.drop()
        return {}

    def begin(self, version: str, length: int | None) -> None:
        """Notes which version what comes is of.

        Raises:
            PipelineError: the note cannot be written.
        """
        note = {"of": self.of, "version": version, "length": length}
        with self._or_dropped():
            self.drop()
            self.note.write_text(json.dumps(note), encoding="utf-8")

    @contextlib.contextmanager
    def appending(self) -> Iterator[Callable[[bytes], object]]:
        """Yields what adds to the file.

        Raises:
            PipelineError: it cannot be written; then nothing of it is left.
        """
        with contextlib.ExitStack() as stack:
            with self._or_dropped():
                # Without a buffer: what it cannot write it would try again on closing.
                file = stack.enter_context(open(self.path, "ab", buffering=0))

            def write(chunk: bytes) -> None:
                with self._or_dropped():
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[file.write(rest) :]

            yield write
            with self._or_dropped():
                os.fsync(file.fileno())

    def drop(self) -> None:
        """Removes both."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _or_dropped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                self.drop()
            raise PipelineError(
                f"{self.path}: cannot be written ({error.strerror or error})"
            ) from error
