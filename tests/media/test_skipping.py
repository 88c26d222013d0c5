"""Pictures that nobody is shown are not decoded, and what is shown stays the same to the bit."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
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
    "many-b.mp4": f"{H264} -x264-params bframes=8:b-pyramid=none:b-adapt=0",
    "refresh.mp4": f"{H264} -x264-params bframes=3:intra-refresh=1:keyint=30",
    "open.mkv": f"{H264} -x264-params bframes=3:open-gop=1:keyint=20:b-adapt=0",
    "interlaced.ts": f"{H264} -flags +ilme+ildct -x264-params bframes=3:interlaced=1",
    "stream.ts": f"{H264} -bf 3 -g 30",
    "gap.mp4": f"{H264} -bf 3 -vf select='not(between(n,40,70))*mod(n,7)' -fps_mode vfr",
    "slow.mp4": f"{H264} -bf 3 -r 7",
    "mpeg4.mp4": "-c:v mpeg4 -bf 2 -q:v 5",
    "h265.mp4": "-c:v libx265 -preset ultrafast -x265-params bframes=3:log-level=none",
    "old.avi": "-c:v mpeg4 -vtag xvid -bf 2 -q:v 5",
    "h264.avi": f"{H264} -bf 2",
}
CUT_OFF = "cut-off-in-front.ts"
STRETCHES = [(None, None), (0.5, 2.1), (1.37, None)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("skipping")
    source = "-f lavfi -i testsrc2=s=64x48:r=30:d=4"
    for name, options in KINDS.items():
        ffmpeg(*source.split(), *options.split(), folder / name)
    stream = (folder / "stream.ts").read_bytes()
    (folder / CUT_OFF).write_bytes(stream[len(stream) // 188 // 3 * 188 :])
    return {name: folder / name for name in (*KINDS, CUT_OFF)}


def decoded(path: Path, rate_hz: int, start: float | None, end: float | None) -> Any:
    """Returns the frames of a clip and what the notes say of it."""
    with taking_notes() as notes:
        shown = np.stack(list(frames(path, rate_hz, start, end, LIMITS)))
    return shown, notes


def timed(path: Path, rate_hz: int | None) -> Iterator[tuple[Any, float | None]]:
    """Yields what a track does, with all pictures wanted where there is no rate."""
    with opened(path) as container:
        track = Track(path, "video", container)
        if rate_hz is not None:
            track.new_covered = functools.partial(Covered, rate_hz, 0.0)
        yield from track.decoded(0.0)


def both(
    path: Path, rate_hz: int, start: float | None = None, end: float | None = None
) -> list[tuple[Any, ...]]:
    """Returns frames and notes of a file, as they are and with everything decoded."""
    found = []
    for codecs in (skipping.CODECS, ()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(skipping, "CODECS", codecs)
            found.append(decoded(path, rate_hz, start, end))
    return found


@pytest.mark.parametrize("name", [*KINDS, CUT_OFF])
def test_frames_and_notes_are_those_of_decoding_everything(
    clips: dict[str, Path], name: str
) -> None:
    for rate_hz in (1, 4, 25):
        for stretch in STRETCHES:
            (shown, notes), (expected, expected_notes) = both(clips[name], rate_hz, *stretch)
            assert np.array_equal(shown, expected), (rate_hz, stretch)
            assert notes == expected_notes, (rate_hz, stretch)


@pytest.mark.parametrize("name", ["pyramid.mp4", "stream.ts", "open.mkv", "gap.mp4"])
def test_what_is_left_out_stands_where_it_would_be_shown(clips: dict[str, Path], name: str) -> None:
    everything = [(time_s, frame.duration) for frame, time_s in timed(clips[name], None)]
    found = list(timed(clips[name], 2))
    assert [(time_s, frame.duration) for frame, time_s in found] == everything
    num_left_out = sum(isinstance(frame, LeftOut) for frame, _ in found)
    assert num_left_out >= len(found) / 4


@pytest.mark.parametrize("name", ["no-b.mp4", "interlaced.ts", "mpeg4.mp4", "h265.mp4", "h264.avi"])
def test_all_is_decoded_where_nothing_can_be_left_out(clips: dict[str, Path], name: str) -> None:
    num_frames = sum(1 for _ in timed(clips[name], None))
    decoded_frames = [frame for frame, _ in timed(clips[name], 2) if not isinstance(frame, LeftOut)]
    assert len(decoded_frames) == num_frames


def test_a_frame_is_covered_by_a_later_one_of_its_tick_alone() -> None:
    is_covered = Covered(2, origin_s=1.0)
    assert not is_covered(0.2)  # on show when the clip begins, unless something later is
    assert not is_covered(0.9)
    assert is_covered(0.7)
    assert not is_covered(1.2)
    assert is_covered(1.1)
    assert not is_covered(1.25)  # half a tick is the next one's
    assert not is_covered(1.25)  # of two that begin together, the second is shown


def damaged(path: Path, folder: Path, number: int, share: float = 1.0) -> Path:
    """Writes a file of which the packet with this number holds zeros, at the end or everywhere."""
    with opened(path) as container:
        packet = [packet for packet in container.demux() if packet.size][number]
    content = bytearray(path.read_bytes())
    size = round(share * packet.size)
    end = packet.pos + packet.size
    content[end - size : end] = bytes(size)
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


@pytest.mark.parametrize("name", ["pyramid.mp4", "many-b.mp4", "refresh.mp4"])
@pytest.mark.parametrize("number", [5, 9, 10, 28, 33, 70])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_frames_of_a_damaged_file_are_those_of_decoding_everything(
    clips: dict[str, Path], tmp_path: Path, share: float, number: int, name: str
) -> None:
    """But that nobody notices damage in a picture that is not decoded."""
    path = damaged(clips[name], tmp_path, number, share)
    for rate_hz in (1, 4):
        (shown, notes), (expected, expected_notes) = both(path, rate_hz)
        assert np.array_equal(shown, expected)
        assert replace(notes, num_damaged=expected_notes.num_damaged) == expected_notes
        assert notes.num_damaged <= expected_notes.num_damaged


@pytest.mark.parametrize("every", [7, 13, 40])
def test_what_a_stream_has_lost_changes_nothing_else(
    clips: dict[str, Path], tmp_path: Path, every: int
) -> None:
    content = clips["stream.ts"].read_bytes()
    packets = [content[place : place + 188] for place in range(0, len(content), 188)]
    path = tmp_path / "lost.ts"
    path.write_bytes(b"".join(p for n, p in enumerate(packets) if n < 20 or n % every))
    for rate_hz in (1, 4):
        (shown, notes), (expected, expected_notes) = both(path, rate_hz)
        assert np.array_equal(shown, expected)
        assert notes == expected_notes
