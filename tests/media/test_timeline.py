"""Where frames and samples stand when a file's time stamps are not a plain count."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avca_pipeline.media import MediaError
from avca_pipeline.media.container import probe
from avca_pipeline.media.notes import Notes, taking_notes
from avca_pipeline.media.video import frame_count, native_frames
from tests.conftest import shared_folder
from tests.media import synthetic
from tests.media.synthetic import LIMITS, SOUND_HZ, ffmpeg, heard, lag_s, same_sound, shown

H264 = [
    "-c:v",
    "libx264",
    "-pix_fmt",
    "yuv420p",
    "-bf",
    "2",
    "-g",
    "20",
    "-x264-params",
    "scenecut=0",
]


def write(path: Path, *codecs: str, seconds: float = 4.0, first: int = 0) -> Path:
    ffmpeg(*synthetic.sources(path.parent, seconds, first), "-map", 0, "-map", 1, *codecs, path)
    return path


def notes_of(path: Path) -> Notes:
    with taking_notes() as notes:
        shown(path)
        heard(path)
    return notes


def mono(seconds: float, first: int = 0) -> np.ndarray:
    """Returns the sound that `write` puts into a file."""
    return synthetic.noise(seconds, seed=first).mean(axis=1)


def joined(folder: Path, suffix: str, *codecs: str, lengths: tuple[float, ...]) -> Path:
    """Writes files one behind the other, as `cat` does; their time stamps all begin alike."""
    whole = folder / f"joined.{suffix}"
    first = 0
    with open(whole, "wb") as file:
        for seconds in lengths:
            part = write(folder / f"part.{suffix}", *codecs, seconds=seconds, first=first)
            file.write(part.read_bytes())
            first += round(seconds * synthetic.RATE_HZ)
    return whole


@pytest.mark.parametrize(
    ("suffix", "codecs", "lead"),
    [
        ("ts", [*H264, "-c:a", "aac"], 1),  # 21 ms of sound come before the picture
        ("ts", ["-c:v", "mpeg2video", "-q:v", "2", "-bf", "2", "-g", "20", "-c:a", "mp2"], 0),
        ("mpg", ["-c:v", "mpeg2video", "-q:v", "2", "-g", "20", "-c:a", "mp2"], 0),
    ],
    ids=["ts-h264", "ts-mpeg2", "ps"],
)
def test_joined_files_go_on_where_the_one_before_has_ended(
    suffix: str, codecs: list[str], lead: int, tmp_path: Path
) -> None:
    lengths = (2.0, 1.2, 2.0)
    path = joined(tmp_path, suffix, *codecs, lengths=lengths)
    found = shown(path)
    assert len(found) == pytest.approx(130, abs=2)
    steps = np.diff(found)
    assert set(found) >= set(range(1, 129))
    assert (steps >= 0).all()
    assert (steps == 1).sum() >= 125
    sound = heard(path)
    assert len(sound) / SOUND_HZ == pytest.approx(sum(lengths), abs=0.2)
    begin_s = 0.0
    for seconds, first in zip(lengths, (0, 50, 80), strict=True):
        part = sound[round((begin_s + 0.1) * SOUND_HZ) :][: round((seconds - 0.3) * SOUND_HZ)]
        late_s = lag_s(mono(seconds, first), part)  # the coders themselves come 20 to 40 ms late
        assert late_s == pytest.approx(0.1, abs=0.15)
        begin_s += seconds
    assert notes_of(path).num_jumps == 4  # two for the picture, two for the sound
    assert probe(path).duration_s == pytest.approx(sum(lengths), abs=0.2)
    # A segment is that stretch of the whole file, however the parts lie.
    for start, end in ((0.4, 1.2), (1.6, 2.4), (3.6, 4.8)):
        begin, stop = (round(time * 25) - lead for time in (start, end))
        assert shown(path, start, end) == found[begin:stop]
        wanted = sound[round(start * SOUND_HZ) : round(end * SOUND_HZ)]
        same_sound(heard(path, start, end), wanted)


def test_a_leap_forward_of_all_streams_is_no_time(tmp_path: Path) -> None:
    early = write(tmp_path / "early.ts", *H264, "-c:a", "mp2", seconds=2.0)
    late = write(
        tmp_path / "late.ts",
        *H264,
        "-c:a",
        "mp2",
        "-output_ts_offset",
        "500",
        seconds=2.0,
        first=50,
    )
    path = tmp_path / "joined.ts"
    path.write_bytes(early.read_bytes() + late.read_bytes())
    assert len(shown(path)) == pytest.approx(100, abs=2)
    assert len(heard(path)) / SOUND_HZ == pytest.approx(4.0, abs=0.1)
    assert notes_of(path).num_jumps == 2


def test_sound_that_falls_silent_for_long_has_a_gap_and_no_jump(tmp_path: Path) -> None:
    silent = "aselect=not(between(t\\,1\\,13))"
    path = write(tmp_path / "a.ts", *H264, "-c:a", "mp2", "-af", silent, seconds=14.0)
    sound = heard(path)
    assert len(sound) / SOUND_HZ == pytest.approx(14.0, abs=0.1)
    assert not sound[round(1.2 * SOUND_HZ) : round(12.9 * SOUND_HZ)].any()
    notes = notes_of(path)
    assert notes.num_jumps == 0
    assert notes.gap_s == pytest.approx(12.0, abs=0.1)


def test_a_clock_that_runs_over(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.ts", *H264, "-c:a", "mp2")
    offset = 2**33 / 90_000 - 2.0 - 1.4  # the muxer itself adds 1.4 s
    path = tmp_path / "over.ts"
    codecs = [*H264, "-c:a", "mp2", "-output_ts_offset", f"{offset:.6f}"]
    write(path, *codecs)
    assert shown(path) == shown(plain)
    for start, end in ((0.6, 1.4), (1.6, 2.4), (2.8, 3.6)):
        assert shown(path, start, end) == shown(plain, start, end)
        same_sound(heard(path, start, end), heard(plain, start, end))


def test_frames_that_an_edit_list_hides(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", *H264, "-g", "50", "-c:a", "aac", seconds=6.0)
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", 1.6, "-i", whole, "-t", 2, "-c", "copy", cut)
    with av.open(str(cut)) as container:
        assert container.streams.video[0].frames > 80  # 40 of them hidden
    found = shown(cut)
    assert found[:40] == list(range(40, 80))
    assert len(found) <= 54
    rest = mono(6.0)[round(1.6 * SOUND_HZ) :]
    same_sound(heard(cut)[: 2 * SOUND_HZ - 4096], rest[: 2 * SOUND_HZ - 4096])
    count, rate = frame_count(cut, None, None, LIMITS)
    assert rate == 25
    assert count == sum(1 for _ in native_frames(cut, None, None, LIMITS))


def with_edits(path: Path, edits: list[tuple[float, float]]) -> Path:
    """Returns a copy of an MP4 that shows stretches of it: how long, and from when on."""
    content = path.read_bytes()
    with av.open(str(path)) as container:
        rates = [1 / stream.time_base for stream in container.streams]

    def written(box: bytes) -> bytes:
        kind, body = box[4:8], box[8:]
        if kind == b"elst":
            delay, rate = struct.unpack(">i", body[12:16])[0], rates.pop(0)
            entries = [
                struct.pack(">Iihh", round(1000 * length_s), round(begin_s * rate) + delay, 1, 0)
                for length_s, begin_s in edits
            ]
            body = struct.pack(">II", 0, len(edits)) + b"".join(entries)
        if kind in (b"moov", b"trak", b"edts"):
            parts, at = [], 0
            while at < len(body):
                size = int.from_bytes(body[at : at + 4], "big")
                parts.append(written(body[at : at + size]))
                at += size
            body = b"".join(parts)
        return (8 + len(body)).to_bytes(4, "big") + kind + body

    movie = content.find(b"moov") - 4  # the last one of the file, so that no offset moves
    target = path.with_name("edited.mp4")
    target.write_bytes(content[:movie] + written(content[movie:]))
    return target


@pytest.mark.parametrize(
    "edits", [[(1.0, 0.0), (2.0, 3.0)], [(1.0, 3.6), (1.6, 0.8)], [(0.8, 2.0)] * 3]
)
def test_an_edit_list_of_several_stretches(
    edits: list[tuple[float, float]], tmp_path: Path
) -> None:
    path = write(tmp_path / "whole.mp4", *H264, "-c:a", "aac", seconds=6.0)
    edited = with_edits(path, edits)
    numbers = [
        round(25 * begin_s) + n for length_s, begin_s in edits for n in range(round(25 * length_s))
    ]
    expected, expected_sound = synthetic.reference(edited)
    assert [n for n, before in zip(expected, [-1, *expected], strict=False) if n != before] == (
        numbers
    )
    found = shown(edited)
    assert found == expected
    assert shown(edited, 1.2, 1.8) == expected[30:45]
    assert notes_of(edited).num_jumps == 0
    sound = heard(edited)
    if len(edits) == 2:  # where whole frames of sound overlap, ffmpeg 5 keeps a little more
        same_sound(sound, expected_sound)
    begin, end = round(1.2 * SOUND_HZ), round(1.8 * SOUND_HZ)
    same_sound(heard(edited, 1.2, 1.8), sound[begin:end])


@pytest.mark.parametrize(
    "codec",
    [
        "mpeg4",
        "mjpeg",
        "libx264 -pix_fmt yuv420p -bf 0",
        "mpeg4 -bf 2",
        "libx264 -pix_fmt yuv420p -bf 2",
    ],
)
def test_dropped_frames_of_avi_repeat_the_picture_before(codec: str, tmp_path: Path) -> None:
    """Empty chunks of AVI count in its header; they are no packets."""
    drop = "select=not(between(mod(n\\,7)\\,3\\,4))"
    options = f"-c:v {codec} -q:v 2 -g 10 -fps_mode passthrough -c:a pcm_s16le".split()
    path = write(tmp_path / "a.avi", *options, "-vf", drop)
    expected = [n - max(0, n % 7 - 2) if n % 7 < 5 else n for n in range(100)]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert sum(packet.size > 0 for packet in container.demux(stream)) < 80 < stream.frames
    assert shown(path) == expected[: len(shown(path))]
    assert len(shown(path)) >= 98
    assert shown(path, 1.2, 2.4) == expected[30:60]


@pytest.mark.parametrize(
    "codec",
    ["mpeg4 -bf 2", "libx264 -pix_fmt yuv420p -bf 3 -x264-params b-pyramid=1", "mpeg2video -bf 2"],
)
def test_avi_with_frames_out_of_order(codec: str, tmp_path: Path) -> None:
    """AVI has no time stamps, and those that FFmpeg makes up for such files are in disorder."""
    path = write(tmp_path / "a.avi", *f"-c:v {codec} -q:v 2 -g 20 -c:a pcm_s16le".split())
    assert shown(path) == list(range(100))
    for start, end in ((0.4, 1.2), (1.0, 1.8), (2.28, 3.4)):
        assert shown(path, start, end) == list(range(round(start * 25), round(end * 25)))
    # Just before a keyframe, the demuxer goes to a place that is too late.
    for start, first in ((0.79, 20), (1.59, 40), (2.39, 60)):
        assert shown(path, start, start + 0.4) == list(range(first, first + 10))


@pytest.mark.parametrize("num_empty", [0, 1, 4, 5])
def test_avi_of_a_writer_whose_encoder_begins_late(tmp_path: Path, num_empty: int) -> None:
    """All frames come once, and in order: the first one is not repeated.

    More than four empty frames are none of a late encoder's, and repeat the picture before.
    """
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = synthetic.WIDTH, synthetic.HEIGHT, "yuv420p"
        for index, picture in enumerate(synthetic.pictures(range(50))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index + num_empty * (index > 0), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    repeats = num_empty if num_empty > 4 else 0
    expected = [0] * repeats + list(range(50))
    assert shown(path) == expected
    assert shown(path, 1.0, 1.6) == expected[25:40]


@pytest.mark.parametrize(("suffix", "sound"), [("mkv", "flac"), ("mp4", "aac"), ("ts", "mp2")])
def test_a_picture_is_held_until_the_next_one(suffix: str, sound: str, tmp_path: Path) -> None:
    keep = "select=eq(mod(n\\,10)\\,0)+between(n\\,41\\,49)"
    codec = [*H264, "-vf", keep, "-fps_mode", "passthrough"]
    path = write(tmp_path / f"a.{suffix}", *codec, "-c:a", sound)
    expected = [n if 40 <= n < 50 else n - n % 10 for n in range(100)]
    found = shown(path)
    assert found[:90] == expected[:90]
    assert set(found[90:]) == {90}  # it may be stated to last for one tick only
    for start, end in ((1.2, 2.8), (2.0, 3.0)):
        assert shown(path, start, end) == expected[round(start * 25) : round(end * 25)]


def test_repeats_of_theora_are_empty_packets(tmp_path: Path) -> None:
    path = shared_folder("cases", "repeats.ogv")
    with av.open(str(path)) as container:
        assert any(packet.size == 0 and packet.dts for packet in container.demux(video=0))
    found = [sum(int(picture[40, 12 * bit + 6].mean() > 128) << bit for bit in range(8))
             for picture in native_frames(path, None, None, LIMITS)]  # fmt: skip
    assert found == sorted(found)
    assert set(found) == set(range(0, 100, 5))
    count, _ = frame_count(path, None, None, LIMITS)
    assert count == len(found)


CODERS = {
    "opus": ("mkv", "libopus"),
    "opus-ogg": ("ogg", "libopus"),
    "mp3": ("mp3", "libmp3lame -b:a 32k"),
    "mp3-avi": ("avi", "libmp3lame"),
    # Without the noise that the decoder makes up, anew each time.
    "aac": ("m4a", "aac -aac_pns 0"),
    "aac-ts": ("ts", "aac -aac_pns 0"),
    "vorbis": ("ogg", "libvorbis"),
    "vorbis-mkv": ("mkv", "libvorbis"),
    "ac3": ("mkv", "ac3"),
    "flac": ("flac", "flac"),
    "wma": ("wma", "wmav2"),
    "alac": ("m4a", "alac"),
}


@pytest.mark.parametrize("name", CODERS)
def test_a_stretch_of_sound_is_that_of_the_whole_file(name: str, tmp_path: Path) -> None:
    """To the sample, its beginning as loud: decoders are warm when the stretch begins."""
    suffix, codec = CODERS[name]
    synthetic.sources(tmp_path, 5.0)
    path = tmp_path / f"a.{suffix}"
    sound = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {tmp_path}/a.raw -c:a {codec}".split()
    ffmpeg(*sound, path)
    whole = heard(path)
    assert abs(lag_s(whole, mono(5.0))) < 0.09
    for start in (1.3, 2.501, 4.1):
        found = heard(path, start, start + 0.8)
        begin = round(start * SOUND_HZ)
        wanted = whole[begin : begin + len(found)]
        assert len(found) == round(0.8 * SOUND_HZ)
        # Matroska's clock counts milliseconds, and frames of Vorbis differ in length.
        assert abs(lag_s(found, wanted)) <= (5e-4 if name == "vorbis-mkv" else 0)
        head = slice(0, SOUND_HZ // 50)
        if name != "vorbis-mkv":
            error = np.linalg.norm(found[head] - wanted[head]) / np.linalg.norm(wanted[head])
            assert error < 0.1, error
        same_sound(found, wanted)


def test_digital_video(tmp_path: Path) -> None:
    synthetic.sources(tmp_path, 3.0)
    inputs = synthetic.sources(tmp_path, 3.0)
    ffmpeg(*inputs, "-target", "pal-dv", "-aspect", "4:3", tmp_path / "a.dv")
    whole = heard(tmp_path / "a.dv")
    for start in (0.52, 1.7):
        begin = round(start * SOUND_HZ)
        same_sound(heard(tmp_path / "a.dv", start, start + 1), whole[begin : begin + SOUND_HZ])


def test_silence_alone_is_nothing(tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    inputs = synthetic.sources(tmp_path, 4.0)
    split = inputs.index("-f", 1)
    inputs[split:split] = ["-itsoffset", "2"]
    ffmpeg(*inputs, "-map", 0, "-map", 1, *H264, "-c:a", "flac", "-t", 4, late)
    with pytest.raises(MediaError, match="nothing in segment"):
        heard(late, 0.0, 1.5)
    found = heard(late, 1.0, 3.0)
    assert len(found) == 2 * SOUND_HZ
    assert not found[: SOUND_HZ - 48].any()
    same_sound(found[SOUND_HZ:], mono(4.0)[:SOUND_HZ])
    assert notes_of(late).gap_s == pytest.approx(2.0, abs=0.01)


def test_a_file_whose_index_cannot_be_used_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = write(tmp_path / "whole.mkv", *H264, "-c:a", "aac")
    live = tmp_path / "live.webm"
    ffmpeg("-i", path, "-c:v", "libvpx", "-g", "100", "-b:v", "1M", "-c:a", "libopus", "-live", "1",
           "-f", "webm", live)  # fmt: skip
    expected = shown(live)
    for start, end in ((1.2, 2.0), (3.0, 3.6)):
        found = shown(live, start, end)
        assert found in (expected[round(start * 25) :][: len(found)],
                         expected[round(start * 25) - 1 :][: len(found)])  # fmt: skip
        assert len(found) == round((end - start) * 25)


@pytest.mark.parametrize("coding", ["h264 libx264 -bf 2", "h264 libx264 -bf 0"])
def test_a_stretch_of_a_stream_without_time_stamps(coding: str, tmp_path: Path) -> None:
    suffix, codec = coding.split(" ", 1)
    path = tmp_path / f"a.{suffix}"
    options = f"-map 0 -c:v {codec} -pix_fmt yuv420p -g 20".split()
    ffmpeg(*synthetic.sources(tmp_path, 4.0), *options, path)
    assert shown(path) == list(range(100))
    for start, end in ((0.4, 1.2), (2.32, 3.2)):
        assert shown(path, start, end) == list(range(round(25 * start), round(25 * end)))


def restamped(path: Path, moves: tuple[int, ...], lost: tuple[int, ...] = ()) -> Path:
    """Returns a copy of a file of sound whose time stamps, in its units, are moved in turn."""
    target = path.with_name(f"restamped{path.suffix}")
    with av.open(str(path)) as source, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.audio[0])
        for number, packet in enumerate(source.demux(audio=0)):
            if packet.dts is None or number in lost:
                continue
            move = moves[number % len(moves)] if number > 5 else 0
            packet.pts = packet.dts = packet.pts + move
            packet.stream = stream
            copy.mux(packet)
    return target


JITTER_MS = (0, 18, 0, 0, -18)


@pytest.mark.parametrize("moves", [JITTER_MS, (0, 17, 17, 0), (60, 45, 30, 16) + (0,) * 9])
def test_time_stamps_that_jitter_make_no_silence(moves: tuple[int, ...], tmp_path: Path) -> None:
    synthetic.sources(tmp_path, 4.0)
    sound = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {tmp_path}/a.raw -c:a libopus".split()
    ffmpeg(*sound, tmp_path / "a.webm")
    plain = heard(tmp_path / "a.webm")
    path = restamped(tmp_path / "a.webm", moves)
    with taking_notes() as notes:
        found = heard(path)
    # The last packet has none behind it that would tell.
    assert notes.gap_s <= 0.02
    assert np.array_equal(found[: 3 * SOUND_HZ], plain[: 3 * SOUND_HZ])
    assert len(found) == pytest.approx(len(plain), abs=0.021 * SOUND_HZ)
    same_sound(heard(path, 1.5, 2.5), plain[round(1.5 * SOUND_HZ) : round(2.5 * SOUND_HZ)])


@pytest.mark.parametrize(
    ("moves", "lost"),
    [((0,), (60,)), ((0,), (60, 64, 65)), (JITTER_MS, (60,))],
    ids=["one", "three", "one-and-jitter"],
)
def test_lost_packets_leave_gaps_that_stay(
    moves: tuple[int, ...], lost: tuple[int, ...], tmp_path: Path
) -> None:
    synthetic.sources(tmp_path, 4.0)
    sound = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {tmp_path}/a.raw -c:a libopus".split()
    ffmpeg(*sound, tmp_path / "a.webm")
    plain = heard(tmp_path / "a.webm")
    found = heard(restamped(tmp_path / "a.webm", moves, lost))
    length = SOUND_HZ // 50
    assert len(found) == pytest.approx(len(plain), abs=0.021 * SOUND_HZ)
    head = 312  # by so many samples the first packet is shorter: the coder needs them to begin
    silent = [n for n in range(5, 190) if not found[n * length - head :][:length].any()]
    assert silent == list(lost)
    assert abs(lag_s(found[SOUND_HZ * 2 : SOUND_HZ * 3], plain[SOUND_HZ * 2 : SOUND_HZ * 3])) < 1e-3
