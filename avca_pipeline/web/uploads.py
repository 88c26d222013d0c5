"""Receives a video into the temporary folder of the server, and no byte more than it may have."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

SILENCE_S = 60.0
"""An upload of which nothing has come for so long is over."""
SUFFIX = re.compile(r"[a-z0-9]{1,8}")


async def received(request: Request, folder: Path, max_bytes: int) -> Path:
    """Returns a new file with the body of a request.

    Its name is drawn. Of the name that the user's file has, no more than letters and digits of
    its end are used: some formats are known by it.

    Args:
        request: its query may have ``suffix``.
        folder: where the file goes.
        max_bytes: of the body.

    Raises:
        HTTPException: the body is too large, or nothing more of it comes. What was written of it
            is removed.
    """
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    suffix = request.query_params.get("suffix", "").lower()
    ending = f".{suffix}" if SUFFIX.fullmatch(suffix) else ""
    path = folder / f"{secrets.token_hex(8)}{ending}"
    try:
        await _write(request, path, max_bytes)
    except BaseException:  # also where the user has gone away
        path.unlink(missing_ok=True)
        raise
    return path


async def _write(request: Request, path: Path, max_bytes: int) -> None:
    num_bytes, chunks = 0, request.stream()
    with path.open("xb") as file:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise HTTPException(408, "The upload stopped; send the video again.") from error
            if chunk is None:
                return
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise _too_large(max_bytes)
            file.write(chunk)


def size(num_bytes: float) -> str:
    """Returns a number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.4g} GiB"


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(
        413, f"The video is larger than {size(max_bytes)}, which is the limit of this server."
    )
