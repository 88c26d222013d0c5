"""Whole videos, by yt-dlp: from any address that it reads, within bounds.

A broken download is resumed only with proof that the rest belongs to the same file, as in
`avca_pipeline.fetching.web_files`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.connections import min_bytes_per_s
from avca_pipeline.fetching.http_headers import version_of
from avca_pipeline.media import MediaError
from avca_pipeline.settings import PluginSettings


class DownloadSettings(PluginSettings):
    """How clips are downloaded; nothing here changes what a clip is."""

    cookies: Path | None = None
    """A file of cookies in Netscape format, for hosts that ask for a login."""
    proxy: str | None = None
    """Address of a proxy."""
    rate_bytes_per_s: int | None = Field(default=None, ge=1)
    """Maximum rate of each download, in bytes per second."""
    pause_s: float = Field(default=0.0, ge=0)
    """Pause between two downloads of one worker, in seconds."""
    workers: int = Field(default=1, ge=1, le=64)
    """Number of downloads that run at the same time in each job."""
    attempts: int = Field(default=4, ge=1, le=100)
    """Number of attempts for each clip in one run."""
    back_off_s: float = Field(default=2.0, ge=0)
    """Pause after the first failed attempt, in seconds; it doubles after each further one."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds without any data, or with next to none, after which an attempt has failed."""
    max_s: float = Field(default=6 * 3600.0, gt=0)
    """Maximum duration of one attempt, in seconds."""
    runs: int = Field(default=3, ge=0)
    """Number of runs of the workflow in which a clip that is unavailable for now is tried again.
    After them its row stays as it is, unless ``--forcerun fetch`` asks for it.
    """
    format: str = "best[height<=480][vcodec!=none][acodec!=none]/best"
    """Which of the offered encodings is downloaded, in the format language of yt-dlp; it must be
    one file with both streams.
    """


def download_video(url: str, path: Path, settings: DownloadSettings, max_bytes: int) -> None:
    """Downloads a whole file.

    Raises:
        MediaError: it is larger than it may be.
        Exception: one of `failures`; another attempt may succeed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not _note(path).is_file():
        forget(path)
    watch = _DownloadWatch(path, settings, max_bytes)
    options = {
        "outtmpl": {"default": str(path).replace("%", "%%")},
        "format": settings.format,
        "socket_timeout": settings.timeout_s,
        "ratelimit": settings.rate_bytes_per_s,
        "proxy": settings.proxy,
        "cookiefile": str(settings.cookies) if settings.cookies else None,
        "retries": 0,
        "extractor_retries": 0,
        "fragment_retries": 0,
        "file_access_retries": 0,
        "continuedl": True,
        "nopart": False,
        "noplaylist": True,
        "cachedir": False,
        "noprogress": True,
        "quiet": True,
        "no_warnings": True,
        "fixup": "never",
        "logger": _SilentLogger(),
        "progress_hooks": [watch.check],
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    with _resuming_downloader(watch)(chosen) as downloader:
        downloader.extract_info(url, download=True)
    if not path.is_file():
        raise OSError("nothing came")
    _note(path).unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Removes a file, all parts of it, and its version."""
    for ending in ("", ".part", ".part.ytdl", ".ytdl", ".version"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def yt_dlp() -> Any:
    """Returns the module.

    Raises:
        PipelineError: it is not installed.
    """
    try:
        import yt_dlp as module
    except ImportError as error:
        raise PipelineError("downloads need the package yt-dlp (pip install yt-dlp)") from error
    return module


def failures() -> tuple[type[Exception], ...]:
    """Returns the exceptions of a download after which another attempt may succeed."""
    module = yt_dlp()
    return (module.utils.YoutubeDLError, module.networking.exceptions.RequestError, OSError)


class _DownloadWatch:
    """Ends a download that is too large, too long or too slow, and notes the file's version."""

    def __init__(self, path: Path, settings: DownloadSettings, max_bytes: int) -> None:
        self.path, self.settings, self.max_bytes = path, settings, max_bytes
        self.begun_s = self.period_s = time.monotonic()
        self.num_bytes_before = 0
        self.version = ""

    def check(self, state: dict[str, Any]) -> None:
        """Checks the state of the download; yt-dlp calls this for each block."""
        now, num_bytes = time.monotonic(), state.get("downloaded_bytes") or 0
        size = int(max(num_bytes, state.get("total_bytes") or 0))
        if size > self.max_bytes:
            raise MediaError(f"too large: {size} bytes, and limits.max_bytes is less")
        if now - self.begun_s > self.settings.max_s:
            raise TimeoutError(f"took longer than {self.settings.max_s:g} s")
        if now - self.period_s > self.settings.timeout_s:
            min_rate = min_bytes_per_s(self.settings.rate_bytes_per_s)
            num_new = num_bytes - self.num_bytes_before
            if self.num_bytes_before and num_new < min_rate * self.settings.timeout_s:
                raise TimeoutError(f"brought less than {min_rate:g} bytes a second")
            self.period_s, self.num_bytes_before = now, num_bytes
        # If a video comes in fragments, nothing proves that the next one belongs to the same video.
        if self.version and state.get("fragment_index") is None:
            _note(self.path).write_text(self.version, encoding="utf-8")
            self.version = ""


def _resuming_downloader(watch: _DownloadWatch) -> Any:
    """Returns a `YoutubeDL` class that resumes a file only if its version is still the same."""
    note = _note(watch.path)

    class Downloader(yt_dlp().YoutubeDL):  # type: ignore[misc]
        def urlopen(self, req: Any) -> Any:
            asked = "" if isinstance(req, str) else req.headers.get("Range", "")
            start = int((re.match(r"bytes=(\d+)-", asked) or [0, 0])[1])
            version_here = note.read_text(encoding="utf-8") if note.is_file() else ""
            if start and version_here:
                req.headers["If-Range"] = version_here
            elif start:
                del req.headers["Range"]
            response = super().urlopen(req)
            version = version_of(response.headers)
            is_rest = start and response.status == 206
            if is_rest and version not in ("", version_here):
                response.close()
                forget(watch.path)
                raise OSError("the file on the server has changed")
            if start and not is_rest:  # the server sends another version from its first byte
                note.unlink(missing_ok=True)
            watch.version = "" if is_rest else version
            return response

    return Downloader


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".version")


class _SilentLogger:
    """Ignores the messages of yt-dlp: its errors are raised as well."""

    def debug(self, message: str) -> None:
        """Ignores a message."""

    info = warning = error = debug
