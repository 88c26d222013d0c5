"""Reads a file of a stranger in a child process, which may crash, hang or run out of memory.

The HDF5 library loops for ever on some damaged files. Nothing but the end of its process ends that.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from avca_pipeline.errors import FormatError

CPU_S = 10
BYTES_PER_CPU_S = 10 << 20
MEMORY_BYTES = 1 << 30
MEMORY_PER_BYTE = 128
"""What reading may cost: so much, and in addition so much for each byte of the file."""

Value = TypeVar("Value")


def read(path: Path, reader: Callable[[Path], Value]) -> Value:
    """Returns ``reader(path)``.

    Raises:
        FormatError: what the reader raises, in one line with the file; or its process died.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _answer(theirs, path, reader, size)
    os.close(theirs)
    try:
        with open(ours, "rb") as pipe:
            answer = pipe.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        status = os.waitpid(child, 0)[1]
    if status != 0:
        how = "takes too long" if os.WTERMSIG(status) == signal.SIGXCPU else "crashes its reader"
        raise FormatError(f"{path}: damaged: {how}")
    problem, value = pickle.loads(answer)
    if problem:
        raise FormatError(problem)
    return value


def _answer(pipe: int, path: Path, reader: Callable[[Path], Any], size: int) -> None:
    """Writes what the reader returns or raises into the pipe and ends this process."""
    status = 1
    try:
        _limit(size)
        try:
            answer = "", reader(path)
        except FormatError as error:
            answer = str(error), None
        except Exception as error:
            answer = f"{path}: cannot be read ({str(error) or type(error).__name__})", None
        with open(pipe, "wb") as file:
            pickle.dump(answer, file, protocol=5)
        status = 0
    finally:
        os._exit(status)  # The parent's buffers, files and handlers are not ours to end.


def _limit(size: int) -> None:
    cpu_s = CPU_S + size // BYTES_PER_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + MEMORY_BYTES + MEMORY_PER_BYTE * size
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard == resource.RLIM_INFINITY or memory < hard:
            resource.setrlimit(resource.RLIMIT_AS, (memory, hard))
