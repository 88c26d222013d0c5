"""Whole files or none: files are written under a temporary name in the same folder and renamed."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.temporary import (
    remove_stale_temporaries,
    temporary_file,
    temporary_folder,
)
from avca_pipeline.errors import FormatError, PipelineError

SETTLED_NS = 2_000_000_000
"""Age from which on a file's dates tell whether it was changed; some disks count whole seconds."""

_cleaned_folders: set[Path] = set()


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it to ``path`` once the block succeeds.

    A crash, a full disk or `kill -9` leaves the old file or none, never half of a new one. What
    dead jobs have left in the folder is removed.

    Raises:
        PipelineError: the folder cannot be written to or the disk is full.
    """
    with errors_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_once(path.parent)
        with temporary_file(path) as temporary:
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)


@contextlib.contextmanager
def atomic_write_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside ``path`` that becomes ``path`` once the block succeeds.

    Raises:
        PipelineError: it cannot be written to or the disk is full.
    """
    with errors_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_once(path.parent)
        with temporary_folder(path) as temporary:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _to_disk(file)
            # The old folder is renamed before it is removed, so that nobody sees half of it.
            with temporary_folder(path) as former:
                if path.exists():
                    path.replace(former)
                temporary.replace(path)


@contextlib.contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yields a folder beside ``path`` for what is needed only until ``path`` is written.

    Raises:
        PipelineError: it cannot be made.
    """
    with contextlib.ExitStack() as stack:
        with errors_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_stale_temporaries(path.parent)  # They may be what has filled the disk.
            folder = stack.enter_context(temporary_folder(path))
        yield folder


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turns errors of the system into a `PipelineError` that says what cannot be written."""
    try:
        yield
    except OSError as error:
        raise PipelineError(f"{path}: cannot be written ({_reason(error)})") from error


def _to_disk(path: Path) -> None:
    """Waits until a file is on the disk; only then may it get its final name."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _remove_stale_once(folder: Path) -> None:
    """Removes temporary files of dead jobs when this process first writes into a folder."""
    if folder not in _cleaned_folders:
        _cleaned_folders.add(folder)
        remove_stale_temporaries(folder)


def _reason(error: OSError) -> str:
    """Returns the system's message, which HDF5 puts inside its own."""
    hidden = re.search(r"error message = '([^']*)'", str(error))
    return hidden[1] if hidden else " ".join((error.strerror or str(error)).split())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a UTF-8 CSV with a header line; any text in a cell is read back as it was."""
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        # A carriage return ends a line for readers; Python 3.11 does not quote it by itself.
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in rows:
            (quoting if any("\r" in str(cell) for cell in row) else writer).writerow(row)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON that people can read and that never contains NaN."""
    with atomic_write(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def file_sha256(path: Path, start: int = 0) -> str:
    """Returns the SHA-256 of a file's content from a byte on, in hexadecimal.

    A process reads a file once for that, and again if the file is another one or was changed. A
    file that was changed a moment ago is read each time: its dates may stay as they are if it is
    changed again.
    """
    state = path.stat()
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < SETTLED_NS:
        return _sha256(path, start)
    return _known_sha256(
        path.absolute(), start, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns,
        state.st_ctime_ns,
    )  # fmt: skip


@functools.lru_cache(maxsize=1024)
def _known_sha256(path: Path, start: int, *_state: int) -> str:
    return _sha256(path, start)


def _sha256(path: Path, start: int) -> str:
    with open(path, "rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_version(path: Path, version: object, expected: int) -> None:
    """Raises `FormatError` unless the file's format version is the one this release reads."""
    if version != expected:
        raise FormatError(
            f"{path}: format version {version}, this release reads {expected}; "
            "delete the file and run again to rebuild it"
        )
