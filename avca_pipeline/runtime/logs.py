"""Where the lines of all modules go: to standard error, and to the log file of a command.

Each module has its own logger, `logging.getLogger(__name__)`. Until `show_on_screen` is called,
as in a program that imports the package, Python's own defaults hold.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avca_pipeline.runtime.addresses import redacted

IN_BAR: dict[str, Any] = {"is_in_bar": True}
"""``extra`` of a line whose content a progress bar on the screen shows already."""

_PACKAGE = logging.getLogger("avca_pipeline")


class RedactingFormatter(logging.Formatter):
    """Formats a line and hides the secret parts of the addresses in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of a record."""
        return redacted(super().format(record))


class ScreenHandler(logging.Handler):
    """Prints each line to standard error, above a running progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the line of a record."""
        if not getattr(record, "is_in_bar", False):
            tqdm.write(self.format(record), file=sys.stderr)


class LogFileHandler(logging.FileHandler):
    """Writes each line, behind the time of day, to a file that is written anew."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="w", encoding="utf-8")
        self.setFormatter(RedactingFormatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Raises what went wrong: a command whose disk is full must not go on."""
        raise  # noqa: PLE0704 - `logging` calls this where it handles the exception


def show_on_screen() -> None:
    """Shows the lines of all modules on standard error; does nothing the second time."""
    if any(isinstance(handler, ScreenHandler) for handler in _PACKAGE.handlers):
        return
    handler = ScreenHandler()
    handler.setFormatter(RedactingFormatter())
    _PACKAGE.addHandler(handler)
    _PACKAGE.setLevel(logging.INFO)


@contextmanager
def copied_to(path: Path | None) -> Iterator[None]:
    """Copies the lines of all modules to a log file, for as long as the block runs.

    Args:
        path: of the file; its folder is made. ``None`` copies nothing.
    """
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = LogFileHandler(path)
    _PACKAGE.addHandler(handler)
    try:
        yield
    finally:
        _PACKAGE.removeHandler(handler)
        handler.close()


def why_it_failed(paths: Iterable[Path]) -> str:
    """Returns the line that tells a user best why jobs failed.

    Args:
        paths: the log files of the jobs that failed.

    Returns:
        The first error of a command in these files. Without any, as after ``kill -9``, what the
        first file ends with; an empty text if there is no line at all.
    """
    texts = {path: _text(path) for path in paths}
    # A job of several commands repeats their errors, and says which of them failed.
    for error_of in ("avca together: error: .*", "avca [a-z]+: error: .*"):
        for text in texts.values():
            if error := re.search(error_of, text):
                return error[0]
    for path, text in texts.items():
        if text:
            last = text.rpartition("\n")[2]
            return f"avca: error: a job ended without an error of its own; {path} ends with: {last}"
    return ""


def _text(path: Path) -> str:
    """Returns the content of a log file; an empty text if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
