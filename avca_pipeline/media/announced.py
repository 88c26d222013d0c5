"""The duration that a file announces, and the duration of what is in it."""

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
# In these a stream is said to be as long as the file.
SAY_IT_OF_THE_FILE = frozenset({"asf", "asf_o", "wtv"})
RIFF_SLACK_BYTES = 200  # an AVI file may lack so many bytes at its end: an index, or padding
# Beginnings of the tag of MP3 files that counts their frames.
MP3_COUNTS = (b"Xing", b"Info", b"VBRI")


def announced_end_s(path: Path, container: Any, stream: Any) -> tuple[float | None, bool]:
    """Returns the announced end of a file on the line of time, and whether it is this stream's.

    ``None`` where nothing is said in advance: FFmpeg then looks at what there is, or guesses. What
    RIFF files announce is a number of bytes, see `has_all_riff_bytes` and `wav_sound_bytes`.
    """
    if not announces(path, container):
        return None, False
    length = stream.duration or 0
    if container.format.name == "avi":
        # Programs that record leave headers behind that mean nothing; a file that has all its bytes
        # is whole. Of one that was cut off FFmpeg corrects the length by what it finds.
        if has_all_riff_bytes(path):
            return None, False
        length = max(length, stream.frames)
    codec = stream.codec_context
    if container.format.name == "wav" and codec.name.startswith("pcm_") and codec.bit_rate:
        # FFmpeg corrects the length here as well. Of other codecs, only it knows the length.
        length = max(length, int(wav_sound_bytes(path) * 8 / codec.bit_rate / stream.time_base))
    if length and container.format.name not in SAY_IT_OF_THE_FILE:
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


def has_all_riff_bytes(path: Path) -> bool:
    """Returns whether a file has as many bytes as its RIFF chunks say; a large AVI has several."""
    num_bytes, begin = path.stat().st_size, 0
    with open(path, "rb") as file:
        while begin < num_bytes:
            file.seek(begin)
            name, size = _chunk(file.read(8))
            if name != b"RIFF" or not size:
                break
            begin += 8 + size + size % 2
    return begin - RIFF_SLACK_BYTES <= num_bytes


def wav_sound_bytes(path: Path) -> int:
    """Returns how many bytes of sound a WAV file says it has; 0 where it does not say it."""
    with open(path, "rb") as file:
        begin = 12  # behind the name of the format
        if file.read(begin)[:4] != b"RIFF":
            return 0
        while len(header := file.read(8)) == 8:
            name, size = _chunk(header)
            if name == b"data":
                return size
            begin += 8 + size + size % 2
            file.seek(begin)
    return 0


def _chunk(header: bytes) -> tuple[bytes, int]:
    """Returns the name of a chunk of RIFF and its size; 0 where a program that streamed put none.

    Such programs put in 0, or about the most that there can be, with or without a sign.
    """
    size = int.from_bytes(header[4:8], "little")
    return header[:4], size if 0 < size & 0x7FFFFFFF < 0x7FFFF000 else 0
