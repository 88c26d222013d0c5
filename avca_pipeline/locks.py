"""Locks that a process keeps until it ends, however it ends: the system takes them back."""

from __future__ import annotations

import fcntl
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
