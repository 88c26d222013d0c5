"""Reads an untrusted file in a child process, which may crash, hang or run out of memory.

The HDF5 library loops for ever on some damaged files. Nothing but the end of its process ends that.
"""

from __future__ import annotations

import math
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from avca_pipeline.errors import FormatError

CPU_S = 10
BYTES_PER_CPU_S = 10 << 20
MEMORY_BYTES = 1 << 30
MEMORY_PER_BYTE = 128
"""Limits of reading: a fixed part, and a part for each byte of the file."""

Value = TypeVar("Value")


def read(path: Path, reader: Callable[[Path], Value]) -> Value:
    """Returns ``reader(path)``.

    Raises:
        FormatError: what the reader raises, in one line with the file; or its process died.
    """
    return next(iter(read_each([path], reader)))


def read_each(paths: Sequence[Path], reader: Callable[[Path], Value]) -> Iterator[Value]:
    """Yields ``reader(path)`` of each path, all from the same child.

    Raises:
        FormatError: as `read`, for the first file that cannot be read.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _answer(theirs, paths, reader)
    os.close(theirs)
    is_alone = False
    try:
        with open(ours, "rb") as pipe:
            for path in paths:
                try:
                    problem, value = pickle.load(pipe)
                except (EOFError, pickle.UnpicklingError) as error:
                    status = os.waitpid(child, 0)[1]
                    is_alone = True
                    is_late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
                    how = "takes too long" if is_late else "crashes its reader"
                    raise FormatError(f"{path}: damaged: {how}") from error
                if problem:
                    raise FormatError(problem)
                yield value
    finally:
        if not is_alone:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _answer(pipe: int, paths: Sequence[Path], reader: Callable[[Path], Any]) -> None:
    """Writes what the reader returns or raises into the pipe and ends this process."""
    try:
        with open(pipe, "wb") as file:
            for path in paths:
                try:
                    _limit(path.stat().st_size)
                    answer = "", reader(path)
                except FormatError as error:
                    answer = str(error), None
                except Exception as error:
                    words = str(error) or type(error).__name__
                    answer = f"{path}: cannot be read ({words})", None
                pickle.dump(answer, file, protocol=5)
                file.flush()
    finally:
        os._exit(0)  # The parent's buffers, files and handlers are not ours to end.


def _limit(size: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = math.ceil(used.ru_utime + used.ru_stime) + CPU_S + size // BYTES_PER_CPU_S
    _set(resource.RLIMIT_CPU, cpu_s)
    _set(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + MEMORY_BYTES + MEMORY_PER_BYTE * size
        _set(resource.RLIMIT_AS, memory)


def _set(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (soft, hard))
