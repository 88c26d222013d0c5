"""Small pictures of clips, made of the media that are here when the report is made."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import in_child
from avca_pipeline.artifacts.fetched import OK
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.media import Limits, video
from avca_pipeline.reporting.confused import Confused
from avca_pipeline.reporting.coverage import Coverage

RATE_HZ = 25
SIDE = 96
"""The longer side in pixels."""
QUALITY = "6"
"""Quantiser of JPEG: small numbers are good and large."""
MAX_THUMBNAILS = 160
MAX_BYTES = 600_000
"""Of all thumbnails as they stand in the page."""
MAX_CLIPS_OF_PAIR = 4
MAX_UNREADABLE = 10
"""After so many clips that cannot be read the others are left alone: each may take its reader's
whole time."""
LIMITS = Limits(max_pixels=2**26, max_duration_s=3600.0)

ClipKey = tuple[str, str]
"""Dataset and id of a clip."""


@dataclass(frozen=True)
class Stretch:
    """Where the media of a clip are, and the second of them that is in its middle."""

    path: Path
    middle_s: float


def stretches(coverage: Iterable[Coverage]) -> dict[ClipKey, Stretch]:
    """Returns where the media of clips are, as far as they were fetched."""
    found = {}
    for dataset in coverage:
        clips = {clip.clip_id: clip for clip in dataset.clips}
        for row in dataset.fetched:
            clip = clips.get(row.clip_id)
            if row.status == OK and row.has_video and row.path and clip is not None:
                start = clip.start_s or 0.0
                end = row.duration_s or start if clip.end_s is None else clip.end_s
                middle_s = (start + max(start, end)) / 2
                found[dataset.dataset, row.clip_id] = Stretch(Path(row.path), middle_s)
    return found


def wanted(confusions: Sequence[Confused]) -> list[ClipKey]:
    """Returns the clips that get a thumbnail first: the largest confusions of each row in turn."""
    of_rows = [
        [
            [(found.row.names["dataset"], clip) for clip in pair.clip_ids[:MAX_CLIPS_OF_PAIR]]
            for pair in found.pairs
        ]
        for found in confusions
    ]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*of_rows, fillvalue=[]))
    return list(dict.fromkeys(itertools.chain.from_iterable(in_turn)))


def thumbnails(clips: Iterable[ClipKey], media: Mapping[ClipKey, Stretch]) -> dict[ClipKey, str]:
    """Returns JPEG pictures in base64 of the first of these clips whose media can be read here.

    A file that the decoder cannot bear costs its picture and nothing else: a child process of its
    own reads each.

    Args:
        clips: those that come first count first.
        media: where they are.
    """
    made: dict[ClipKey, str] = {}
    num_bytes = num_unreadable = 0
    for key in clips:
        if len(made) >= MAX_THUMBNAILS or num_unreadable >= MAX_UNREADABLE:
            break
        stretch = media.get(key)
        if stretch is None or not stretch.path.is_file():
            continue
        import av  # noqa: F401 - once, and not in each child

        try:
            jpeg = in_child.read(stretch.path, functools.partial(_jpeg, middle_s=stretch.middle_s))
        except FormatError:
            num_unreadable += 1
            continue
        text = base64.b64encode(jpeg).decode("ascii")
        num_bytes += len(text)
        if num_bytes > MAX_BYTES:
            break
        made[key] = text
    return made


def _jpeg(path: Path, middle_s: float) -> bytes:
    """Returns the picture that is on show at a time.

    Raises:
        PipelineError: there is none.
    """
    import av

    frame = next(video.frames(path, RATE_HZ, middle_s, middle_s + 1, LIMITS), None)
    if frame is None:
        raise PipelineError(f"{path}: no picture at {middle_s:g} s")
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    # Sizes of JPEG's colours are even.
    size = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
    small = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
        width=size[0], height=size[1], format="yuvj420p"
    )
    small.pts = 0
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = size[0], size[1], "yuvj420p"
    codec.time_base = Fraction(1, 25)
    codec.options = {"qmin": QUALITY, "qmax": QUALITY}
    return b"".join(bytes(packet) for packet in [*codec.encode(small), *codec.encode(None)])
