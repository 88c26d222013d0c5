"""Checkpoints: tensors, numbers and texts only, so that loading one never runs code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.atomic import atomic_write, check_version
from avca_pipeline.artifacts.sink import sink
from avca_pipeline.errors import FormatError
from avca_pipeline.runtime.lazy import torch

FORMAT_VERSION = 1


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes a dict of tensors, numbers, texts, lists and dicts."""
    _assert_readable(content, path.name)
    with atomic_write(path) as temporary, sink(temporary) as file:
        torch.save({"format_version": FORMAT_VERSION, **content}, file)  # type: ignore[arg-type]


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        FormatError: missing, damaged, of another version, or holding anything that would need
            code to load.
    """
    if not path.is_file():
        raise FormatError(f"{path}: no such file")
    try:
        check_size(path)
        with zipfile.ZipFile(path) as archive:  # torch writes checksums and does not read them.
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Damaged bytes make the unpickler raise whatever it meets.
        raise FormatError(
            f"{path}: damaged or not a checkpoint; delete it and run again"
        ) from error
    content = content if isinstance(content, dict) else {}
    check_version(path, content.get("format_version"), FORMAT_VERSION)
    return content


def _assert_readable(value: Any, name: str) -> None:
    """Asserts that `read` accepts a value; for example, it refuses a NumPy number."""
    if isinstance(value, dict):
        for key, item in value.items():
            _assert_readable(item, f"{name}/{key}")
    elif isinstance(value, list):
        for item in value:
            _assert_readable(item, f"{name}[]")
    else:
        is_plain = type(value) in (str, int, float, bool, type(None))
        assert is_plain or isinstance(value, torch.Tensor), f"{name}: {type(value)}"


def check_size(path: Path) -> None:
    """Raises `FormatError` if a file of torch's would need more memory than its own size.

    torch never compresses the members of its files. A megabyte of compressed members may become a
    gigabyte in memory.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise FormatError(f"{path}: has compressed members, which torch does not write")
