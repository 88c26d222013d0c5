"""What a broken download has left: the first part of a file, and the version of that file."""

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
        self.url_sha256 = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()

    def resumable_note(self) -> dict[str, Any]:
        """Returns the note on what is here, if the download can go on from there.

        If it cannot, what is here is removed and the note is empty.
        """
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["of"] == self.url_sha256 and note["version"] and self.path.stat().st_size:
                return dict(note)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.remove()
        return {}

    def begin(self, version: str, length: int | None) -> None:
        """Begins an empty file and notes the version of the file on the server.

        Args:
            version: the server's name of it.
            length: in bytes, if the server says so.

        Raises:
            PipelineError: the note cannot be written.
        """
        note = {"of": self.url_sha256, "version": version, "length": length}
        with self._removed_on_error():
            self.remove()
            self.note.write_text(json.dumps(note), encoding="utf-8")

    @contextlib.contextmanager
    def appending(self) -> Iterator[Callable[[bytes], object]]:
        """Yields a function that appends bytes to the file.

        Raises:
            PipelineError: the file cannot be written; then it is removed.
        """
        with contextlib.ExitStack() as stack:
            with self._removed_on_error():
                # No buffer: closing a buffered file would write again what could not be written.
                file = stack.enter_context(open(self.path, "ab", buffering=0))

            def write(chunk: bytes) -> None:
                with self._removed_on_error():
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[file.write(rest) :]

            yield write
            with self._removed_on_error():
                os.fsync(file.fileno())

    def remove(self) -> None:
        """Removes the file and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _removed_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                self.remove()
            raise PipelineError(
                f"{self.path}: cannot be written ({error.strerror or error})"
            ) from error
