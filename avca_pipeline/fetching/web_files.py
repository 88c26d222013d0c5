"""Files from http(s) addresses, whole or not at all.

A broken download is resumed only if the server proves that the rest belongs to the same file: it
must have named a version (a strong ETag, or a date that is old enough), and it must send the rest
of that version. Otherwise the download starts again from the first byte.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import math
import os
import re
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError, TransientError, machine_trouble
from avca_pipeline.fetching import connections, http_headers
from avca_pipeline.fetching.partial_files import PartialFile
from avca_pipeline.fetching.web_addresses import AddressError, parse_address
from avca_pipeline.runtime import locks
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.runtime.progress import Progress

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
ATTEMPTS = 4
TIMEOUT_S = 30.0
MAX_S = 6 * 3600.0
MAX_BYTES = 64 << 30
# The longest pause that a server may ask for. If it asks for more, the next run tries again.
MAX_PAUSE_S = 3600.0
RISK = "two jobs may download the same file twice"


@dataclass(frozen=True)
class DownloadLimits:
    """Limits of one download.

    Attributes:
        attempts: number of attempts.
        timeout_s: time within which a connection must answer; later, the period over which the
            lowest speed is measured.
        max_s: longest time of one attempt.
        max_bytes: largest size of the file.
        back_off_s: pause after the first failed attempt; it doubles with each.
        rate_bytes_per_s: highest speed.
        proxy: address of a proxy; without one, the environment decides.
        pause: waits for so many seconds.
    """

    attempts: int = field(default_factory=lambda: ATTEMPTS)
    timeout_s: float = field(default_factory=lambda: TIMEOUT_S)
    max_s: float = field(default_factory=lambda: MAX_S)
    max_bytes: int = field(default_factory=lambda: MAX_BYTES)
    back_off_s: float = 1.0
    rate_bytes_per_s: int | None = None
    proxy: str | None = None
    pause: Callable[[float], None] = field(default_factory=lambda: time.sleep)


class _AttemptError(Exception):
    """An attempt failed; another attempt may succeed."""

    def __init__(self, problem: str, retry_after_s: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


def download(
    url: str,
    path: Path,
    limits: DownloadLimits | None = None,
    verify: Callable[[Path], object] = lambda path: None,
) -> None:
    """Downloads a file unless it is there; if several jobs want it, one downloads and all wait.

    Args:
        url: where it is, http or https, perhaps with a user and a password.
        path: where the file is written.
        limits: of time, size and speed.
        verify: raises `PipelineError` if the content is wrong; then the download is removed.

    Raises:
        AddressError: there is no such file and never will be.
        TransientError: the server or the network failed on every attempt.
        PipelineError: the file cannot be written, or is not what it should be.
    """
    limits = limits or DownloadLimits()
    address, authorization = parse_address(url)
    with download_lock(path) as is_alone:
        if path.is_file():
            return
        # Without a lock, each job has a partial file of its own.
        own = "" if is_alone else f".{os.getpid()}-{threading.get_ident()}"
        partial = PartialFile(path.with_name(path.name + own), url)
        _attempt_all(shown(url), address, authorization, partial, limits)
        try:
            verify(partial.path)
        except PipelineError:
            partial.remove()
            raise
        try:
            partial.path.replace(path)
        except OSError as error:
            raise PipelineError(f"{path}: cannot be written ({error.strerror})") from error
        partial.remove()


def _attempt_all(
    name: str, address: str, authorization: str, partial: PartialFile, limits: DownloadLimits
) -> None:
    problem = ""
    for attempt in range(limits.attempts):
        try:
            _download_rest(name, address, authorization, partial, limits)
        except _AttemptError as error:
            problem = str(error)
            if error.retry_after_s > MAX_PAUSE_S:
                problem = f"{problem}; the server asks for {error.retry_after_s:.0f} s of patience"
                break
            if attempt + 1 < limits.attempts:
                limits.pause(max(error.retry_after_s, limits.back_off_s * 2**attempt))
        else:
            return
    raise TransientError(
        f"{name}: download failed ({problem}); run again to go on, or give a local file"
    )


@contextlib.contextmanager
def download_lock(path: Path) -> Iterator[bool]:
    """Lets one job at a time download to a path; yields false where there are no locks.

    Raises:
        PipelineError: the folder cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = locks.one_at_a_time(path.with_name(path.name + ".lock"), RISK)
            is_alone = stack.enter_context(lock)
        except OSError as error:
            raise PipelineError(
                f"{path.parent}: cannot be written ({error.strerror}); name another folder"
            ) from error
        yield is_alone


