"""Downloads one stretch of a video from wherever yt-dlp can read, and remembers what never will be.

A failure is permanent (private, removed, blocked, not there) or transient (busy, broken off). A
permanent one is written down beside the clips and not tried again; a transient one is tried again
at once, after a pause that doubles or that the server asks for, and by the next run.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from avca_pipeline.artifacts.atomic import writing
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import MediaError
from avca_pipeline.registry import PluginSettings

MAX_PAUSE_S = 300.0

PERMANENT = {
    "private": r"private video|members-only|join this channel|sign in to confirm your age",
    "removed": r"removed|terminated|no longer available|video unavailable|does not exist|"
    r"this video is not available|HTTP Error (404|410)",
    "blocked": r"not (?:made this video )?available in your country|geo.?restrict|copyright|"
    r"HTTP Error 451",
    "nothing in segment": r"^nothing in segment",
}
"""Reasons that no second attempt changes, and how they are worded."""


class DownloadSettings(PluginSettings):
    """How clips are downloaded; nothing here changes what a clip is.

    Attributes:
        cookies: a cookies file in Netscape format, for hosts that want to know who asks.
        proxy: address of a proxy.
        rate_bytes_per_s: at most, for each download.
        pause_s: between two downloads of one worker.
        workers: downloads at a time in each job.
        attempts: for each clip in one run.
        back_off_s: after the first failed attempt; doubles with each.
        timeout_s: without a byte, after which an attempt has failed.
        format: which of the encodings on offer, in yt-dlp's words; one file with both streams.
    """

    cookies: Path | None = None
    proxy: str | None = None
    rate_bytes_per_s: int | None = Field(default=None, ge=1)
    pause_s: float = Field(default=0.0, ge=0)
    workers: int = Field(default=1, ge=1, le=64)
    attempts: int = Field(default=4, ge=1, le=100)
    back_off_s: float = Field(default=2.0, ge=0)
    timeout_s: float = Field(default=30.0, gt=0)
    format: str = "best[height<=480][vcodec!=none][acodec!=none]/best"


def check(settings: DownloadSettings) -> None:
    """Raises `PipelineError` if downloads cannot work at all."""
    _yt_dlp()
    if settings.cookies is not None and not settings.cookies.is_file():
        raise PipelineError(f"download.cookies: {settings.cookies}: no such file")


def segment(url: str, path: Path, start_s: float, end_s: float, settings: DownloadSettings) -> None:
    """Downloads a video and keeps one stretch of it, not encoded again.

    Args:
        url: anything that yt-dlp reads.
        path: where the stretch goes, an ``.mp4`` that begins at ``start_s``.
        start_s: where it begins in the video.
        end_s: where it ends.
        settings: of downloads.

    Raises:
        MediaError: why there is none. A permanent reason is remembered in ``<path>.failed``;
            delete that file to have it tried again.
    """
    note = path.with_name(path.name + ".failed")
    if note.is_file():
        raise MediaError(note.read_text(encoding="utf-8").strip())
    problem = ""
    for attempt in range(settings.attempts):
        failure = _attempt(url, path, start_s, end_s, settings)
        if failure is None:
            time.sleep(settings.pause_s)
            return
        problem, asked_s = _words(failure), _asked_to_wait_s(failure)
        reason = permanent_reason(problem)
        if reason:
            text = problem if problem.startswith(reason) else f"{reason}: {problem}"
            with writing(note) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
            raise MediaError(text)
        if attempt + 1 < settings.attempts:
            time.sleep(min(MAX_PAUSE_S, max(asked_s or 0.0, settings.back_off_s * 2**attempt)))
    hint = "; give download.cookies and a longer download.pause_s" if _is_bot(problem) else ""
    raise MediaError(f"download failed: {problem}{hint}")


def _attempt(
    url: str, path: Path, start_s: float, end_s: float, settings: DownloadSettings
) -> Exception | None:
    """Downloads and cuts once; returns what went wrong."""
    whole = path.with_name(path.name + ".whole")
    try:
        if not whole.is_file():
            _download(url, whole, settings)
        with writing(path) as temporary:
            cut(whole, temporary, start_s, end_s)
    except MediaError as error:  # what came is not what was announced
        whole.unlink(missing_ok=True)
        return error
    except _failures() as error:
        return error
    whole.unlink()
    return None


def permanent_reason(problem: str) -> str | None:
    """Returns which of `PERMANENT` a failure is, or ``None`` for a transient one."""
    if _is_bot(problem):
        return None
    for reason, pattern in PERMANENT.items():
        if re.search(pattern, problem, re.IGNORECASE):
            return reason
    return None


def _is_bot(problem: str) -> bool:
    return re.search(r"not a bot", problem, re.IGNORECASE) is not None


def cut(whole: Path, path: Path, start_s: float, end_s: float) -> None:
    """Copies a stretch of a media file into an MP4 that begins there.

    Packets are copied from the keyframe before on; the file says that what comes before the
    beginning is not to be shown.

    Raises:
        MediaError: the file is damaged, or has nothing there.
    """
    import av

    try:
        with (
            av.open(f"file:{whole}") as source,
            av.open(f"file:{path}", "w", format="mp4") as target,
        ):
            best = (source.streams.best("video"), source.streams.best("audio"))
            streams = [stream for stream in best if stream is not None]
            copies = {one.index: target.add_stream_from_template(one) for one in streams}
            begin_s = (source.start_time or 0) / av.time_base + start_s
            length_s = end_s - start_s
            source.seek(round(begin_s * av.time_base), backward=True)
            over, num_packets = set(), 0
            for packet in source.demux(streams):
                if packet.pts is None or packet.dts is None:
                    continue
                index, unit = packet.stream.index, packet.time_base
                shift = round(begin_s / unit)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                if packet.dts * unit >= length_s:
                    over.add(index)
                    if len(over) == len(streams):
                        break
                is_before = (packet.pts + (packet.duration or 0)) * unit <= 0
                if packet.pts * unit < length_s and not (is_before and index == _audio(best)):
                    num_packets += not is_before
                    packet.stream = copies[index]
                    target.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"damaged: what was downloaded cannot be cut ({error})") from error
    if not num_packets:
        raise MediaError(f"nothing in segment: the video ends before {start_s:g} s")


def _audio(best: tuple[Any, Any]) -> int | None:
    return None if best[1] is None else best[1].index


def _download(url: str, path: Path, settings: DownloadSettings) -> None:
    """Downloads a whole file; what an attempt before has left is gone on with."""
    yt_dlp = _yt_dlp()
    path.parent.mkdir(parents=True, exist_ok=True)
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
        "logger": _Silent(),
    }
    with yt_dlp.YoutubeDL({k: v for k, v in options.items() if v is not None}) as downloader:
        downloader.extract_info(url, download=True)
    if not path.is_file():
        raise MediaError("download failed: nothing came")


def _yt_dlp() -> Any:
    try:
        import yt_dlp
    except ImportError as error:
        raise PipelineError("downloads need the package yt-dlp (pip install yt-dlp)") from error
    return yt_dlp


def _failures() -> tuple[type[Exception], ...]:
    yt_dlp = _yt_dlp()
    return (yt_dlp.utils.YoutubeDLError, yt_dlp.networking.exceptions.RequestError, OSError)


def _words(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).removeprefix("ERROR: ")
    return " ".join(text.split(";")[0].split())[:200]


def _asked_to_wait_s(error: BaseException | None) -> float | None:
    """Returns the seconds of a ``Retry-After`` header behind a failure, if there is one."""
    while error is not None:
        headers = getattr(getattr(error, "response", None), "headers", None)
        value = headers.get("Retry-After") if headers else None
        if value and value.isdecimal():
            return float(value)
        inner = getattr(error, "exc_info", None)
        error = inner[1] if inner and inner[1] is not error else error.__cause__
    return None


class _Silent:
    """Takes what yt-dlp says; what matters is raised as well."""

    def debug(self, message: str) -> None:
        """Drops it."""

    info = warning = error = debug
