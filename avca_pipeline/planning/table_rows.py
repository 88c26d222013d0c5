"""Reads the table of a dataset column by column, for tables of millions of clips.

To make a clip of each row takes Python several times as long as to read the table. What is read
here is the same: a table that is in any way unusual is left to the reader of clips.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avca_pipeline.artifacts.clip_lists import blocks
from avca_pipeline.artifacts.manifest import COLUMNS, OF_LABELLED, REASON, UNSTORABLE


class UnusualTableError(Exception):
    """The table has to be read clip by clip."""


def table_rows(
    path: Path, *, labelled: bool
) -> Iterator[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """Yields the clips of a table in blocks: their ids, and the cells of each as in a manifest.

    Args:
        path: of the CSV.
        labelled: whether its clips have classes.

    Raises:
        UnusualTableError: it is malformed, has a clip that no stage could work with, or names that
            cannot be stored as they are.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            required = [name for name in COLUMNS if labelled or name not in OF_LABELLED]
            _demand(len(set(names)) == len(names) and set(required) <= set(names))
            num_clips = 0
            for rows in blocks(reader):
                _demand(set(map(len, rows)) == {len(names)})
                num_clips += len(rows)
                columns = dict(zip(names, zip(*rows, strict=True), strict=True))
                yield _as_in_manifest(columns, len(rows), labelled=labelled)
            _demand(num_clips > 0)
    except (OSError, ValueError, csv.Error) as error:
        raise UnusualTableError from error


def _as_in_manifest(
    columns: Mapping[str, Sequence[str]], number: int, *, labelled: bool
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    nothing = ("",) * number
    clip_ids, paths = columns["clip_id"], columns["path_or_url"]
    classes = columns["class_name"] if labelled else nothing
    sources = columns.get("source_id", nothing)
    if not labelled:
        sources = [source or path for source, path in zip(sources, paths, strict=True)]
    named = (clip_ids, sources, paths, *([classes] if labelled else []))
    _demand(all(map(all, named)) and not any(map(_is_unstorable, named)))
    times = (_times(columns["start_s"], 0.0), _times(columns["end_s"], math.inf))
    (starts, starts_s), (ends, ends_s) = times
    _demand(all(map(float.__lt__, starts_s, ends_s)))
    reasons = columns.get(REASON, nothing)
    return clip_ids, list(
        zip(clip_ids, sources, classes, paths, starts, ends, reasons, strict=True)
    )


def _times(column: Sequence[str], default: float) -> tuple[Sequence[str], Sequence[float]]:
    """Returns times as a manifest writes them, and in seconds."""
    if not any(column):
        return column, (default,) * len(column)
    seconds = [float(cell) if cell else default for cell in column]
    cells = [repr(time) if cell else "" for cell, time in zip(column, seconds, strict=True)]
    _demand(
        all(not cell or 0 <= time < math.inf for cell, time in zip(column, seconds, strict=True))
    )
    return cells, seconds


def _is_unstorable(column: Sequence[str]) -> bool:
    text = "".join(column)
    return not text.isprintable() and UNSTORABLE.search(text) is not None


def _demand(is_usual: bool) -> None:
    if not is_usual:
        raise UnusualTableError
