"""Reads CSV and JSON, of ours and of users: whatever is wrong with a file is one line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.atomic import check_version
from avca_pipeline.errors import FormatError, abbreviated

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """Reads a CSV by its header line, all of it into memory.

    Raises:
        FormatError: as `stream_csv`.
    """
    return list(stream_csv(path, required))


def stream_csv(path: Path, required: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yields the rows of a CSV by its header line; one row is in memory at a time.

    Raises:
        FormatError: no such file, not UTF-8, a required column is missing or given twice, or a
            line has another number of cells than the header.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            check_header(path, names, required)
            for cells in reader:
                if len(cells) == len(names):
                    yield dict(zip(names, cells, strict=True))
                elif cells:
                    raise FormatError(
                        f"{path}: line {reader.line_num} does not have the header's "
                        f"{len(names)} cells"
                    )
    except FormatError:
        raise
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except csv.Error as error:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            why = _other_separator(file.readline(1000).replace('"', "").strip(), required)
        raise FormatError(f"{path}: cannot be read as UTF-8 CSV ({error}){why}") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read as UTF-8 CSV ({error})") from error


def check_header(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    """Raises `FormatError` if a required column is missing, or any column is given twice."""
    missing = [name for name in required if name not in names]
    if missing:
        raise FormatError(
            f"{path}: column {missing[0]!r} is missing; the header must have "
            f"{', '.join(required)}{_other_separator(','.join(names), required)}"
        )
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise FormatError(
            f"{path}: column {abbreviated(twice[0])} is given twice; "
            "remove or rename one of the two"
        )


def _other_separator(header: str, required: Sequence[str]) -> str:
    """Returns the end of a message about a header whose cells something else separates."""
    for separator, word in SEPARATORS.items():
        if set(required) <= {cell.strip() for cell in header.split(separator)}:
            return f"; the cells are separated by {word}, use commas"
    return ""


def read_json(path: Path, format_version: int) -> dict[str, Any]:
    """Reads a JSON object and checks its ``format_version``.

    Raises:
        FormatError: no such file, no JSON object, or another version.
    """
    value = read_json_value(path)
    content: dict[str, Any] = value if isinstance(value, dict) else {}
    check_version(path, content.get("format_version"), format_version)
    return content


def read_json_value(path: Path) -> Any:
    """Reads any JSON in which no key is given twice.

    Raises:
        FormatError: no such file, or no such JSON.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read as JSON ({error})") from error


def parse_json(text: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or gives a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def canonical_json(value: Any) -> str:
    """Returns JSON that is equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {abbreviated(twice)} is given twice")
    return value
