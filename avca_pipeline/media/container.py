"""Opens media files, finds the streams that count, and says what a file holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avca_pipeline.media import MediaError

MICROSECONDS = 1_000_000

# A file that announces far more frames or samples than it yields was cut off.
MIN_SHARE_OF_ANNOUNCED = 0.9


@dataclass(frozen=True)
class Probe:
    """What a file says about itself; ``None`` where it says nothing."""

    duration_s: float | None
    fps: float | None
    width: int | None
    height: int | None
    has_video: bool
    has_audio: bool
    sample_rate_hz: int | None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Opens a media file with PyAV for reading.

    Raises:
        MediaError: the file is missing, empty, or no container that FFmpeg knows; also for any
            error of FFmpeg inside the block, so that one damaged clip is one rejected row.
    """
    import av

    try:
        if path.stat().st_size == 0:
            raise MediaError("empty file")
    except FileNotFoundError:
        raise MediaError("missing file") from None
    except OSError as error:
        raise MediaError(f"missing file: {error.strerror}") from None
    try:
        # A plain string such as "concat:…" or "-" would be taken for a protocol or a pipe.
        container = av.open(f"file:{path}", mode="r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"not a media file: {_words(error)}") from error
    with container:
        try:
            yield container
        except av.FFmpegError as error:
            raise MediaError(f"damaged: {_words(error)}") from error


def best_stream(container: Any, kind: str) -> Any | None:
    """Returns the stream that FFmpeg would pick, or ``None``; cover art is no video."""
    import av

    stream = container.streams.best(kind)
    if stream is None or stream.codec_context is None:
        return None
    if kind == "video" and stream.disposition & av.stream.Disposition.attached_pic:
        return None
    return stream


def start_s(container: Any) -> float:
    """Returns the time stamp at which the media begins, in seconds; often 0, not always."""
    return (container.start_time or 0) / MICROSECONDS


def seek(container: Any, stream: Any, target_s: float) -> None:
    """Goes to the last keyframe of ``stream`` at or before a time stamp."""
    container.seek(int(target_s / stream.time_base), stream=stream, backward=True)


def decoded(container: Any, stream: Any, *, after_seek: bool) -> Iterator[Any]:
    """Yields decoded frames; errors before the first one are forgiven after a seek.

    A seek may land in the middle of a frame or before the keyframe that the first packet needs.
    """
    import av

    forgiving = after_seek
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if not forgiving:
                raise
            continue
        for frame in frames:
            forgiving = False
            yield frame


def probe(path: Path) -> Probe:
    """Returns what a media file holds, without decoding it.

    Raises:
        MediaError: see `opened`; or the file has neither video nor audio.
    """
    with opened(path) as container:
        video, audio = best_stream(container, "video"), best_stream(container, "audio")
        if video is None and audio is None:
            raise MediaError("not a media file: neither video nor audio in it")
        rate = video.average_rate or video.guessed_rate if video is not None else None
        return Probe(
            duration_s=_duration_s(container, video or audio),
            fps=float(rate) if rate else None,
            width=video.codec_context.width if video is not None else None,
            height=video.codec_context.height if video is not None else None,
            has_video=video is not None,
            has_audio=audio is not None,
            sample_rate_hz=audio.codec_context.sample_rate if audio is not None else None,
        )


def _duration_s(container: Any, stream: Any) -> float | None:
    if container.duration:
        return container.duration / MICROSECONDS
    return float(stream.duration * stream.time_base) if stream.duration else None


def _words(error: Exception) -> str:
    # FFmpeg's messages repeat the path; a table of reasons must not depend on where files lie.
    return getattr(error, "strerror", None) or type(error).__name__
