"""How long a file says that it is, and how long it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avca_pipeline.media.container import MICROSECONDS, opened, start_s
from avca_pipeline.media.packets import demuxed

# Formats whose headers or indexes say in advance how long the file is. For all others FFmpeg looks
# at what there is, or guesses by the rate of bits.
ANNOUNCING = frozenset(
    {
        "aiff",
        "ape",
        "asf",
        "au",
        "avi",
        "caf",
        "flac",
        "flv",
        "iff",
        "mov,mp4,m4a,3gp,3g2,mj2",
        "matroska,webm",
        "mxf",
        "rm",
        "tak",
        "tta",
        "voc",
        "w64",
        "wav",
        "wtv",
        "wv",
    }
)
RIFF_HEADER_BYTES = 200  # with some room for what is no sound
# What begins the tag of MP3 files that counts their frames.
MP3_COUNTS = (b"Xing", b"Info", b"VBRI")


def announced_end_s(path: Path, container: Any, stream: Any) -> tuple[float | None, bool]:
    """Returns where on the line a file is to end, and whether that is said of this stream.

    ``None`` where nothing is said in advance: FFmpeg then looks at what there is, or guesses.
    """
    if not announces(path, container):
        return None, False
    length = stream.duration or 0
    if container.format.name == "avi":
        # Programs that record leave headers behind that mean nothing; a file that has all its bytes
        # is whole. Of one that was cut off FFmpeg corrects the length by what it finds.
        if riff_bytes(path) <= path.stat().st_size:
            return None, False
        length = max(length, stream.frames)
    bit_rate = stream.codec_context.bit_rate
    if container.format.name == "wav" and bit_rate:  # the same
        length = max(length, int(riff_bytes(path) * 8 / bit_rate / stream.time_base))
    if length:
        return ((stream.start_time or 0) + length) * float(stream.time_base) - start_s(
            container
        ), True
    if container.duration:
        # Writers count it from the beginning of the file, or from time stamp 0.
        return container.duration / MICROSECONDS - max(0.0, start_s(container)), False
    return None, False


def last_arrival_s(path: Path) -> float:
    """Returns where on the line the last packet of any stream ends."""
    last_s = 0.0
    with opened(path) as container:
        begin_s = start_s(container)
        for packet in demuxed(container, None):
            if packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
                last_s = max(last_s, end * float(packet.time_base) - begin_s)
    return last_s


def announces(path: Path, container: Any) -> bool:
    """Returns whether a file says in advance how long it is."""
    if container.format.name != "mp3":
        return container.format.name in ANNOUNCING
    with open(path, "rb") as file:
        header = file.read(10)
        if header[:3] == b"ID3":  # its size is in 7 bits a byte
            size = 0
            for byte in header[6:10]:
                size = size << 7 | byte & 0x7F
            file.seek(10 + size)
        beginning = header + file.read(4096)
    return any(tag in beginning for tag in MP3_COUNTS)


def riff_bytes(path: Path) -> int:
    """Returns how many bytes a WAV file says it has; 0 where a program that streamed it did not."""
    with open(path, "rb") as file:
        beginning = file.read(8)
    size = int.from_bytes(beginning[4:], "little")
    is_unknown = size & 0x7FFFFFFF > 0x7FFFFF00  # its writer put in the most there can be
    return 0 if beginning[:4] != b"RIFF" or is_unknown else max(0, size - RIFF_HEADER_BYTES)
