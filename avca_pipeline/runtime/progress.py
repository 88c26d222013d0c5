"""Progress of long commands: a bar on a terminal, plain lines everywhere else, both with a rate."""

from __future__ import annotations

import logging
import sys
import time

from tqdm import tqdm

from avca_pipeline.runtime.logs import IN_BAR

logger = logging.getLogger(__name__)

LINE_EVERY_S = 10.0


def in_words(seconds: float) -> str:
    """Returns a time that is to come, as exactly as anybody needs it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


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
        if 0 < self.done < self.total:
            text += f", {in_words((self.total - self.done) / rate)} left"
        text = f"{text}, {note}" if note else text
        logger.info(text, extra=IN_BAR if self.on_terminal else None)
