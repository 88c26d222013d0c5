"""Opens media files, finds the streams that count, and says what a file holds."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avca_pipeline.errors import MAY_PASS, PipelineError, TransientError, machine_trouble
from avca_pipeline.media import MediaError
from avca_pipeline.media.jumps import may_jump, measured_s

MICROSECONDS = 1_000_000
READ_BYTES = 1 << 20

# Formats of FFmpeg whose demuxers read the file itself and nothing else. Not among them, on
# purpose: what names other files or addresses (concat, hls, dash, image2, sdp, vobsub, …), what
# is a device (lavfi, fbdev, …), still pictures, and subtitles.
FORMATS = (
    "3gp,aac,ac3,adx,aiff,amr,amrnb,amrwb,ape,apng,asf,asf_o,au,av1,avi,avs2,avs3,caf,"
    "cavsvideo,daud,dhav,dirac,dnxhd,dsf,dts,dtshd,dv,eac3,film_cpk,flac,flic,flv,g722,gif,"
    "gsm,gxf,h261,h263,h264,hevc,iff,ivf,loas,m4v,matroska,mjpeg,mlp,mov,mp3,mp4,mpc,mpc8,"
    "mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,ogg,oma,pva,qcp,rm,roq,shn,smjpeg,smk,sox,"
    "spdif,swf,tak,thp,truehd,tta,vc1,vivo,voc,vqf,vvc,w64,wav,webm,wtv,wv,xa,xwma,"
    "yuv4mpegpipe"
)

# Playlists, external references and addresses inside a file can open nothing.
SAFE_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS}


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
def opened(path: Path, hwaccel: Any = None) -> Iterator[Any]:
    """Opens a media file with PyAV for reading.

    Args:
        path: of the file.
        hwaccel: decodes video, if it is not the CPU.

    Raises:
        MediaError: the file is missing, empty, or no container that FFmpeg knows; also for any
            error of FFmpeg inside the block, so that one damaged clip is one rejected row.
        TransientError: the machine or the file's disk is in trouble.
    """
    import av

    try:
        if path.stat().st_size == 0:
            raise MediaError("empty file")
    except FileNotFoundError:
        raise MediaError("missing file") from None
    except OSError as error:
        raise _error_for(error, path, "missing file") from None
    try:
        # A plain string such as "concat:…" or "-" would be taken for a protocol or a pipe.
        container = av.open(
            f"file:{path}",
            mode="r",
            metadata_errors="replace",
            options=SAFE_OPTIONS,
            hwaccel=hwaccel,
        )
    except (av.FFmpegError, ValueError) as error:
        raise _error_for(error, path, "not a media file") from error
    with container:
        try:
            yield container
        except av.FFmpegError as error:
            raise _error_for(error, path, "damaged") from error


def _error_for(error: Exception, path: Path, reason: str) -> PipelineError:
    """Returns an error that blames the file, or the machine: that says nothing about a clip."""
    number = getattr(error, "errno", None)
    passes = bool(machine_trouble(OSError(number, ""))) or number in MAY_PASS
    # FFmpeg says these of damaged content as well: the first is what some functions return as -1.
    if number == errno.EPERM or (number == errno.EIO and _is_readable(path)):
        passes = False
    if passes:
        return TransientError(f"{path}: cannot be read: {_message(error)}; try again later")
    return MediaError(f"{reason}: {_message(error)}")


def _is_readable(path: Path) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass
    except OSError:
        return False
    return True


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


def streams(container: Any) -> list[Any]:
    """Returns the streams that count: the best of video and of audio, as far as there are any."""
    best = (best_stream(container, kind) for kind in ("video", "audio"))
    return [stream for stream in best if stream is not None]


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
            duration_s=_duration_s(container),
            fps=float(rate) if rate else None,
            width=video.codec_context.width if video is not None else None,
            height=video.codec_context.height if video is not None else None,
            has_video=video is not None,
            has_audio=audio is not None,
            sample_rate_hz=audio.codec_context.sample_rate if audio is not None else None,
        )


def _duration_s(container: Any) -> float | None:
    if may_jump(container):  # FFmpeg takes the last time stamp's distance from the first for it
        return measured_s(container, streams(container), start_s(container))
    if container.duration:
        return float(container.duration / MICROSECONDS)
    stream = streams(container)[0]
    return float(stream.duration * stream.time_base) if stream.duration else None


def _message(error: Exception) -> str:
    # FFmpeg's messages repeat the path; a table of reasons must not depend on where files lie.
    return getattr(error, "strerror", None) or type(error).__name__
