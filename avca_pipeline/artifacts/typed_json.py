"""JSON files whose content is a dataclass: one with a wrong key or type is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from avca_pipeline.artifacts.atomic import write_json
from avca_pipeline.artifacts.text_files import parse_json, read_json
from avca_pipeline.errors import FormatError, abbreviated

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""For ``__pydantic_config__`` of a dataclass that is a file or a part of one."""

REMEDY = "delete the file and run again to rebuild it"

Content = TypeVar("Content")
_adapters: dict[Any, TypeAdapter[Any]] = {}


def write(path: Path, value: Any, format_version: int) -> None:
    """Writes a dataclass, and the version of its format."""
    write_json(path, {"format_version": format_version, **asdict(value)})


def read(path: Path, kind: type[Content], format_version: int) -> Content:
    """Reads what `write` wrote.

    Args:
        path: the file.
        kind: the dataclass.
        format_version: the version that this release reads.

    Raises:
        FormatError: there is no such file; it has another version; a key is missing, unknown, or
            has a value of another type. The message is one line with the file and the key.
    """
    return _typed(read_json(path, format_version), str(path), kind, REMEDY)


def parse(
    text: str, where: str, kind: type[Content], format_version: int, *, remedy: str
) -> Content:
    """Returns what a text of JSON says, as `read` does.

    Args:
        text: the content of a file.
        where: begins messages.
        kind: the dataclass.
        format_version: the version that this release reads.
        remedy: what to do about a text that is wrong; ends messages.

    Raises:
        FormatError: as `read`; or it is no JSON.
    """
    try:
        content = parse_json(text)
    except ValueError as error:
        raise FormatError(f"{where}: cannot be read as JSON ({error}); {remedy}") from error
    if not isinstance(content, dict) or content.get("format_version") != format_version:
        found = content.get("format_version") if isinstance(content, dict) else "no object"
        raise FormatError(
            f"{where}: format version {abbreviated(found)}, this release reads {format_version}; "
            f"{remedy}"
        )
    return _typed(content, where, kind, remedy)


def _typed(content: dict[str, Any], where: str, kind: type[Content], remedy: str) -> Content:
    del content["format_version"]
    try:
        # From JSON and not from Python: there a list may stand for a tuple.
        value: Content = _adapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        actual = "" if first["type"] == "missing" else f", found {abbreviated(first['input'])}"
        raise FormatError(f"{where}: {key}: {first['msg']}{actual}; {remedy}") from error
    return value


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Returns what checks a class; making it takes longer than reading a file."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
