"""Files that exist are whole: write under a temporary name in the same folder, then rename."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import platform
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.errors import FormatError, PipelineError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it to ``path`` once the block succeeds.

    A crash, a full disk or `kill -9` leaves the old file, or none; never half of one.

    Raises:
        PipelineError: the folder cannot be written to or the disk is full.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PipelineError(f"{path}: cannot be written ({_reason(error)})") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside ``path`` that becomes ``path`` once the block succeeds.

    Raises:
        PipelineError: it cannot be written to or the disk is full.
    """
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        raise PipelineError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes temporary files and folders of processes that were killed on this machine."""
    if not folder.is_dir():
        return
    ours = re.compile(rf"\..*\.{_machine()}-(\d+)\.tmp")
    for entry in folder.iterdir():
        owner = ours.fullmatch(entry.name)
        if owner is None or _is_alive(int(owner[1])):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is someone else's
        return True
    return True


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.tmp")


def _machine() -> str:
    """Returns a short name of this machine: on a shared disk each knows its own processes only."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _reason(error: OSError) -> str:
    """Returns what went wrong in the system's words, which HDF5 hides among its own."""
    hidden = re.search(r"error message = '([^']*)'", str(error))
    return hidden[1] if hidden else " ".join((error.strerror or str(error)).split())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a UTF-8 CSV with a header line."""
    with writing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON that people can read and that never contains NaN."""
    with writing(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def file_sha256(path: Path, start: int = 0) -> str:
    """Returns the SHA-256 of a file's content from a byte on, in hexadecimal."""
    with open(path, "rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_version(path: Path, found: object, expected: int) -> None:
    """Raises `FormatError` unless the file's format version is the one this release reads."""
    if found != expected:
        raise FormatError(
            f"{path}: format version {found}, this release reads {expected}; "
            "delete the file and run again to rebuild it"
        )
