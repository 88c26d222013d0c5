"""Locks that a process keeps until it ends, however it ends: the system takes them back."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
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


# What `flock` says on file systems that know no locks: Lustre, NFS without its lock daemon, DVS.
_NO_LOCKS = frozenset((errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, 524))


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[bool]:
    """Waits until no other process or thread is inside this block with the same lock file.

    Yields whether that is so; false where the file system knows no locks. The file is gone
    afterwards.

    Raises:
        OSError: the file cannot be written.
    """
    is_locked = False
    while True:
        file = open(path, "w")  # noqa: SIM115 - closed below, and before another try
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            is_locked = True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
            break
        if _is_at(path, file):
            break
        file.close()  # The one before has removed it; others may wait for a new one already.
    try:
        yield is_locked
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _is_at(path: Path, file: TextIO) -> bool:
    """Returns whether an open file is still the one that a path leads to."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(file.fileno()))
