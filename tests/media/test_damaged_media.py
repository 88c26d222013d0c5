"""What is tolerated and what rejects: the same for every container and codec."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from avca_pipeline.media import Limits, MediaError
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.video import frames
from tests.media import synthetic
from tests.media.synthetic import LIMITS, SOUND_HZ, ffmpeg, heard, same_sound, shown

KINDS = {
    "mkv": "-c:v libx264 -pix_fmt yuv420p -g 20 -c:a aac",
    "webm": "-c:v libvpx -g 20 -deadline realtime -c:a libopus",
    "flv": "-c:v flv -q:v 2 -g 20 -c:a libmp3lame -ar 44100",
    "mxf": "-c:v mpeg2video -q:v 2 -g 20 -c:a pcm_s16le",
    "avi": "-c:v mpeg4 -q:v 2 -g 20 -c:a libmp3lame",
    "mp4": "-c:v libx264 -pix_fmt yuv420p -g 20 -c:a aac -movflags +faststart",
    "mov": "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le -movflags +faststart",
    "mp3": "-vn -c:a libmp3lame",
    "wav": "-vn -c:a pcm_s16le",
    "flac": "-vn -c:a flac",
}
ANNOUNCES_NOTHING = {
    "ts": "-c:v libx264 -pix_fmt yuv420p -g 20 -c:a aac",
    "mpg": "-c:v mpeg2video -q:v 2 -g 20 -c:a mp2",
    "ogv": "-c:v libtheora -q:v 8 -g 20 -c:a libvorbis",
    "aac": "-vn -c:a aac",
}


def write(folder: Path, suffix: str, options: str, seconds: float = 4.0) -> Path:
    path = folder / f"a.{suffix}"
    inputs = synthetic.sources(folder, seconds)
    streams = ["-map", 1] if "-vn" in options else ["-map", 0, "-map", 1]
    ffmpeg(*inputs, *streams, *options.split(), path)
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    target = path.with_name(f"cut{path.suffix}")
    target.write_bytes(content[: round(len(content) * share)])
    return target


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_that_ends_before_the_time_it_announces(suffix: str, tmp_path: Path) -> None:
    options = KINDS[suffix]
    path = cut(write(tmp_path, suffix, options), 0.6)
    has_video = "-vn" not in options
    for read in [heard, shown] if has_video else [heard]:
        with pytest.raises(MediaError, match="truncated"):
            read(path)
        with pytest.raises(MediaError, match="truncated"):  # in the part that never came
            read(path, 3.0, 3.8)
        found = read(path, 0.4, 1.2)  # this part is whole
        assert len(found) == pytest.approx(0.8 * (SOUND_HZ if read is heard else 25), abs=1)


@pytest.mark.parametrize("suffix", ANNOUNCES_NOTHING)
def test_what_announces_nothing_ends_where_it_ends(suffix: str, tmp_path: Path) -> None:
    path = cut(write(tmp_path, suffix, ANNOUNCES_NOTHING[suffix]), 0.6)
    assert len(heard(path)) > SOUND_HZ
    if "-vn" not in ANNOUNCES_NOTHING[suffix]:
        assert len(shown(path)) > 25


def test_a_guess_by_the_rate_of_bits_announces_nothing(tmp_path: Path) -> None:
    """MP3 of variable rate that begins quietly, without a count of frames: guessed far too long."""
    quiet = np.zeros((2 * SOUND_HZ, 2), np.float32)
    loud = synthetic.noise(2.0)
    (tmp_path / "x.raw").write_bytes(np.concatenate([quiet, loud, loud]).tobytes())
    path = tmp_path / "a.mp3"
    sound = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {tmp_path}/x.raw -c:a libmp3lame -q:a 0".split()
    ffmpeg(*sound, "-write_xing", 0, path)
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert abs(container.duration / 1e6 - 6.0) > 1.0
    assert len(heard(path)) / SOUND_HZ == pytest.approx(6.0, abs=0.1)


def test_a_shorter_stream_is_not_cut_off(tmp_path: Path) -> None:
    """A container announces the end of its longest stream."""
    inputs = synthetic.sources(tmp_path, 4.0)
    options = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-af", "atrim=0:1.5"]
    for suffix in ("mkv", "mp4", "flv"):
        path = tmp_path / f"a.{suffix}"
        ffmpeg(*inputs, "-map", 0, "-map", 1, *options, path)
        assert len(heard(path)) / SOUND_HZ == pytest.approx(1.5, abs=0.1)
        assert len(shown(path)) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("suffix", ["asf", "wmv", "wtv"])
def test_a_shorter_stream_of_a_file_that_says_its_own_length_of_each(
    suffix: str, tmp_path: Path
) -> None:
    options = "-c:v mpeg2video -q:v 2 -c:a mp2" if suffix == "wtv" else "-c:v wmv2 -c:a wmav2"
    inputs = synthetic.sources(tmp_path, 4.0)
    for name, filters in (
        ("sound", ["-af", "atrim=0:1.5"]),
        ("picture", ["-vf", "trim=end_frame=38"]),
    ):
        path = tmp_path / f"{name}.{suffix}"
        ffmpeg(*inputs, "-map", 0, "-map", 1, *options.split(), *filters, path)
        lengths_s = (len(heard(path)) / SOUND_HZ, len(shown(path)) / synthetic.RATE_HZ)
        expected_s = (1.5, 4.0) if name == "sound" else (4.0, 1.5)
        assert lengths_s == pytest.approx(expected_s, abs=0.1)


def wav_chunks(path: Path) -> list[tuple[bytes, bytes]]:
    content = path.read_bytes()
    found, at = [], 12
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        found.append((content[at : at + 4], content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


@pytest.mark.parametrize("name", [b"id3 ", b"JUNK", b"odd "])
@pytest.mark.parametrize("is_before", [True, False])
def test_a_wav_file_with_much_that_is_no_sound(
    name: bytes, is_before: bool, tmp_path: Path
) -> None:
    path = write(tmp_path, "wav", "-vn -c:a pcm_s16le", seconds=1.0)
    sound = heard(path)
    chunks = wav_chunks(path)
    place = [found for found, _ in chunks].index(b"data") + (not is_before)
    chunks.insert(place, (name, bytes(100_001)))
    body = b"WAVE" + b"".join(chunk(*one) for one in chunks)
    path.write_bytes(chunk(b"RIFF", body))
    assert np.array_equal(heard(path), sound)
    if is_before:
        path.write_bytes(chunk(b"RIFF", body)[: 100_000 + len(sound) * 2])
        with pytest.raises(MediaError, match="truncated"):
            heard(path)


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav", "g722", "libmp3lame -q:a 0"])
def test_a_wav_file_whose_sound_is_compressed(codec: str, tmp_path: Path) -> None:
    path = write(tmp_path, "wav", f"-vn -c:a {codec}", seconds=2.0)
    assert len(heard(path)) / SOUND_HZ == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_file_whose_writer_did_not_know_its_length(size: int, tmp_path: Path) -> None:
    path = write(tmp_path, "wav", "-vn -c:a pcm_s16le", seconds=1.0)
    content = bytearray(path.read_bytes())
    at = content.find(b"data")
    for place in (4, at + 4):
        content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(heard(path)) == SOUND_HZ


def test_an_avi_file_of_several_riff_chunks(tmp_path: Path) -> None:
    """As large ones are: each chunk says its own size."""
    path = write(tmp_path, "avi", "-c:v mjpeg -q:v 2 -c:a pcm_s16le")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    content = content[: content.rfind(b"idx1")]
    split = content.find(packets[40]) - 8
    first, rest = bytearray(content[:split]), content[split:]
    first[4:8] = (len(first) - 8).to_bytes(4, "little")
    movie = first.rfind(b"LIST", 0, first.find(b"movi"))
    first[movie + 4 : movie + 8] = (len(first) - movie - 8).to_bytes(4, "little")
    whole = bytes(first) + chunk(b"RIFF", b"AVIX" + chunk(b"LIST", b"movi" + rest))
    path.write_bytes(whole)
    assert shown(path) == list(range(100))
    for share in (0.6, 0.3):
        for read in (shown, heard):
            with pytest.raises(MediaError, match="truncated"):
                read(cut(path, share))


def damaged(path: Path, stream: str, every: int, first: int = 10) -> Path:
    """Returns a copy of a file in which some packets of a stream hold nonsense."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [
            bytes(packet)
            for packet in container.demux(getattr(container.streams, stream)[0])
            if packet.size
        ]
    for number in range(first, len(packets), every):
        at = content.find(packets[number])
        assert at > 0
        content[at : at + len(packets[number])] = b"\xff" * len(packets[number])
    target = path.with_name(f"damaged{path.suffix}")
    target.write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "aac"), ("mkv", "libopus"), ("mkv", "flac"), ("mp4", "aac")]
)
def test_damaged_packets_of_sound_are_silence(suffix: str, codec: str, tmp_path: Path) -> None:
    options = f"-c:v libx264 -pix_fmt yuv420p -c:a {codec}"
    path = write(tmp_path, suffix, options)
    whole = heard(path)
    with taking_notes() as notes:
        found = heard(damaged(path, "audio", 60))
    assert len(found) == len(whole)
    assert 0 < notes.gap_s < 0.4
    if codec != "libopus":  # reports no error, and remembers for long what it has heard
        assert notes.num_damaged > 0
        # What was not hit is where it was.
        same_sound(found[-SOUND_HZ // 3 :], whole[-SOUND_HZ // 3 :])
        with pytest.raises(MediaError, match=r"damaged: \d+ of \d+ packets cannot be decoded"):
            heard(damaged(path, "audio", 3))


def test_damaged_packets_of_pictures_hold_the_one_before(tmp_path: Path) -> None:
    path = write(tmp_path, "mov", "-c:v png -c:a pcm_s16le")
    with taking_notes() as notes:
        found = shown(damaged(path, "video", 20))
    assert notes.num_damaged == 5
    expected = [n - 1 if n % 20 == 10 else n for n in range(100)]
    assert found == expected
    with pytest.raises(MediaError, match="damaged: 30 of 100 packets cannot be decoded"):
        shown(damaged(path, "video", 3))


def test_the_format_of_the_sound_may_change_on_the_way(tmp_path: Path) -> None:
    """As in broadcasts: five channels become two, and another rate."""
    parts = []
    for index, options in enumerate(("-ac 2 -ar 48000", "-ac 1 -ar 44100", "-ac 2 -ar 48000")):
        synthetic.sources(tmp_path, 1.5, index)
        part = tmp_path / f"{index}.ts"
        source = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {tmp_path}/a.raw".split()
        ffmpeg(*source, *options.split(), "-c:a", "mp2", "-b:a", "192k", part)
        parts.append(part.read_bytes())
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(parts))
    found = heard(path)
    assert len(found) / SOUND_HZ == pytest.approx(4.5, abs=0.1)
    for index in range(3):
        part = found[round((1.5 * index + 0.3) * SOUND_HZ) :][: round(0.9 * SOUND_HZ)]
        sound = synthetic.noise(1.5, seed=index).mean(axis=1)
        late_s = synthetic.lag_s(part, sound)
        assert late_s == pytest.approx(-0.3, abs=0.1)
        assert np.linalg.norm(part) / np.sqrt(len(part)) == pytest.approx(
            np.linalg.norm(sound) / np.sqrt(len(sound)), rel=0.1
        )


def test_pictures_that_grow_on_the_way_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mjpeg"
    inputs = synthetic.sources(tmp_path, 1.0)
    small = ffmpeg(*inputs, "-map", 0, "-c:v", "mjpeg", "-f", "mjpeg", "-")
    large = ffmpeg(*inputs, "-map", 0, "-vf", "scale=640:480", "-c:v", "mjpeg", "-f", "mjpeg", "-")
    path.write_bytes(small + large)
    assert len(list(frames(path, 25, None, None, LIMITS))) > 25
    with pytest.raises(MediaError, match="too large: 640x480"):
        list(frames(path, 25, None, None, Limits(64 * 48, 60.0)))


def test_a_header_with_nonsense_does_not_cut_a_whole_file(tmp_path: Path) -> None:
    """Programs that record leave counts of frames behind that mean nothing."""
    path = write(tmp_path, "avi", KINDS["avi"])
    content = bytearray(path.read_bytes())
    at = -1
    while (at := content.find(b"strh", at + 1)) > 0:
        content[at + 40 : at + 44] = (30_000).to_bytes(4, "little")
    path.write_bytes(content)
    assert shown(path) == list(range(100))
    assert len(heard(path)) / SOUND_HZ == pytest.approx(4.0, abs=0.1)


def test_what_a_seek_in_vain_has_found_counts_for_nothing(tmp_path: Path) -> None:
    """It goes to pictures that cannot be decoded, to which the file's beginning does not lead."""
    path = write(tmp_path, "mov", "-c:v png -c:a pcm_s16le")
    content = bytearray(damaged(path, "video", 1, first=30).read_bytes())
    at = content.find(b"stco", content.find(b"vide")) + 8
    num_chunks = int.from_bytes(content[at : at + 4], "big")
    offset = at + 4 + 4 * (num_chunks // 10)  # of pictures that come before these
    content[offset : offset + 4] = b"\xff\xff\xff\xf0"  # behind the end of the file
    path.write_bytes(content)
    with pytest.raises(MediaError, match="truncated: 0"):
        shown(path, 1.6, 2.4)
