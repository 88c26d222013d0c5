"""Pictures that nobody is shown are not decoded, and what is shown stays the same to the bit."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline.media import skipping
from avca_pipeline.media.container import opened
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.skipping import LeftOut
from avca_pipeline.media.ticks import Covered
from avca_pipeline.media.timeline import Track
from avca_pipeline.media.video import frames
from tests.media.synthetic import LIMITS, ffmpeg

H264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p"
KINDS = {
    "pyramid.mp4": f"{H264} -x264-params bframes=3:b-pyramid=normal:b-adapt=0",
    "no-pyramid.mp4": f"{H264} -x264-params bframes=2:b-pyramid=none:b-adapt=0",
    "no-b.mp4": f"{H264} -bf 0",
    "open.mkv": f"{H264} -x264-params bframes=3:open-gop=1:keyint=20:b-adapt=0",
    "interlaced.ts": f"{H264} -flags +ilme+ildct -x264-params bframes=3:interlaced=1",
    "stream.ts": f"{H264} -bf 3",
    "gap.mp4": f"{H264} -bf 3 -vf select='not(between(n,40,70))*mod(n,7)' -fps_mode vfr",
    "slow.mp4": f"{H264} -bf 3 -r 7",
    "mpeg4.mp4": "-c:v mpeg4 -bf 2 -q:v 5",
    "h265.mp4": "-c:v libx265 -preset ultrafast -x265-params bframes=3:log-level=none",
    "old.avi": "-c:v mpeg4 -vtag xvid -bf 2 -q:v 5",
    "h264.avi": f"{H264} -bf 2",
}
STRETCHES = [(None, None), (0.5, 2.1), (1.37, None)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("skipping")
    source = "-f lavfi -i testsrc2=s=64x48:r=30:d=4"
    for name, options in KINDS.items():
        ffmpeg(*source.split(), *options.split(), folder / name)
    return {name: folder / name for name in KINDS}


def decoded(path: Path, rate_hz: int, start: float | None, end: float | None) -> Any:
    """Returns the frames of a clip and what the notes say of it."""
    with taking_notes() as notes:
        shown = np.stack(list(frames(path, rate_hz, start, end, LIMITS)))
    return shown, astuple(notes)


def timed(path: Path, rate_hz: int | None) -> Iterator[tuple[Any, float | None]]:
    """Yields what a track does, with all pictures wanted where there is no rate."""
    with opened(path) as container:
        track = Track(path, "video", container)
        if rate_hz is not None:
            track.new_covered = functools.partial(Covered, rate_hz, 0.0)
        yield from track.decoded(0.0)


@pytest.mark.parametrize("name", KINDS)
def test_frames_and_notes_are_those_of_decoding_everything(
    clips: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [(rate_hz, *stretch) for rate_hz in (1, 4, 25) for stretch in STRETCHES]
    found = [decoded(clips[name], *case) for case in cases]
    monkeypatch.setattr(skipping, "CODECS", ())
    for case, (shown, notes) in zip(cases, found, strict=True):
        expected, expected_notes = decoded(clips[name], *case)
        assert np.array_equal(shown, expected), case
        assert notes == expected_notes, case


@pytest.mark.parametrize("name", ["pyramid.mp4", "stream.ts", "open.mkv", "gap.mp4"])
def test_what_is_left_out_stands_where_it_would_be_shown(clips: dict[str, Path], name: str) -> None:
    everything = [(time_s, frame.duration) for frame, time_s in timed(clips[name], None)]
    found = list(timed(clips[name], 2))
    assert [(time_s, frame.duration) for frame, time_s in found] == everything
    num_left_out = sum(isinstance(frame, LeftOut) for frame, _ in found)
    assert num_left_out >= len(found) / 4


@pytest.mark.parametrize("name", ["no-b.mp4", "interlaced.ts", "mpeg4.mp4", "h265.mp4", "h264.avi"])
def test_all_is_decoded_where_nothing_can_be_left_out(clips: dict[str, Path], name: str) -> None:
    assert not any(isinstance(frame, LeftOut) for frame, _ in timed(clips[name], 2))


def test_a_frame_is_covered_by_a_later_one_of_its_tick_alone() -> None:
    is_covered = Covered(2, origin_s=1.0)
    assert not is_covered(0.2)  # on show when the clip begins, unless something later is
    assert not is_covered(0.9)
    assert is_covered(0.7)
    assert not is_covered(1.2)
    assert is_covered(1.1)
    assert not is_covered(1.25)  # half a tick is the next one's
    assert not is_covered(1.25)  # of two that begin together, the second is shown


def damaged(path: Path, folder: Path, number: int) -> Path:
    """Writes a file of which the packet with this number holds zeros."""
    with opened(path) as container:
        packet = [packet for packet in container.demux() if packet.size][number]
    content = bytearray(path.read_bytes())
    content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    out = folder / f"{number}{path.suffix}"
    out.write_bytes(content)
    return out


def test_everything_is_decoded_after_damage(clips: dict[str, Path], tmp_path: Path) -> None:
    path = damaged(clips["pyramid.mp4"], tmp_path, 60)
    with taking_notes() as notes:
        found = [isinstance(frame, LeftOut) for frame, _ in timed(path, 2)]
    assert notes.num_damaged == 1
    assert any(found[: len(found) // 3])
    assert not any(found[-len(found) // 3 :])


def test_each_tick_has_a_frame_wherever_the_damage_is(
    clips: dict[str, Path], tmp_path: Path
) -> None:
    for number in range(30, 50):
        shown, _ = decoded(damaged(clips["pyramid.mp4"], tmp_path, number), 2, None, None)
        assert shown.shape == (8, 48, 64, 3)
