"""Whole files and stretches of them, in twelve containers, against what ffmpeg decodes them to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from avca_pipeline.media import MediaError
from avca_pipeline.media.cutting import cut
from tests.media import synthetic
from tests.media.synthetic import ffmpeg, heard, same_sound, shown

SECONDS = 4.0
SEGMENTS = ((0.4, 1.4), (1.6, 2.8), (2.92, 3.8))
LATE_S = 1.5
GAP_S = (1.2, 2.1)


@dataclass(frozen=True)
class Kind:
    """A container with codecs, and which shapes of sound it can hold."""

    suffix: str
    video: str
    audio: str
    shapes: tuple[str, ...] = ("plain",)
    # By how much earlier than the first sound ffmpeg 5 begins a file: Opus is given a run-up there,
    # which later versions leave out of the file's time.
    run_up_s: float = 0.0


ALL = ("plain", "late", "gap")
KINDS = {
    "mp4": Kind("mp4", "libx264 -pix_fmt yuv420p -bf 2 -g 20", "aac", ALL),
    "mov": Kind("mov", "mjpeg -pix_fmt yuvj420p -q:v 2", "pcm_s16le", ("plain", "late")),
    "mkv": Kind("mkv", "libx264 -pix_fmt yuv420p -bf 2 -g 20", "aac", ALL),
    "webm": Kind("webm", "libvpx -b:v 1M -g 20 -deadline realtime", "libopus", ALL, 0.007),
    "avi": Kind("avi", "mpeg4 -q:v 2 -g 20", "libmp3lame"),
    "ts": Kind("ts", "libx264 -pix_fmt yuv420p -bf 2 -g 20", "aac", ALL),
    "ps": Kind("mpg", "mpeg2video -q:v 2 -bf 2 -g 20", "mp2", ALL),
    "flv": Kind("flv", "flv -q:v 2 -g 20", "libmp3lame -ar 44100", ALL),
    "ogg": Kind("ogv", "libtheora -q:v 9 -g 20", "libvorbis", ("plain", "late")),
    "mxf": Kind("mxf", "mpeg2video -q:v 2 -bf 2 -g 20", "pcm_s16le"),
    "mp3": Kind("mp3", "", "libmp3lame"),
    "wav": Kind("wav", "", "pcm_f32le"),
}
CASES = [(name, shape) for name, kind in KINDS.items() for shape in kind.shapes]


def write(folder: Path, kind: Kind, shape: str) -> Path:
    path = folder / f"clip.{kind.suffix}"
    inputs = synthetic.sources(folder, SECONDS)
    if shape == "late":
        split = inputs.index("-f", 1)
        inputs[split:split] = ["-itsoffset", str(LATE_S)]
    sound = f"-map 1:a -c:a {kind.audio}".split()
    if shape == "gap":
        sound += ["-af", f"aselect=not(between(t\\,{GAP_S[0]}\\,{GAP_S[1]}))"]
    picture = f"-map 0:v -c:v {kind.video}".split() if kind.video else []
    ffmpeg(*inputs, *picture, *sound, "-t", SECONDS, path)
    return path


@pytest.mark.parametrize(("name", "shape"), CASES, ids=[f"{n}-{s}" for n, s in CASES])
def test_whole_and_stretches_are_what_ffmpeg_decodes(name: str, shape: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    path = write(tmp_path, kind, shape)
    expected, expected_sound = synthetic.reference(path, has_video=bool(kind.video))
    if shape != "late":
        expected_sound = expected_sound[round(kind.run_up_s * synthetic.SOUND_HZ) :]
    if kind.video:
        found = shown(path)
        num_before = len(expected) - len(found)  # ticks before the first picture
        assert 0 <= num_before <= 2
        assert found == expected[num_before:]
        assert len(set(found)) >= SECONDS * synthetic.RATE_HZ - 2
        if name == "avi":  # ffmpeg 5 leaves a frame empty behind the first one, see `timeline`
            expected = expected[num_before:]
        for start, end in SEGMENTS:
            begin, stop = (round(time * synthetic.RATE_HZ) for time in (start, end))
            assert shown(path, start, end) == expected[begin:stop], (start, end)
    same_sound(heard(path), expected_sound, "whole")
    for start, end in SEGMENTS:
        begin, stop = (round(time * synthetic.SOUND_HZ) for time in (start, end))
        wanted = expected_sound[begin:stop]
        if not wanted.any():
            with pytest.raises(MediaError, match="nothing in segment"):
                heard(path, start, end)
            continue
        same_sound(heard(path, start, end), wanted, f"{start} to {end} s")


@pytest.mark.parametrize("name", ["mp4", "mkv", "ts", "h264 in flv", "ps"])
def test_what_is_cut_out_has_every_picture(name: str, tmp_path: Path) -> None:
    """It begins with the picture at the beginning, or the next where that one began before."""
    flv = Kind("flv", KINDS["mp4"].video, "aac -ar 44100")
    path = write(tmp_path, KINDS.get(name, flv), "plain")
    for begin_s in (0.0, 0.4, 1.3, 3.4):
        part = tmp_path / f"{begin_s}.mp4"
        cut(path, part, begin_s, begin_s + 0.6)
        expected, found = shown(path, begin_s, begin_s + 0.6), shown(part)
        assert found[0] - expected[0] in (0, 1), (begin_s, found, expected)
        end = len(expected) - (found[0] - expected[0])
        assert found[:end] == list(range(found[0], expected[-1] + 1)), (begin_s, found, expected)
        # The last ones may need a picture that comes after the end.
        assert len(found) - end <= 4, (begin_s, found, expected)


def test_cover_art_is_not_cut_out_with_the_sound(tmp_path: Path) -> None:
    sound, cover = write(tmp_path, KINDS["wav"], "plain"), tmp_path / "cover.png"
    (tmp_path / "picture.raw").write_bytes(synthetic.pictures(range(1)).tobytes())
    size = f"{synthetic.WIDTH}x{synthetic.HEIGHT}"
    ffmpeg(
        *f"-f rawvideo -pix_fmt rgb24 -s {size} -i {tmp_path}/picture.raw".split(), cover
    )  # fmt: skip
    song = tmp_path / "song.m4a"
    inputs = ["-i", sound, "-i", cover, "-map", "0", "-map", "1"]
    ffmpeg(*inputs, *["-c:a", "aac", "-c:v", "copy", "-disposition:v", "attached_pic"], song)
    assert len(probed(song)) == 2
    cut(song, tmp_path / "part.mp4", 1.0, 2.0)
    assert probed(tmp_path / "part.mp4") == ["audio"]


def probed(path: Path) -> list[str]:
    """Returns the kinds of a file's streams."""
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]
