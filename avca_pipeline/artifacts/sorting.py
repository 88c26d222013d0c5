"""Sorts more rows of text than fit into memory: in parts, which are then merged."""

from __future__ import annotations

import csv
import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

ROWS_IN_MEMORY = 400_000
"""How many rows are sorted at once. All parts are open at the merge: 250 of 100 million rows."""


def by_first_cell(
    rows: Iterable[Sequence[str]], folder: Path, rows_in_memory: int = ROWS_IN_MEMORY
) -> Iterator[Sequence[str]]:
    """Reads all rows, and returns them in the order of their first cells; equal ones as they came.

    Args:
        rows: cells of text without surrogates.
        folder: where the sorted parts are put if there is more than one.
        rows_in_memory: how many rows a part has.
    """
    first = itemgetter(0)
    remaining = iter(rows)
    parts: list[Path] = []
    while True:
        part = sorted(itertools.islice(remaining, rows_in_memory), key=first)
        if not parts and len(part) < rows_in_memory:
            return iter(part)
        if part:
            parts.append(folder / f"part-{len(parts)}.csv")
            with open(parts[-1], "w", newline="", encoding="utf-8") as file:
                # Quotes keep what is in a cell, whatever it is.
                csv.writer(file, quoting=csv.QUOTE_ALL).writerows(part)
        if len(part) < rows_in_memory:
            return heapq.merge(*map(_read, parts), key=first)


def _read(part: Path) -> Iterator[list[str]]:
    with open(part, newline="", encoding="utf-8") as file:
        yield from csv.reader(file)
