"""Decode workers: processes that turn clips into windows in shared memory.

Every worker has slots of its own for finished windows, and stops when all are full: memory is
bounded whatever the length of a clip. Workers are processes and not threads because a decoder
that crashes on a damaged file takes its process with it: then the clip is tried again in a
fresh worker and rejected if that dies as well, and the others go on. (A worker that others end,
most of all where memory is short, says nothing about its clip.) They talk through one pipe
each, because a lock shared with a process that dies stays locked.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import mmap
import multiprocessing as mp
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.media.decode_worker import slots_in, work
from avca_pipeline.media.notes import Notes
from avca_pipeline.media.planes import Layout
from avca_pipeline.media.probing import FROM_OUTSIDE
from avca_pipeline.media.windows import Window

# Jobs that a worker holds, so that it goes on while the network keeps the main process busy.
JOBS_AHEAD = 4
ATTEMPTS = 2
# A worker with something to do that has said nothing for this long is taken for dead.
SILENCE_S = 300.0


@dataclass(frozen=True)
class DecodedWindow:
    """A window of a clip, its data valid until the next item is asked for.

    Data with layouts are frames that the device is to convert, see `planes.packed`.
    """

    job: int
    data: np.ndarray
    num_valid: int
    start: float
    layouts: Sequence[Layout | None] = ()


@dataclass(frozen=True)
class RestartedClip:
    """A clip that is decoded again, as when its worker died: its windows so far do not count."""

    job: int


@dataclass(frozen=True)
class FinishedClip:
    """The end of a clip, with the reason if it is rejected, and what was done to decode it."""

    job: int
    reason: str = ""
    notes: Notes = field(default_factory=Notes)


@dataclass
class _Worker:
    process: Any
    connection: Connection
    slots: np.ndarray
    jobs: deque[int] = field(default_factory=deque)
    is_ready: bool = False
    heard_s: float = field(default_factory=time.monotonic)


class DecodePool:
    """Workers that decode clips.

    They are forked: they start at once, and share the clips and all imported modules. Start them
    before this process uses a GPU.

    Args:
        windows: decodes one clip.
        clips: what ``windows`` takes; a job is an index into them.
        shape: shape of a window.
        dtype: NumPy's name for the type of a window's elements.
        num_workers: number of processes.
        num_slots: number of finished windows for which there is memory, over all workers.
    """

    def __init__(
        self,
        windows: Callable[[Any], Iterator[Window]],
        clips: Sequence[Any],
        shape: tuple[int, ...],
        dtype: str,
        *,
        num_workers: int,
        num_slots: int,
    ) -> None:
        self.windows, self.clips, self.shape, self.dtype = windows, clips, shape, dtype
        self.num_workers = min(max(1, num_workers), len(clips))
        self.slots_per_worker = max(2, math.ceil(num_slots / max(1, self.num_workers)))
        self.waiting = deque(range(len(clips)))
        self.attempts = Counter[int]()
        self.workers: list[_Worker] = []

    def __enter__(self) -> DecodePool:
        for library in ("av", "torch"):  # once for all workers
            importlib.import_module(library)
        try:
            for _ in range(self.num_workers):
                self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            _stop(worker)

    def events(self) -> Iterator[DecodedWindow | RestartedClip | FinishedClip]:
        """Yields the windows of all clips, those of one in order, each clip's before its end.

        Raises:
            TransientError: a clip's worker was ended from outside, again and again.
            PipelineError: a worker cannot start, or ``windows`` raised one that is no
                `MediaError`.
        """
        remaining = len(self.clips)
        while remaining:
            for event in self._next_events():
                if isinstance(event, FinishedClip):
                    remaining -= 1
                yield event

    def _next_events(self) -> Iterator[DecodedWindow | RestartedClip | FinishedClip]:
        """Waits until a worker has sent something, and yields what each of them has sent."""
        busy = [worker for worker in self.workers if worker.jobs]
        ready = wait([worker.connection for worker in busy], timeout=1.0)
        for worker in busy:
            if worker.connection in ready:
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    cause, is_from_outside = _end_of(worker)
                    yield from self._replace(worker, cause, is_from_outside=is_from_outside)
                    continue
                yield from self._events_of(worker, message)
                worker.heard_s = time.monotonic()
            elif time.monotonic() - worker.heard_s > SILENCE_S and not worker.connection.poll():
                yield from self._replace(worker, f"silent for {SILENCE_S:.0f} s")

    def _events_of(
        self, worker: _Worker, message: tuple[Any, ...]
    ) -> Iterator[DecodedWindow | RestartedClip | FinishedClip]:
        job, slot, value = message
        if job is None:
            worker.is_ready = True
            if value:
                raise PipelineError(value)
        elif value is None:
            yield RestartedClip(job)
        elif slot is None:
            worker.jobs.remove(job)
            self._assign_jobs(worker)
            yield FinishedClip(job, *value)
        else:
            yield DecodedWindow(job, worker.slots[slot], *value)
            _send(worker, ("free", slot))

    def _start(self) -> None:
        context = mp.get_context("fork")
        ours, theirs = context.Pipe()
        size = self.slots_per_worker * math.prod(self.shape) * np.dtype(self.dtype).itemsize
        # Memory that the fork shares. A file in /dev/shm or TMPDIR might find no room there.
        buffer = mmap.mmap(-1, size)
        layout = (buffer, self.shape, self.dtype, self.slots_per_worker)
        # A copy of our end in a worker would keep it waiting after the end of this process.
        connections_of_others = [ours, *(worker.connection for worker in self.workers)]
        arguments = (theirs, connections_of_others, self.windows, self.clips, *layout)
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()  # so that the end of the worker is the end of the pipe
        worker = _Worker(process, ours, slots_in(*layout))
        self.workers.append(worker)
        self._assign_jobs(worker)

    def _assign_jobs(self, worker: _Worker) -> None:
        # Towards the end, no worker may hold a clip that another could begin.
        waiting = self.waiting
        while waiting and len(worker.jobs) < min(JOBS_AHEAD, 1 + len(waiting) // self.num_workers):
            job = waiting.popleft()
            worker.jobs.append(job)
            _send(worker, ("job", job))

    def _replace(
        self, worker: _Worker, cause: str, *, is_from_outside: bool = False
    ) -> Iterator[RestartedClip | FinishedClip]:
        """Puts a dead worker's clips back, and a new worker in its place."""
        _stop(worker)
        self.workers.remove(worker)
        if not worker.is_ready:
            raise PipelineError(f"a decode worker cannot start ({cause}); is there enough memory?")
        lost = list(worker.jobs)
        self.attempts[lost[0]] += 1
        if self.attempts[lost[0]] == ATTEMPTS:
            if is_from_outside:
                raise TransientError(
                    f"a decode worker was ended from outside ({cause}), most likely for lack of "
                    "memory; give the job more, or fewer workers, and run again"
                )
            yield FinishedClip(lost.pop(0), f"decoder died: {cause}")
        else:
            yield RestartedClip(lost[0])
        self.waiting.extendleft(reversed(lost))
        if self.waiting:
            self._start()


def _send(worker: _Worker, message: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):  # it is dead, and reading from it will say so
        worker.connection.send(message)


def _end_of(worker: _Worker) -> tuple[str, bool]:
    """Returns how a worker ended, and whether others ended it."""
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}", False
    return f"signal {-code}", -code in FROM_OUTSIDE


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()
