"""Advisory file locks, which the kernel releases when the process ends, however it ends.

Not every file system has them (Lustre without its option flock, NFS without lockd). There the
work goes on without a lock, and a warning says what may happen.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

_held: list[int] = []
_warned: set[str] = set()


def try_lock(descriptor: int) -> bool | None:
    """Locks an open file or folder for as long as it is open, if nobody else has the lock.

    Returns:
        Whether the lock is ours now, or ``None`` if the file system has no locks.
    """
    return _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def hold(path: Path, risk: str) -> bool:
    """Takes the lock of a file until this process ends; returns false if another process has it.

    Args:
        path: of the file.
        risk: what may happen where there are no locks; there the answer is always true.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = _open(path)
    is_ours = try_lock(descriptor)
    if is_ours is False:
        os.close(descriptor)
        return False
    if is_ours is None:
        _warn(path, risk)
    _held.append(descriptor)
    return True


def are_supported(path: Path) -> bool:
    """Returns whether the file system has locks, by trying one on a file that is made for it.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = _open(path)
    try:
        return try_lock(descriptor) is not None
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Share:
    """A process's share of a lock that several processes have; see `join` and `alone`.

    Attributes:
        descriptor: of the file whose lock is shared.
        gate: descriptor of a second file. A process that takes or tests a share holds its lock
            meanwhile, because for the test the kernel first releases the process's own share.
    """

    descriptor: int
    gate: int


def join(path: Path, risk: str) -> Share:
    """Takes a share of a lock until this process ends.

    Args:
        path: of the lock's file.
        risk: what may happen where there are no locks.

    Raises:
        OSError: the file cannot be written.
    """
    share = Share(_open(path), _open(path.with_name(path.name + ".gate")))
    with _waiting_for(share.gate):
        if _lock(share.descriptor, fcntl.LOCK_SH) is None:
            _warn(path, risk)
    _held.extend((share.descriptor, share.gate))
    return share


@contextlib.contextmanager
def alone(share: Share) -> Iterator[bool]:
    """Yields whether no other process has a share; as long as the block runs, none can take one.

    Where the file system has no locks, the answer is always false.
    """
    with _waiting_for(share.gate):
        try:
            yield bool(try_lock(share.descriptor))
        finally:
            # Other processes can have shares at most, so this call does not wait.
            _lock(share.descriptor, fcntl.LOCK_SH)


@contextlib.contextmanager
def one_at_a_time(path: Path, risk: str) -> Iterator[bool]:
    """Waits until no other process or thread is inside a block with the same lock file.

    Yields true, or false where the file system has no locks and others may be inside. Afterwards
    the file is removed.

    Args:
        path: of the lock's file.
        risk: what may happen where there are no locks.

    Raises:
        OSError: the file cannot be written.
    """
    while True:
        descriptor = _open(path)
        is_locked = bool(_lock(descriptor, fcntl.LOCK_EX))
        if not is_locked or is_same_file(path, descriptor):
            break
        # The process before has removed the file; others may wait for a new one already.
        os.close(descriptor)
    if not is_locked:
        _warn(path, risk)
    try:
        yield is_locked
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def is_same_file(path: Path, descriptor: int) -> bool:
    """Returns whether a path still leads to this open file or folder."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _waiting_for(descriptor: int) -> Iterator[None]:
    _lock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _lock(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int, operation: int) -> bool | None:
    """Changes the lock of an open file or folder; every lock of this project goes through here.

    Args:
        descriptor: of the file.
        operation: of `fcntl.flock`.

    Returns:
        False if another has the lock, ``None`` if the file system has no locks: Lustre, NFS
        without its lock daemon and DVS each have an error of their own for that.
    """
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _warn(path: Path, risk: str) -> None:
    if risk not in _warned:
        _warned.add(risk)
        logger.warning(f"{path.parent}: its file system has no locks: {risk}")
