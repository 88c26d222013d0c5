"""Downloads one stretch of a video from any host that yt-dlp reads, and remembers what is lost.

A failure lasts (the video is private, removed or blocked) or may pass (the host is busy, the
connection broke off). A failure that lasts is recorded beside the clips, and the download is not
tried again. A
failure that may pass is tried again: after a pause that doubles or that the host asks for, and by
the next run.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import PipelineError, TransientError, machine_trouble
from avca_pipeline.fetching import http_headers, web_files
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.fetching.failures import SESSION_LIMIT_S, hint, is_session_limit, lasting_reason
from avca_pipeline.fetching.whole_videos import (
    DownloadSettings,
    download_video,
    failures,
    forget,
    yt_dlp,
)
from avca_pipeline.media import MediaError
from avca_pipeline.media.cutting import cut
from avca_pipeline.runtime.addresses import redacted


def check_downloads(settings: DownloadSettings) -> None:
    """Raises `PipelineError` if downloads cannot work at all."""
    yt_dlp()
    if settings.cookies is not None and not settings.cookies.is_file():
        raise PipelineError(f"download.cookies: {settings.cookies}: no such file")


@dataclass
class Network:
    """What the downloads of one job share: their settings, and the pauses that they all make.

    Attributes:
        settings: of downloads.
        max_bytes: largest size of one file.
        stopping: set when the job ends; a download that pauses then fails.
        wait: waits for so many seconds or until the job ends; returns whether the job has ended.
        resume_s: time on the monotonic clock before which no download may send a request.
    """

    settings: DownloadSettings
    max_bytes: int = MAX_BYTES
    stopping: threading.Event = field(default_factory=threading.Event)
    wait: Callable[[float], object] | None = None
    resume_s: float = 0.0

    def pause(self, seconds: float) -> None:
        """Waits for so many seconds.

        Raises:
            TransientError: the job has ended meanwhile.
        """
        if (self.wait or self.stopping.wait)(seconds) and seconds > 0:
            raise TransientError("the job has ended before the download")

    def all_pause(self, seconds: float) -> None:
        """Makes all downloads of the job wait before their next request."""
        self.resume_s = max(self.resume_s, time.monotonic() + seconds)

    def wait_for_turn(self) -> None:
        """Waits as long as all downloads of the job have to."""
        seconds = self.resume_s - time.monotonic()
        if seconds > 0:
            self.pause(seconds)

    def download_limits(self) -> web_files.DownloadLimits:
        """Returns the limits of one download from a plain address."""
        return web_files.DownloadLimits(
            attempts=self.settings.attempts,
            timeout_s=self.settings.timeout_s,
            max_s=self.settings.max_s,
            max_bytes=self.max_bytes,
            back_off_s=self.settings.back_off_s,
            rate_bytes_per_s=self.settings.rate_bytes_per_s,
            proxy=self.settings.proxy,
            pause=self.pause,
        )


def download_segment(url: str, path: Path, start_s: float, end_s: float, network: Network) -> None:
    """Downloads a video and keeps one stretch of it, not encoded again.

    Args:
        url: anything that yt-dlp reads.
        path: where the stretch goes, an ``.mp4`` that begins at ``start_s``.
        start_s: where it begins in the video.
        end_s: where it ends.
        network: of the job.

    Raises:
        MediaError: why the video is lost. The reason is remembered in ``<path>.failed``; delete
            that file to try again.
        TransientError: why the video does not come now.
        PipelineError: the disk is full, or the host takes no more requests at all.
    """
    note = path.with_name(path.name + ".failed")
    with web_files.download_lock(path):
        if path.is_file():
            return
        if note.is_file():
            raise MediaError(note.read_text(encoding="utf-8").strip())
        try:
            _attempt_all(url, path, (start_s, end_s), network)
        except MediaError as error:
            with atomic_write(note) as temporary:
                temporary.write_text(f"{error}\n", encoding="utf-8")
            raise
    network.pause(network.settings.pause_s)


def _attempt_all(url: str, path: Path, stretch: tuple[float, float], network: Network) -> None:
    settings, problem = network.settings, ""
    for attempt in range(settings.attempts):
        network.wait_for_turn()
        failure = _attempt(url, path, stretch, network)
        if failure is None:
            return
        if trouble := machine_trouble(failure):
            raise PipelineError(f"{path}: cannot be downloaded ({trouble})") from failure
        whole_problem = _one_line(failure)
        problem = whole_problem.split(";")[0][:200]
        reason = lasting_reason(whole_problem)
        if reason:
            raise MediaError(problem if problem.startswith(reason) else f"{reason}: {problem}")
        retry_after_s = _retry_after_s(failure)
        if is_session_limit(whole_problem):
            network.all_pause(max(retry_after_s, SESSION_LIMIT_S))
        elif retry_after_s > web_files.MAX_PAUSE_S:
            problem = f"{problem}; the host asks for {retry_after_s:.0f} s of patience"
            break
        elif attempt + 1 < settings.attempts:
            network.pause(max(retry_after_s, settings.back_off_s * 2**attempt))
    if is_session_limit(problem):  # All further requests would get the same answer.
        raise PipelineError(
            f"download: {problem}; what has come is kept, run again later{hint(problem)}"
        )
    raise TransientError(f"download failed: {problem}{hint(problem)}")


def _attempt(
    url: str, path: Path, stretch: tuple[float, float], network: Network
) -> Exception | None:
    """Downloads and cuts a video once; returns the error if that failed."""
    whole = path.with_name(path.name + ".whole")
    try:
        if not whole.is_file():
            download_video(url, whole, network.settings, network.max_bytes)
        with atomic_write(path) as temporary:
            cut(whole, temporary, *stretch)
    except MediaError as error:  # not the stretch that was asked for, or too large
        forget(whole)
        return error
    except failures() as error:
        return error
    whole.unlink()
    return None


def _one_line(error: Exception) -> str:
    """Returns the message of a failure in one line, without colours and secrets."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).removeprefix("ERROR: ")
    return redacted(" ".join(text.split()))


def _retry_after_s(error: BaseException | None) -> float:
    """Returns the seconds of a ``Retry-After`` header behind a failure, 0 if there is none."""
    visited = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        retry_after_s = http_headers.retry_after_s(
            getattr(getattr(error, "response", None), "headers", None)
        )
        if retry_after_s:
            return retry_after_s
        inner = getattr(error, "exc_info", None)
        error = (inner[1] if inner else None) or error.__cause__
    return 0.0
