"""Temporary files and folders, named so that a later job can remove those of dead processes.

A name contains the run of the kernel (boot), the PID namespace, the process that owns the file, and
the time at which the process started. Within one PID namespace this tells whether the owner lives.
A container has a PID namespace of its own; for its files, the lock that the owner holds decides. A
lock of another machine may be invisible here; its files are removed only when nobody has changed
them for a long time.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.runtime import locks

# A file or folder that has not changed for this time has no owner any more. Folders get more time:
# a stage may read for days the files that it has unpacked.
STALE_FILE_S, STALE_FOLDER_S = 24 * 3600.0, 30 * 24 * 3600.0
# Bytes of the target's name in a temporary name, which must not become too long for a file system.
NAME_BYTES = 60
NAME = re.compile(r"\..*\.([0-9a-f]{12})-(\d{1,12})-(\d{1,9})-(\d{1,20})-\d+\.tmp", re.DOTALL)
OF_RELEASE_0_1_0 = re.compile(r"\..*\.[0-9a-f]{8}-\d+\.tmp", re.DOTALL)

_numbers = itertools.count()


@dataclass(frozen=True)
class Owner:
    """A process, identified across machines and reboots.

    Attributes:
        boot: identifies one run of the kernel of one machine.
        namespace: number of the PID namespace, within which `process` is unique.
        process: its id.
        started: time at which it started, in the kernel's units; 0 if that is not known.
    """

    boot: str
    namespace: int
    process: int
    started: int


@contextlib.contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """Yields a new empty file beside ``target``, which is removed afterwards unless it was renamed.

    The file is locked: write into it, and do not replace it.
    """
    path, descriptor = _create(target, is_folder=False)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yields a new folder beside ``target``, which is removed afterwards unless it was renamed."""
    path, descriptor = _create(target, is_folder=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def remove_stale_temporaries(folder: Path) -> None:
    """Removes from a folder the temporary files and folders of processes that are dead."""
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.endswith(".tmp")]
    except OSError:  # The folder does not exist, or may not be read.
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            _remove_if_dead(entry)


def _create(target: Path, *, is_folder: bool) -> tuple[Path, int]:
    """Returns a new file or folder and a descriptor that holds its lock.

    Raises:
        FileNotFoundError: the folder that it is to lie in does not exist.
    """
    while True:
        path = target.with_name(_name(target.name))
        if is_folder:
            path.mkdir()
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:  # Another job has removed it already.
                continue
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        # Before it was locked, another job may have seen it, and have locked or removed it.
        if locks.try_lock(descriptor) is not False and locks.is_same_file(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _name(target_name: str) -> str:
    owner = _owner(os.getpid())
    begin = target_name.encode("utf-8", "surrogateescape")[:NAME_BYTES].decode("utf-8", "ignore")
    return (
        f".{begin}.{owner.boot}-{owner.namespace}-{owner.process}-{owner.started}"
        f"-{next(_numbers)}.tmp"
    )


def _remove_if_dead(entry: Path) -> None:
    parts = NAME.fullmatch(entry.name)
    if parts is None:
        if OF_RELEASE_0_1_0.fullmatch(entry.name) and _is_stale(entry):
            _remove(entry)
        return
    owner = Owner(parts[1], int(parts[2]), int(parts[3]), int(parts[4]))
    own = _owner(os.getpid())
    if (owner.boot, owner.namespace) == (own.boot, own.namespace):
        if not _is_alive(owner):
            _remove(entry)
        return
    with _locked(entry) as is_free:
        is_dead = is_free and owner.boot == own.boot
        if is_dead or (is_free is not False and _is_stale(entry)):
            _remove(entry)


@contextlib.contextmanager
def _locked(entry: Path) -> Iterator[bool | None]:
    """Yields whether the lock was free and is held now; ``None`` where there are no locks."""
    kind = os.O_RDONLY | os.O_DIRECTORY if entry.is_dir() else os.O_RDWR | os.O_NONBLOCK
    descriptor = os.open(entry, kind | os.O_NOFOLLOW)
    try:
        yield locks.try_lock(descriptor)
    finally:
        os.close(descriptor)


def _is_stale(entry: Path) -> bool:
    limit_s = STALE_FOLDER_S if entry.is_dir() else STALE_FILE_S
    return time.time() - entry.lstat().st_mtime > limit_s


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _is_alive(owner: Owner) -> bool:
    """Returns whether a process of this PID namespace lives; true if that is not known."""
    try:
        os.kill(owner.process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # The process belongs to another user.
        pass
    started = _owner(owner.process).started
    return 0 in (started, owner.started) or started == owner.started


def _owner(process: int) -> Owner:
    """Returns a process of this PID namespace as an owner."""
    return Owner(_boot(), _namespace(), process, _started(process))


def _boot() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # Not on Linux: the machine's name has to do.
        text = platform.node()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _namespace() -> int:
    try:
        return int(re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink())))
    except (OSError, ValueError):
        return 0


def _started(process: int) -> int:
    """Returns the time at which a process started; 0 if it is not known, -1 if it has ended."""
    try:
        # The /proc of another PID namespace has other numbers for processes.
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return 0
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return -1 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
