"""Cuts a stretch out of a media file without encoding it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError, machine_trouble
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import opened

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
        with opened(whole) as source, av.open(f"file:{path}", "w", format="mp4") as target:
            best = (source.streams.best("video"), source.streams.best("audio"))
            begin_s = (source.start_time or 0) / av.time_base + start_s
            _go_before(source, best[0], begin_s)
            num_packets = _copy(source, target, best, begin_s, end_s - start_s)
    except (av.FFmpegError, ValueError) as error:
        if trouble := machine_trouble(error):
            raise PipelineError(f"{path}: cannot be written ({trouble})") from error
        if isinstance(error, PipelineError):
            raise
        raise MediaError(f"damaged: what was downloaded cannot be cut ({error})") from error
    if not num_packets:
        raise MediaError(f"nothing in segment: the video ends before {start_s:g} s")


def _go_before(source: Any, video: Any | None, begin_s: float) -> None:
    """Goes to a keyframe at or before a time, which a seek in MPEG-TS or MPEG-PS does not."""
    import av

    for back_s in LOOK_BACK_S:
        source.seek(round((begin_s - back_s) * av.time_base), backward=True)
        if video is None:
            return
        first = next((packet for packet in source.demux(video) if packet.is_keyframe), None)
        if first is None or first.pts is None:
            continue
        if first.pts * first.time_base <= begin_s:
            source.seek(round((begin_s - back_s) * av.time_base), backward=True)
            return
    source.seek(source.start_time or 0, backward=True)


def _copy(source: Any, target: Any, best: tuple[Any, Any], begin_s: float, length_s: float) -> int:
    """Copies packets from where the source stands; returns how many are within the stretch."""
    video, audio = best
    streams = [stream for stream in best if stream is not None]
    copies = {one.index: target.add_stream_from_template(one) for one in streams}
    over, num_packets, has_keyframe = set(), 0, False
    for packet in source.demux(streams):
        if packet.pts is None or packet.dts is None:
            continue
        if packet.stream is video and not has_keyframe:
            has_keyframe = packet.is_keyframe
            if not has_keyframe:  # nothing could be decoded from there
                continue
        index, unit = packet.stream.index, packet.time_base
        shift = round(begin_s / unit)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if packet.dts * unit >= length_s:
            over.add(index)
            if len(over) == len(streams):
                break
        is_before = (packet.pts + (packet.duration or 0)) * unit <= 0
        is_heard_only = audio is not None and index == audio.index
        if packet.pts * unit < length_s and not (is_before and is_heard_only):
            num_packets += not is_before
            packet.stream = copies[index]
            target.mux(packet)
    return num_packets