def _download_rest(
    name: str, address: str, authorization: str, partial: PartialFile, limits: DownloadLimits
) -> None:
    """Makes one attempt, and goes on where the last one ended if the file is still the same.

    Raises:
        _AttemptError: this attempt failed; the next one may not.
        AddressError: every attempt will fail.
        TransientError: another attempt at once will fail.
        PipelineError: the disk is full, or the machine lacks something else.
    """
    note = partial.resumable_note()
    num_here = partial.path.stat().st_size if note else 0
    headers = {"Range": f"bytes={num_here}-", "If-Range": note["version"]} if num_here else {}
    min_rate = connections.min_bytes_per_s(limits.rate_bytes_per_s)
    watch = connections.ConnectionWatch(limits.timeout_s, limits.max_s, limits.proxy, min_rate)
    try:
        with watch, watch.open_url(address, headers, authorization) as response:
            num_here = _start_or_resume(response, partial, note, num_here)
            _receive(name, response, watch, partial, num_here, limits)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # The part that is here is longer than the file on the server.
            partial.remove()
        raise _refusal(name, error) from error
    except http.client.InvalidURL as error:
        raise AddressError("odd address", f"{name}: redirects to an odd address") from error
    except PipelineError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        trouble = machine_trouble(error)
        if trouble and not watch.problem:
            raise PipelineError(f"{name}: download failed ({trouble})") from error
        problem = watch.problem or str(getattr(error, "reason", error)) or type(error).__name__
        raise _AttemptError(" ".join(problem.split())) from error


def _refusal(name: str, error: urllib.error.HTTPError) -> Exception:
    problem = f"HTTP {error.code}"
    if error.code in (404, 410):
        return AddressError("removed", f"{name}: {problem}")
    if error.code == 451:
        return AddressError("blocked", f"{name}: {problem}")
    if error.code < 400:
        what = "redirects in a circle or to what is no http(s) address"
        return AddressError("odd address", f"{name}: {what} ({problem})")
    if error.code in (408, 416, 425, 429) or error.code >= 500:
        return _AttemptError(problem, http_headers.retry_after_s(error.headers))
    return TransientError(f"{name}: download failed ({problem}); correct the address or run again")


def _start_or_resume(
    response: Any, partial: PartialFile, note: dict[str, Any], num_here: int
) -> int:
    """Returns the position in the file at which the server's data begin, 0 for the whole file.

    Args:
        response: to the request.
        partial: what is here; dropped if the server sends another version.
        note: about it, of `PartialFile.resumable_note`.
        num_here: its bytes.
    """
    version = http_headers.version_of(response.headers)
    length = http_headers.number_in(response.headers.get("Content-Length"))
    if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise _AttemptError("the server sent it compressed, which was not asked for")
    if response.headers.get_content_type() == "text/html":  # such as the log-in page of a hotel
        raise _AttemptError("the server sent a web page")
    if response.status != 206:
        partial.begin(version, length)
        return 0
    if not num_here:
        raise _AttemptError("the server sent a part and was asked for the whole")
    asked = re.match(rf"bytes {num_here}-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if asked is None:
        raise _AttemptError("the server sent another part than was requested")
    total = http_headers.number_in(asked[1])
    is_same = version in ("", note["version"]) and (total or note["length"]) == note["length"]
    if not is_same:
        partial.remove()
        raise _AttemptError("the file on the server has changed")
    return num_here


def _receive(
    name: str,
    response: Any,
    watch: connections.ConnectionWatch,
    partial: PartialFile,
    num_here: int,
    limits: DownloadLimits,
) -> None:
    """Appends what the server sends to what is here."""
    length = http_headers.number_in(response.headers.get("Content-Length"))
    expected = None if length is None else num_here + length
    size, begun_s, max_bytes = num_here, time.monotonic(), limits.max_bytes
    # At a limited rate, several pieces must come within one period of the watch.
    piece = min(CHUNK_BYTES, (limits.rate_bytes_per_s or math.inf) * limits.timeout_s / 4)
    piece_bytes = max(1, int(piece))
    if (expected or 0) <= max_bytes:
        total = max(1, math.ceil((expected or 0) / CHUNK_BYTES))
        with partial.appending() as write, Progress(name, total, "MiB") as progress:
            while (chunk := response.read1(piece_bytes)) and size <= max_bytes:
                if watch.problem:
                    raise _AttemptError(watch.problem)
                write(chunk)
                watch.received += len(chunk)
                size += len(chunk)
                if limits.rate_bytes_per_s:
                    due_s = begun_s + watch.received / limits.rate_bytes_per_s
                    limits.pause(max(0.0, due_s - time.monotonic()))
                while progress.done < math.ceil(size / CHUNK_BYTES):
                    progress.advance()
    if max(size, expected or 0) > max_bytes:
        partial.remove()
        raise AddressError("too large", f"{name}: more than {max_bytes} bytes")
    if watch.problem or (expected is not None and size != expected):
        raise _AttemptError(watch.problem or "the connection broke off")
