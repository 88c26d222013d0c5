"""Decoding by a GPU's own decoder, NVDEC, where there is one and it gives what FFmpeg's gives.

It decodes codecs of which every decoder gives the same pixels, and gives them as nv12 in memory of
the host. Whatever goes wrong, the CPU decodes the clip, and the reason is in the clip's notes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avca_pipeline.media import MediaError, notes
from avca_pipeline.media.container import best_stream, opened
from avca_pipeline.media.planes import why_on_host
from avca_pipeline.media.windows import RESTART, Window

# Not among them: those whose standards leave the rounding of a transform open, such as MPEG-4.
# AV1 has another decoder in FFmpeg, which knows no GPU.
CODECS = ("h264", "hevc", "vp9")
# Without it, FFmpeg would make a context of the GPU anew for each file.
OPTIONS: dict[str, object] = {"primary_ctx": "1"}


@dataclass
class Attempt:
    """What becomes of a clip that the GPU is to decode.

    Attributes:
        is_in_use: whether the GPU decodes it.
        reason: why the CPU does.
    """

    is_in_use: bool = False
    reason: str = ""


_attempt: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def by_hardware_first(windows: Callable[[Any], Iterator[Window]], clip: Any) -> Iterator[Window]:
    """Yields the windows of a clip, decoded on the GPU if it can; else `RESTART` and all again.

    Args:
        windows: decodes a clip.
        clip: what ``windows`` takes.
    """
    attempt, before = Attempt(), replace(notes.current())
    token = _attempt.set(attempt)
    try:
        yield from windows(clip)
        if attempt.is_in_use and notes.current().num_damaged:
            attempt.reason = "damaged"
    except Exception as error:  # a driver may fail in any way
        if not attempt.is_in_use:
            raise
        is_of_clip = isinstance(error, MediaError)
        attempt.reason = str(error).partition(":")[0] if is_of_clip else type(error).__name__
    finally:
        _attempt.reset(token)
    if attempt.is_in_use and attempt.reason:
        notes.current().restore(before)
        yield RESTART
        yield from windows(clip)
    notes.current().decoded_on_cpu = attempt.reason


def is_in_use() -> bool:
    """Returns whether the GPU decodes the clip at hand."""
    attempt = _attempt.get()
    return attempt is not None and attempt.is_in_use


def accelerator(path: Path) -> Any:
    """Returns what PyAV needs to decode a file's video on the GPU, ``None`` if the CPU is to do it.

    Raises:
        MediaError: see `opened`.
    """
    attempt = _attempt.get()
    if attempt is None:
        return None
    attempt.reason = "no NVDEC" if _device() is None else _why_on_cpu(path)
    attempt.is_in_use = not attempt.reason
    return _new() if attempt.is_in_use else None


def _why_on_cpu(path: Path) -> str:
    with opened(path) as container:
        stream = best_stream(container, "video")
        if stream is None:
            return "no video stream"
        context = stream.codec_context
        if context.name not in CODECS:
            return str(context.name)
        return why_on_host(context.pix_fmt, context.colorspace, context.height, context.width)


@functools.cache
def _device() -> Any:
    """Returns a decoder's device, kept for the life of this process; ``None`` without NVDEC."""
    import av

    try:
        return _new().create(av.Codec("h264", "r"))
    except (av.FFmpegError, NotImplementedError, ValueError):
        return None


def _new() -> Any:
    from av.codec.hwaccel import HWAccel

    return HWAccel("cuda", allow_software_fallback=True, options=OPTIONS)
