"""The application: the page, and the three questions that it asks."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import logging
from collections.abc import AsyncIterator, Collection
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from avca_pipeline.errors import PipelineError
from avca_pipeline.web.answers import Answers, UnknownVideoError
from avca_pipeline.web.guard import Guard
from avca_pipeline.web.turns import TooBusyError, Turns
from avca_pipeline.web.uploads import received

logger = logging.getLogger(__name__)

PLACES = 8
"""How many requests may be received, wait or be computed at a time."""
MAX_BYTES_OF_NAMES = 1 << 20
POLL_S, HEARTBEAT_S = 0.5, 10.0
PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
FAILED = "The server failed at this; its screen says why."


def application(
    answers: Answers, folder: Path, names: Collection[str], *, is_local: bool
) -> Starlette:
    """Returns the application.

    Args:
        answers: computes them.
        folder: where a video is for as long as it is looked at.
        names: host names under which the server may be asked.
        is_local: see `Guard`.
    """
    asked = _Asked(answers, folder)
    return Starlette(
        routes=[
            *(Route(path, _page(*found)) for path, found in PAGE.items()),
            Route("/run", asked.run),
            Route("/videos", asked.video, methods=["POST"]),
            Route("/rankings", asked.ranking, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, names=names, is_local=is_local)],
        exception_handlers={HTTPException: _error},
    )


class _Asked:
    """The questions of the page."""

    def __init__(self, answers: Answers, folder: Path) -> None:
        self.answers, self.folder = answers, folder
        self.turns = Turns(PLACES)

    async def run(self, _: Request) -> Response:
        """Answers what the page begins with."""
        return JSONResponse(self.answers.of_run())

    async def video(self, request: Request) -> Response:
        """Receives a video, and answers in lines of JSON: how many are before it, and its key."""
        self._take_place()
        try:
            path = await received(request, self.folder, self.answers.max_bytes)
        except BaseException as error:
            self.turns.leave_place()
            if isinstance(error, ClientDisconnect):
                return Response(status_code=400)
            if isinstance(error, OSError):
                logger.exception("serve: an upload cannot be kept")
                raise HTTPException(507, f"The server has no room ({error.strerror}).") from error
            raise
        future = self.turns.submit(partial(self.answers.of_video, path))
        # Also where nobody waits for the answer any more, and it is never computed.
        future.add_done_callback(lambda _: path.unlink(missing_ok=True))
        return StreamingResponse(self._lines(future), media_type="application/x-ndjson")

    async def ranking(self, request: Request) -> Response:
        """Answers how a video that was received is ranked among class names."""
        key, class_names = await _names(request)
        self._take_place()
        future = self.turns.submit(partial(self.answers.of_names, key, class_names))
        try:
            return JSONResponse(await asyncio.wrap_future(future))
        except UnknownVideoError as error:
            raise HTTPException(
                404, "The server has forgotten the video; send it again."
            ) from error
        except PipelineError as error:
            raise HTTPException(422, str(error)) from error
        except Exception as error:
            logger.exception("serve: a ranking failed")
            raise HTTPException(500, FAILED) from error

    async def _lines(self, future: Future[Any]) -> AsyncIterator[str]:
        answer = asyncio.wrap_future(future)
        told, silent_s = -1, 0.0
        try:
            while not answer.done():
                before = self.turns.num_before(future)
                if before != told or silent_s >= HEARTBEAT_S:
                    yield _line({"before": before})
                    told, silent_s = before, 0.0
                await asyncio.wait({answer}, timeout=POLL_S)
                silent_s += POLL_S
            yield _line(answer.result())
        except Exception:
            logger.exception("serve: a video failed")
            yield _line({"error": FAILED})
        finally:  # The user may have gone away.
            answer.cancel()

    def _take_place(self) -> None:
        try:
            self.turns.take_place()
        except TooBusyError as error:
            raise HTTPException(
                503, f"{PLACES} requests are here already; try again when one has its answer."
            ) from error


def _page(name: str, media_type: str) -> Any:
    content = (importlib.resources.files("avca_pipeline.web") / "page" / name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


async def _names(request: Request) -> tuple[str, list[str]]:
    """Returns the key of a video and class names, as the page sends them."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES_OF_NAMES:
            raise HTTPException(413, "There are too many class names; name fewer.")
    try:
        asked = json.loads(body)
        key, class_names = asked["video"], asked["classes"]
        is_right = isinstance(key, str) and isinstance(class_names, list)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(400, "Expected JSON with a video and classes.") from error
    if not is_right:
        raise HTTPException(400, "Expected JSON with a video and classes.")
    return key, class_names


async def _error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # What is still to be sent is not read.
    closing = {"Connection": "close"}
    sentence = {"error": error.detail}
    return JSONResponse(sentence, status_code=error.status_code, headers=closing)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False) + "\n"
