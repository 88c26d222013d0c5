"""Packets of a container, and which of them a decoder gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from avca_pipeline.media import notes

# Of packets that are held back until a keyframe comes; only a stream without keyframes has more.
MAX_HELD_BYTES = 64_000_000


def demuxed(container: Any, streams: list[Any] | None) -> Iterator[Any]:
    """Yields the packets of streams, or of all, up to the end or to where nothing can be read."""
    packets = container.demux(streams) if streams is not None else container.demux()
    while True:
        try:
            packet = next(packets, None)
        except Exception as error:
            if not is_damage(error):
                raise
            notes.current().num_damaged += 1  # as for ffmpeg, here the file ends
            return
        if packet is None:
            return
        yield packet


def with_end(packets: Iterator[Any]) -> Iterator[Any | None]:
    """Yields packets and then ``None``, which flushes a decoder, in place of PyAV's empty one."""
    held = None
    for packet in packets:
        if held is not None:
            yield held
        held = packet
    if held is not None and held.size:
        yield held
    yield None


def later_sound(
    packets: Iterator[Any], begin_s: float, time: Callable[[Any], float | None]
) -> Iterator[Any]:
    """Leaves out the packets that end before a time."""
    has_begun = False
    for packet in packets:
        if not has_begun:
            time_s = time(packet)
            length_s = (packet.duration or 0) * float(packet.time_base or 0)
            has_begun = time_s is not None and time_s + length_s > begin_s
        if has_begun or not packet.size:
            yield packet


def later_pictures(
    packets: Iterator[Any], begin_s: float, time: Callable[[Any], float | None]
) -> Iterator[Any]:
    """Leaves out the packets before the last keyframe that is shown at or before a time."""
    held: list[Any] = []
    size, has_begun = 0, False
    for packet in packets:
        if has_begun:
            yield packet
            continue
        time_s = time(packet)
        if packet.is_keyframe and packet.size and time_s is not None and time_s <= begin_s:
            held, size = [], 0
        held.append(packet)
        size += packet.size
        if (time_s is not None and time_s > begin_s) or size > MAX_HELD_BYTES:
            yield from held
            held, has_begun = [], True
    yield from held


def is_damage(error: Exception) -> bool:
    """Returns whether an error is FFmpeg's about the content of a file."""
    import av

    is_of_machine = isinstance(error, OSError | MemoryError) and not isinstance(
        error,
        av.error.PermissionError,  # what FFmpeg's functions return as -1
    )
    return isinstance(error, av.FFmpegError) and not is_of_machine
