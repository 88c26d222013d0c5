"""Progress of long commands: a bar on a terminal, plain lines everywhere else, both with a rate."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from avca_pipeline.runtime.addresses import redacted

LINE_EVERY_S = 10.0

_log: list[TextIO] = []


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Copies every line of this command to a log file as well, for as long as the block runs."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        _log.append(file)
        try:
            yield
        finally:
            _log.remove(file)


def say(line: str) -> None:
    """Prints one line to standard error, above a running bar, and to the log."""
    line = redacted(line)
    tqdm.write(line, file=sys.stderr)
    for file in _log:
        print(time.strftime("%H:%M:%S"), line, file=file, flush=True)


class Progress:
    """Counts units of work of one command.

    On a terminal it draws a bar; elsewhere, and always in the log, it writes a line every
    `LINE_EVERY_S` seconds and one at the end.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.started = self.last_line = time.monotonic()
        self.on_terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=total, desc=title, unit=f" {unit}", disable=not self.on_terminal, leave=False
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.bar.close()
        if kind is None:
            self._line(f"done in {time.monotonic() - self.started:.1f} s")

    def advance(self, note: str = "") -> None:
        """Adds a finished unit; ``note`` is shown behind the bar."""
        self.done += 1
        self.bar.update()
        if note:
            self.bar.set_postfix_str(note)
        if time.monotonic() - self.last_line >= LINE_EVERY_S:
            self._line(note)

    def _line(self, note: str) -> None:
        self.last_line = time.monotonic()
        rate = self.done / max(self.last_line - self.started, 1e-9)
        text = f"{self.title}: {self.done}/{self.total} {self.unit}, {rate:.3g}/s"
        text = f"{text}, {note}" if note else text
        for file in _log:
            print(time.strftime("%H:%M:%S"), text, file=file, flush=True)
        if not self.on_terminal:
            print(text, file=sys.stderr, flush=True)
