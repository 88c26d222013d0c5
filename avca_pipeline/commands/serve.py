"""Command ``serve``: a page in the browser, on which videos are classified."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from avca_pipeline.artifacts.temporary import remove_stale_temporaries, temporary_folder
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference.classifier import TrainedRun

logger = logging.getLogger(__name__)

FOLDER = "avca-serve"
GRACE_S = 2
"""How long requests may go on once the server is to end."""


def check_installed() -> None:
    """Raises `PipelineError` where the packages of the web server are not installed."""
    try:
        import starlette
        import uvicorn
    except ModuleNotFoundError as error:
        raise PipelineError(
            f"the page needs the package {error.name}; pip install 'avca_pipeline[web]'"
        ) from error
    del starlette, uvicorn


def run(
    trained: TrainedRun, *, classes: Sequence[str], max_bytes: int, host: str, port: int
) -> NoReturn:
    """Serves the page until the process is told to end, and ends it.

    Args:
        trained: what classifies.
        classes: names that the page begins with.
        max_bytes: of a video.
        host: name or address of this machine on which the page can be reached.
        port: 0 for one that is free.

    Raises:
        PipelineError: the address cannot be used, or there is no room for videos; weights are
            missing, damaged or other ones.
    """
    code: object = 0
    try:
        _serve(trained, classes, max_bytes, host, port)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = 130
    logging.shutdown()
    # A video may still be looked at in its thread, and Python does not end well beside that.
    os._exit(code if isinstance(code, int) else 1)


def _serve(
    trained: TrainedRun, classes: Sequence[str], max_bytes: int, host: str, port: int
) -> None:
    import uvicorn

    from avca_pipeline.web.answers import Answers
    from avca_pipeline.web.app import application

    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listening(host, port))
        address = ipaddress.ip_address(listening.getsockname()[0])
        answers = Answers(trained, classes, max_bytes)
        stack.enter_context(_signals_unwind())
        folder = stack.enter_context(_folder_for_videos())
        names = {"localhost", host.lower()}
        if not address.is_loopback:
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
            logger.warning(
                f"serve: --host {host}: everybody who reaches this machine can use the page; there "
                "is no password"
            )
        app = application(answers, folder, names, is_local=address.is_loopback)
        place = f"[{host}]" if ":" in host else host
        logger.info(
            f"serve: {trained.bundle.description.name} at "
            f"http://{place}:{listening.getsockname()[1]}/; Ctrl-C ends it"
        )
        settings = uvicorn.Config(
            app, http="h11", ws="none", log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )  # fmt: skip
        _server(settings).run(sockets=[listening])


def _server(settings: Any) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # What it says of requests that end with the server is no error.
            logging.getLogger("uvicorn.error").disabled = True
            super().handle_exit(sig, frame)

    return Server(settings)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yields a socket on which the page can be reached.

    Raises:
        PipelineError: the address cannot be used.
    """
    try:
        family, *_, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.create_server(place[:2], family=family)
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise PipelineError(
            f"--host {host} --port {port}: cannot be used ({why}); name another one, --port 0 for "
            "any that is free"
        ) from error
    with opened:
        yield opened


@contextlib.contextmanager
def _folder_for_videos() -> Iterator[Path]:
    """Yields a folder that nobody else may read; those of servers that were killed are removed.

    Raises:
        PipelineError: it cannot be made.
    """
    try:
        parent = Path(tempfile.gettempdir())
        remove_stale_temporaries(parent)
        opened = temporary_folder(parent / FOLDER)
        folder = opened.__enter__()
    except OSError as error:
        raise PipelineError(
            f"no folder for videos can be made ({error.strerror}); make room, or name a folder in "
            "TMPDIR"
        ) from error
    with contextlib.ExitStack() as stack:
        stack.push(opened)
        folder.chmod(0o700)
        yield folder


@contextlib.contextmanager
def _signals_unwind() -> Iterator[None]:
    """Makes the signals that end a process leave blocks as an exception does.

    The web server raises such a signal again once it has ended, and by default the process would
    be gone before the videos are removed.
    """

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP) if os.name == "posix" else (signal.SIGTERM,)
    former = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
