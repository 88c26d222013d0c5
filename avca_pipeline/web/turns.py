"""One thing is computed at a time, in a thread of its own; others wait in the order they came."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class TooBusyError(Exception):
    """There are as many requests as may wait."""


class Turns:
    """A thread that computes, and the places of those that wait for it.

    Args:
        places: how many may be there at a time, with the one that is computed.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken = 0
        self._lock = threading.Lock()
        self._futures: list[Future[Any]] = []
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        # A daemon: the end of the server need not wait for a long video.
        threading.Thread(target=self._compute, name="classifier", daemon=True).start()

    def take_place(self) -> None:
        """Takes a place, before anything is received.

        Raises:
            TooBusyError: there is none.
        """
        with self._lock:
            if self._taken >= self.places:
                raise TooBusyError
            self._taken += 1

    def leave_place(self) -> None:
        """Gives a place back of which nothing was submitted."""
        with self._lock:
            self._taken -= 1

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """Has a function called in its turn; its place is free once it has ended."""
        future: Future[Any] = Future()
        with self._lock:
            self._futures.append(future)
        self._queue.put((function, future))
        return future

    def num_before(self, future: Future[Any]) -> int:
        """Returns how many are computed before, with the one at this moment."""
        with self._lock:
            return self._futures.index(future) if future in self._futures else 0

    def _compute(self) -> None:
        while True:
            function, future = self._queue.get()
            result, error = None, None
            is_wanted = future.set_running_or_notify_cancel()
            try:
                result = function() if is_wanted else None
            except BaseException as raised:  # the one who waits raises it
                error = raised
            # Before the answer: who has it may ask again.
            with self._lock:
                self._futures.remove(future)
                self._taken -= 1
            if is_wanted and error is not None:
                future.set_exception(error)
            elif is_wanted:
                future.set_result(result)
