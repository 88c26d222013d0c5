"""Cuts a stretch out of a media file without encoding it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError, machine_trouble
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import best_stream, opened
from avca_pipeline.media.packets import is_damage

# How far before the beginning a keyframe is looked for, where a file has no list of them.
LOOK_BACK_S = (0.0, 10.0, 60.0)


def cut(whole: Path, path: Path, start_s: float, end_s: float) -> None:
    """Copies a stretch of a media file into an MP4 that begins there.

    Packets are copied from the keyframe before on; the file says that what comes before the
    beginning is not to be shown.

    Raises:
        MediaError: the file is damaged, or has nothing there.
        PipelineError: the disk is full, or the machine lacks something else.
    """
    import av

    try:
        with opened(whole) as source:
            begin_s = (source.start_time or 0) / av.time_base + start_s
            back_s = _back_to_keyframe_s(source, begin_s)
        # After a seek that failed, a container may not return to its first packet.
        with opened(whole) as source, av.open(f"file:{path}", "w", format="mp4") as target:
            if back_s is not None:
                source.seek(round((begin_s - back_s) * av.time_base), backward=True)
            num_packets = _copy(source, target, begin_s, end_s - start_s)
    except (av.FFmpegError, ValueError) as error:
        if trouble := machine_trouble(error):
            raise PipelineError(f"{path}: cannot be written ({trouble})") from error
        if isinstance(error, PipelineError):
            raise
        raise MediaError(f"damaged: what was downloaded cannot be cut ({error})") from error
    if not num_packets:
        raise MediaError(f"nothing in segment: the video ends before {start_s:g} s")


def _back_to_keyframe_s(source: Any, begin_s: float) -> float | None:
    """Returns how far before a time to seek for a keyframe at or before it; ``None`` if nowhere.

    In MPEG-TS and MPEG-PS a seek to a time finds what comes after it.
    """
    import av

    video = best_stream(source, "video")
    for back_s in LOOK_BACK_S:
        try:
            source.seek(round((begin_s - back_s) * av.time_base), backward=True)
            if video is None:
                return back_s
            first = next((packet for packet in source.demux(video) if packet.is_keyframe), None)
        except Exception as error:
            if not is_damage(error):
                raise
            continue
        if first is None or first.pts is None:
            continue
        if first.pts * first.time_base <= begin_s:
            return back_s
    return None


def _copy(source: Any, target: Any, begin_s: float, length_s: float) -> int:
    """Copies packets from where the source stands; returns how many are within the stretch."""
    video, audio = best_stream(source, "video"), best_stream(source, "audio")
    streams = [stream for stream in (video, audio) if stream is not None]
    copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
    waiting: dict[int, list[Any]] = {stream.index: [] for stream in streams}
    ended, num_packets, has_keyframe = set(), 0, False
    for packet in _with_decoding_times(source.demux(streams)):
        if packet.stream is video and not has_keyframe:
            has_keyframe = packet.is_keyframe
            if not has_keyframe:  # nothing could be decoded from there
                continue
        index, unit = packet.stream.index, packet.time_base
        shift = round(begin_s / unit)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if packet.dts * unit >= length_s:
            ended.add(index)
            if len(ended) == len(streams):
                break
            continue
        is_before = (packet.pts + (packet.duration or 0)) * unit <= 0
        if is_before and packet.stream is audio:
            continue
        # A picture shown after the end is copied if one within the stretch is decoded after it.
        waiting[index].append(packet)
        if packet.pts * unit >= length_s:
            continue
        if not is_before:
            num_packets += 1
        for waiting_packet in waiting[index]:
            waiting_packet.stream = copies[index]
            target.mux(waiting_packet)
        waiting[index].clear()
    return num_packets


def _with_decoding_times(packets: Iterator[Any]) -> Iterator[Any]:
    """Yields the packets that have a time of display, all with a time of decoding.

    After a seek the first packets lack the latter where the container stores none. They get it
    from the next packet that has one.
    """
    waiting: dict[int, list[Any]] = {}
    for packet in packets:
        if packet.pts is None:
            continue
        held = waiting.setdefault(packet.stream.index, [])
        held.append(packet)
        if packet.dts is not None:
            step = max(1, packet.duration or 1)
            for distance, earlier in enumerate(reversed(held)):
                earlier.dts = packet.dts - step * distance
            yield from held
            held.clear()
