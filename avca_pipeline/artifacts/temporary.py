"""Temporary files and folders: each says whose it is, so that the next job can remove a dead one's.

A name holds the run of the kernel (boot), the PID namespace, the process and the time at which it
started. Within one PID namespace that is enough to know whether the owner lives. A container has
a PID namespace of its own, whatever its host name; there the lock that the owner holds on the file
decides. On another machine the lock may not be seen: its files must have been left alone for long.
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

# So long nobody has touched a file, or added to a folder, that nobody is writing any more. What
# is unpacked into a folder is read for as long as a stage takes.
FORGOTTEN_FILE_S, FORGOTTEN_FOLDER_S = 24 * 3600.0, 30 * 24 * 3600.0
# Of the target's name, so that a temporary name is legal wherever the target's is.
KEPT_OF_NAME = 60
NAME = re.compile(r"\..*\.([0-9a-f]{12})-(\d{1,12})-(\d{1,9})-(\d{1,20})-\d+\.tmp", re.DOTALL)
OF_RELEASE_0_1_0 = re.compile(r"\..*\.[0-9a-f]{8}-\d+\.tmp", re.DOTALL)

_numbers = itertools.count()


@dataclass(frozen=True)
class Owner:
    """A process, told apart from all others of this machine and of others.

    Attributes:
        boot: stands for one run of one machine's kernel.
        namespace: number of the PID namespace, within which `process` is unique.
        process: its id.
        started: when it started, in the kernel's units; 0 where that is not known.
    """

    boot: str
    namespace: int
    process: int
    started: int


@contextlib.contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """Yields a new empty file beside ``target``, which is gone afterwards unless it was renamed.

    It is locked: write into this file and put no other one in its place.
    """
    path, descriptor = _created(target, is_folder=False)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yields a new folder beside ``target``, which is gone afterwards unless it was renamed."""
    path, descriptor = _created(target, is_folder=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def remove_stale_temporaries(folder: Path) -> None:
    """Removes from a folder the temporary files and folders of processes that are dead."""
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.endswith(".tmp")]
    except OSError:  # There is no such folder, and so nothing in it; or it is not ours to change.
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            _remove_if_dead(entry)


def _created(target: Path, *, is_folder: bool) -> tuple[Path, int]:
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
        # Another job that saw it before it was locked has the lock or has removed it.
        if locks.try_lock(descriptor) is not False and locks.is_same_file(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _name(target_name: str) -> str:
    owner = _owner(os.getpid())
    begin = target_name.encode("utf-8", "surrogateescape")[:KEPT_OF_NAME].decode("utf-8", "ignore")
    return (
        f".{begin}.{owner.boot}-{owner.namespace}-{owner.process}-{owner.started}"
        f"-{next(_numbers)}.tmp"
    )


def _remove_if_dead(entry: Path) -> None:
    parts = NAME.fullmatch(entry.name)
    if parts is None:
        if OF_RELEASE_0_1_0.fullmatch(entry.name) and _is_forgotten(entry):
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
        if is_dead or (is_free is not False and _is_forgotten(entry)):
            _remove(entry)


@contextlib.contextmanager
def _locked(entry: Path) -> Iterator[bool | None]:
    """Yields whether the lock was free and now is ours; nothing where there are no locks."""
    kind = os.O_RDONLY | os.O_DIRECTORY if entry.is_dir() else os.O_RDWR | os.O_NONBLOCK
    descriptor = os.open(entry, kind | os.O_NOFOLLOW)
    try:
        yield locks.try_lock(descriptor)
    finally:
        os.close(descriptor)


def _is_forgotten(entry: Path) -> bool:
    limit_s = FORGOTTEN_FOLDER_S if entry.is_dir() else FORGOTTEN_FILE_S
    return time.time() - entry.lstat().st_mtime > limit_s


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _is_alive(owner: Owner) -> bool:
    """Returns whether a process of our own PID namespace lives; if in doubt, it does."""
    try:
        os.kill(owner.process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # It is someone else's.
        pass
    started = _owner(owner.process).started
    return 0 in (started, owner.started) or started == owner.started


def _owner(process: int) -> Owner:
    """Returns what is known of a process of our own PID namespace."""
    return Owner(_boot(), _namespace(), process, _started(process))


def _boot() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # Not on Linux: there, a machine is known by its name.
        text = platform.node()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _namespace() -> int:
    try:
        return int(re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink())))
    except (OSError, ValueError):
        return 0


def _started(process: int) -> int:
    """Returns when a process started; 0 where the system does not say, -1 if it has ended."""
    try:
        # A /proc of another PID namespace numbers processes otherwise.
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return 0
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return -1 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
