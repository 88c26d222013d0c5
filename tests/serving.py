"""A web server on this machine that answers as a test says."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator


class Request(http.server.BaseHTTPRequestHandler):
    """One request; `answer` answers it."""

    def do_GET(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.handle_test_request(self)  # type: ignore[attr-defined]

    do_POST = do_GET

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Sends a whole answer; headers are given with underscores, and may replace the length."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.begin(status, **{"Content-Length": str(len(body))} | named)
        self.wfile.write(body)

    def begin(self, status: int = 200, **headers: str) -> None:
        """Sends the head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serving(handle: Callable[[Request], None]) -> Iterator[str]:
    """Yields the address of a server whose requests are handled by ``handle``."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request) as server:
        server.daemon_threads = True
        server.handle_test_request = handle  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
