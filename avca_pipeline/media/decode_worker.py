"""What a decode worker does: it decodes clips into shared memory until its pipe is closed.

The other side, which starts workers and reads what they send, is `workers`.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.media import MediaError
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.planes import packed
from avca_pipeline.media.windows import RESTART, Window
from avca_pipeline.runtime.lazy import torch

# The names of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 256 << 20


def work(
    connection: Connection,
    connections_of_others: Sequence[Connection],
    windows: Callable[[Any], Iterator[Window]],
    clips: Sequence[Any],
    buffer: Any,
    shape: tuple[int, ...],
    dtype: str,
    num_slots: int,
) -> None:
    """Decodes clips as they come, until the other end of the pipe is closed.

    It receives ``("job", clip)`` and ``("free", slot)``. It sends ``(None, None, "")`` when it is
    ready, ``(None, None, text)`` for an error that ends the stage, for each window
    ``(job, slot, (num_valid, start, layouts))``, ``(job, None, None)`` where a clip begins anew,
    and ``(job, None, (reason, notes))`` for the end of a clip.

    Args:
        connection: this worker's end of the pipe.
        connections_of_others: copies that the fork made of the other workers' ends, to be closed.
        windows: decodes one clip.
        clips: what ``windows`` takes; a job is an index into them.
        buffer: memory that this worker shares with the main process.
        shape: shape of a window.
        dtype: NumPy's name for the type of a window's elements.
        num_slots: number of windows for which there is memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler of the main process is for itself
    for other in connections_of_others:
        other.close()
    torch.set_num_threads(1)  # workers are the unit of parallelism
    keep_memory()
    slots = slots_in(buffer, shape, dtype, num_slots)
    pipe = _Pipe(connection, num_slots)
    with contextlib.suppress(_Abandoned):
        pipe.send(None, None, "")
        while True:
            job = pipe.receive("job")
            with taking_notes() as notes:
                reason = _decode(windows, clips[job], job, pipe, slots)
            pipe.send(job, None, (reason, notes))


def _decode(
    windows: Callable[[Any], Iterator[Window]],
    clip: Any,
    job: int,
    pipe: _Pipe,
    slots: np.ndarray,
) -> str:
    """Sends the windows of a clip; returns why the clip is rejected, an empty text if it is not."""
    try:
        for window in windows(clip):
            if window is RESTART:
                pipe.send(job, None, None)
                continue
            slot = pipe.receive("free")
            layouts = []
            if window.data.dtype == object:  # frames that the device is to convert
                layouts = packed(window, slots[slot])
            else:
                slots[slot] = window.data
            pipe.send(job, slot, (window.num_valid, window.start, layouts))
    except MediaError as error:
        return str(error)
    except PipelineError as error:
        pipe.send(None, None, str(error))
    except Exception as error:
        # A file that surprises the decoder is one rejected clip, not a lost shard.
        traceback.print_exc()
        return f"decoder failed: {type(error).__name__}: {error}".splitlines()[0]
    return ""


def rejecting(windows: Callable[[Any], Iterator[Window]], clip: Any) -> Iterator[Window]:
    """Yields the windows of a clip.

    Raises:
        MediaError: also where reading may succeed at another time.
    """
    try:
        yield from windows(clip)
    except TransientError as error:
        raise MediaError(str(error)) from error


class _Pipe:
    """This worker's end of the pipe, and what has arrived there: jobs and free slots."""

    def __init__(self, connection: Connection, num_slots: int) -> None:
        self._connection = connection
        self._inbox: dict[str, deque[int]] = {"free": deque(range(num_slots)), "job": deque()}

    def send(self, *message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError:
            raise _Abandoned from None

    def receive(self, kind: str) -> int:
        """Returns the next job or free slot; waits until there is one."""
        while not self._inbox[kind]:
            try:
                received, value = self._connection.recv()
            except (EOFError, OSError):
                raise _Abandoned from None
            self._inbox[received].append(value)
        return self._inbox[kind].popleft()


class _Abandoned(BaseException):
    """The main process has closed its end of the pipe, so the worker ends."""


def keep_memory() -> None:
    """Has this process keep the memory of one frame for the next.

    By default the C library returns blocks of a frame's size at once, and the system clears them
    anew for each frame: a third of the time of preparing 720p. Elsewhere than on glibc it does
    nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            mallopt(parameter, KEPT_BYTES)


def slots_in(buffer: Any, shape: tuple[int, ...], dtype: str, num_slots: int) -> np.ndarray:
    """Returns shared memory as ``(num_slots, *shape)``."""
    return np.frombuffer(buffer, dtype).reshape(num_slots, *shape)
