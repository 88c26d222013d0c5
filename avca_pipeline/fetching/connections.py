"""HTTP connections that end in a bounded time, and as soon as they are too slow."""

from __future__ import annotations

import contextlib
import functools
import http.client
import math
import socket
import threading
import time
import urllib.request
from typing import Any

MIN_BYTES_PER_S = 1024


def min_bytes_per_s(rate_bytes_per_s: float | None) -> float:
    """Returns the lowest speed that a connection may have, from its highest.

    A connection that is slowed down on purpose must not count as slow.
    """
    return min(MIN_BYTES_PER_S, (rate_bytes_per_s or math.inf) / 2)


class ConnectionWatch:
    """Ends a connection that takes too long or is too slow.

    A time limit for each read is not enough: a byte now and then keeps each read short.

    Args:
        period_s: time within which an answer must come; later, the time over which the speed is
            measured.
        max_s: longest time in all.
        proxy: address of a proxy; without one, the environment decides.
        min_bytes_per_s: lowest speed, on average over a period.
    """

    def __init__(
        self,
        period_s: float,
        max_s: float,
        proxy: str | None = None,
        min_bytes_per_s: float = MIN_BYTES_PER_S,
    ) -> None:
        self.min_bytes_per_s = min_bytes_per_s
        self.period_s, self.max_s, self.proxy = period_s, max_s, proxy
        self.has_answered = False
        self.received = 0
        self.problem = ""
        self.sockets: list[socket.socket] = []
        self.over = threading.Event()

    def __enter__(self) -> ConnectionWatch:
        threading.Thread(target=self._watch_connections, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()

    def open_url(self, address: str, headers: dict[str, str], authorization: str) -> Any:
        """Returns the response to a GET; after a redirection the password is not sent."""
        request = urllib.request.Request(address, headers=headers)
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        opener = urllib.request.OpenerDirector()
        # Without handlers for other schemes, a redirection can only lead to http(s) addresses.
        proxies = {"http": self.proxy, "https": self.proxy} if self.proxy else None
        for handler in (
            urllib.request.ProxyHandler(proxies),
            _Http(self),
            _Https(self),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        response = opener.open(request, timeout=self.period_s)
        self.has_answered = True
        return response

    def _watch_connections(self) -> None:
        end, before, had_answered = time.monotonic() + self.max_s, 0, False
        while not self.over.wait(min(self.period_s, max(0.01, end - time.monotonic()))):
            if time.monotonic() >= end:
                self.problem = f"took longer than {self.max_s:g} s"
            elif not self.has_answered:
                self.problem = f"no answer within {self.period_s:g} s"
            elif had_answered and self.received - before < self.min_bytes_per_s * self.period_s:
                self.problem = f"brought less than {self.min_bytes_per_s:g} bytes a second"
            before, had_answered = self.received, self.has_answered
            if self.problem:
                for connected in self.sockets:
                    with contextlib.suppress(OSError):
                        # Not the method of an SSL socket, which would pass on encrypted bytes.
                        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, watch: ConnectionWatch, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.watch = watch

    def connect(self) -> None:
        super().connect()
        self.watch.sockets.append(self.sock)


class _HttpsConnection(_HttpConnection, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def __init__(self, watch: ConnectionWatch) -> None:
        super().__init__()
        self.watch = watch

    def http_open(self, req: urllib.request.Request) -> Any:
        connection: Any = functools.partial(_HttpConnection, self.watch)
        return self.do_open(connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, watch: ConnectionWatch) -> None:
        super().__init__()
        self.watch = watch

    def https_open(self, req: urllib.request.Request) -> Any:
        connection: Any = functools.partial(_HttpsConnection, self.watch)
        return self.do_open(connection, req)
