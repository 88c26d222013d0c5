"""Locks that a process keeps until it ends, however it ends: the system takes them back."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_held: list[TextIO] = []


def hold(path: Path) -> bool:
    """Takes the lock that a file stands for until this process ends; false if another has it.

    Raises:
        OSError: the file cannot be written, or its file system knows no locks.
    """
    file = open(path, "w")  # noqa: SIM115 - closing it would give the lock back
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True


def join(path: Path) -> TextIO:
    """Takes a share of a lock until this process ends; see `alone`.

    Raises:
        OSError: the file cannot be written.
    """
    file = open(path, "w")  # noqa: SIM115 - closing it would give the share back
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    _held.append(file)
    return file


@contextlib.contextmanager
def alone(share: TextIO) -> Iterator[bool]:
    """Yields whether no other process has a share, and lets none have one meanwhile.

    Where the file system knows no locks, nobody is alone.
    """
    try:
        fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_alone = True
    except OSError:
        is_alone = False
    try:
        yield is_alone
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(share, fcntl.LOCK_SH | fcntl.LOCK_NB)
