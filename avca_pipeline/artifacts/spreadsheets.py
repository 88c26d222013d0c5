"""CSV that people open in a spreadsheet program: no cell of it is a formula or breaks its line.

A table that another stage reads has its names as they are (`atomic.write_csv`), or marked so that
they can be read back (`as_text`). A spreadsheet program takes a cell that begins with ``=`` for a
formula and runs it, and names come from anywhere.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.atomic import write_csv
from avca_pipeline.errors import one_line

FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
"""Begins a formula, in East Asian width too."""
QUOTE = "'"
"""What a spreadsheet program takes as the mark of a text, and does not show."""
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def cell(value: Any) -> Any:
    """Returns what a spreadsheet program shows as the same text; what is no text stays as it is.

    A text that would be a formula gets an apostrophe before it, and control characters are written
    as escapes. Numbers that are written as text stay numbers.
    """
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return QUOTE + text if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns CSV with a header line for people."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow([cell(name) for name in columns])
    writer.writerows([cell(one) for one in row] for row in rows)
    return made.getvalue()


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a UTF-8 CSV with a header line for people."""
    write_csv(path, [cell(name) for name in columns], ([cell(one) for one in row] for row in rows))


def as_text(name: str) -> str:
    """Returns a cell of a table that people and stages read; `from_text` gives back the name."""
    return QUOTE + name if FORMULA.match(name) or name.startswith(QUOTE) else name


def from_text(cell_of_name: str) -> str:
    """Returns the name that `as_text` made a cell of."""
    return cell_of_name.removeprefix(QUOTE)
