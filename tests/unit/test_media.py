"""Frames and samples of files written here, whose every frame and sample is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avca_pipeline.media import Limits, MediaError
from avca_pipeline.media.audio import mono_blocks
from avca_pipeline.media.container import probe
from avca_pipeline.media.ticks import pick
from avca_pipeline.media.video import frames
from avca_pipeline.media.windows import frame_windows, sample_windows

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=60.0)
WIDTH, HEIGHT = 64, 48
STEP = 8  # grey levels between consecutive frames, far more than compression moves them


def write_video(path: Path, times_s: list[float], b_frames: int = 0) -> None:
    """Writes frames with these time stamps; frame k is uniformly grey at level ``STEP * k``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": str(b_frames), "g": "8"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, time_s in enumerate(times_s):
            picture = np.full((HEIGHT, WIDTH, 3), STEP * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_sound(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """Writes ``(samples, channels)`` int16."""
    layout = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1"}[samples.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def levels(found: list[np.ndarray]) -> list[int]:
    """Returns which frame each picture shows."""
    return [round(float(picture.mean()) / STEP) for picture in found]


def decoded(path: Path, start: float | None = None, end: float | None = None) -> list[int]:
    return levels(list(frames(path, 25, start, end, LIMITS)))


def test_a_file_at_the_rate_is_passed_through(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [k / 25 for k in range(20)], b_frames=2)
    assert decoded(tmp_path / "a.mp4") == list(range(20))


def test_variable_rates_are_sampled_by_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.20, 0.24, 0.40]
    write_video(tmp_path / "a.mkv", times)
    expected = [0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4]
    assert decoded(tmp_path / "a.mkv")[: len(expected)] == expected


def test_fast_rates_skip_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [k / 50 for k in range(20)])
    found = decoded(tmp_path / "a.mp4")
    assert len(found) in (10, 11)  # the writer gives the last frame a longer duration
    assert all(abs(shown - 2 * tick) <= 1 for tick, shown in enumerate(found))


@pytest.mark.parametrize("b_frames", [0, 2])
def test_segments_are_found_by_seeking(tmp_path: Path, b_frames: int) -> None:
    write_video(tmp_path / "a.mp4", [k / 25 for k in range(30)], b_frames)
    assert decoded(tmp_path / "a.mp4", 0.40, 0.80) == list(range(10, 20))
    assert decoded(tmp_path / "a.mp4", 1.0, None) == list(range(25, 30))
    assert decoded(tmp_path / "a.mp4", None, 0.2) == list(range(5))
    assert decoded(tmp_path / "a.mp4", 1.0, 99.0) == list(range(25, 30))


def test_an_offset_of_all_time_stamps_changes_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", [3.0 + k / 25 for k in range(30)])
    assert decoded(tmp_path / "a.mkv") == list(range(30))
    assert decoded(tmp_path / "a.mkv", 0.40, 0.80) == list(range(10, 20))


def test_picking_matches_the_definition() -> None:
    """Against a direct statement of it: at tick n, the last frame with round(25 t) <= n."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        times = np.cumsum(generator.exponential(0.05, 30)).round(3)
        timed = [(index, float(time), 0.04) for index, time in enumerate(times)]
        ticks = np.floor(times * 25 + 0.5 + 1e-9)
        end = int(np.floor((times[-1] + 0.04) * 25 + 0.5 + 1e-9))
        expected = [int(np.flatnonzero(ticks <= n)[-1]) for n in range(int(ticks[0]), end)]
        assert list(pick(timed, 25, 0.0, None)) == expected


def test_rotation_is_applied(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, : WIDTH // 2] = 200  # bright on the left as stored
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        try:
            stream.set_display_rotation(-90)
        except AttributeError:
            pytest.skip("this PyAV cannot write rotation metadata")
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    upright = next(frames(tmp_path / "a.mp4", 25, None, None, LIMITS))
    assert upright.shape == (WIDTH, HEIGHT, 3)
    assert upright[: WIDTH // 2].mean() > 150
    assert upright[WIDTH // 2 :].mean() < 50


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    generator = np.random.default_rng(channels)
    samples = generator.integers(-20_000, 20_000, (16_000, channels), dtype=np.int16)
    write_sound(tmp_path / "a.wav", samples, 16_000)
    found = np.concatenate(list(mono_blocks(tmp_path / "a.wav", 16_000, None, None, LIMITS)))
    np.testing.assert_allclose(found, samples.mean(axis=1) / 32768.0, atol=1e-7)


def test_audio_segments_are_cut_to_the_sample(tmp_path: Path) -> None:
    samples = np.arange(-16_000, 16_000, dtype=np.int16)[:, None]
    write_sound(tmp_path / "a.wav", samples, 16_000)
    found = np.concatenate(list(mono_blocks(tmp_path / "a.wav", 16_000, 0.5, 1.25, LIMITS)))
    np.testing.assert_allclose(found, samples[8_000:20_000, 0] / 32768.0, atol=1e-7)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 32_000, 44_099, 48_000, 96_000])
def test_any_rate_is_resampled_to_the_same_tone(tmp_path: Path, rate_hz: int) -> None:
    time_s = np.arange(rate_hz) / rate_hz
    samples = (20_000 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)[:, None]
    write_sound(tmp_path / "a.wav", samples, rate_hz)
    found = np.concatenate(list(mono_blocks(tmp_path / "a.wav", 16_000, None, None, LIMITS)))
    expected = 20_000 / 32768 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert abs(len(found) - 16_000) <= 1
    np.testing.assert_allclose(found[2_000:14_000], expected[2_000:14_000], atol=5e-4)


def test_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    write_sound(tmp_path / "sound.wav", np.zeros((1_000, 1), np.int16), 16_000)
    write_video(tmp_path / "video.mp4", [k / 25 for k in range(30)])
    cut = (tmp_path / "video.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(cut[: len(cut) // 2])

    def reason(name: str, kind: str = "video", start: float | None = None) -> str:
        read = frames if kind == "video" else mono_blocks
        with pytest.raises(MediaError) as caught:
            list(read(tmp_path / name, 25, start, None, LIMITS))
        return str(caught.value).split(":", maxsplit=1)[0]

    assert reason("absent.mp4") == "missing file"
    assert reason("empty.mp4") == "empty file"
    assert reason("text.mp4") == "not a media file"
    assert reason("cut.mp4") == "not a media file"  # its index stood at the end
    assert reason("sound.wav") == "no video stream"
    assert reason("video.mp4", "audio") == "no audio stream"
    assert reason("video.mp4", start=30.0) == "nothing in segment"
    with pytest.raises(MediaError, match="not a media file"):
        probe(tmp_path / "text.mp4")


def test_cut_off_with_its_index_at_the_front(tmp_path: Path) -> None:
    fast, cut = tmp_path / "fast.mp4", tmp_path / "cut.mp4"
    generator = np.random.default_rng(0)
    with av.open(str(fast), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(50):
            noise = generator.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    whole = fast.read_bytes()
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(MediaError, match=r"truncated|damaged"):
        list(frames(cut, 25, None, None, LIMITS))


def test_limits(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [k / 25 for k in range(30)])
    write_sound(tmp_path / "a.wav", np.zeros((32_000, 1), np.int16), 16_000)
    with pytest.raises(MediaError, match="too large: 64x48"):
        list(frames(tmp_path / "a.mp4", 25, None, None, Limits(3_000, 60.0)))
    with pytest.raises(MediaError, match="too long"):
        list(frames(tmp_path / "a.mp4", 25, None, None, Limits(10_000, 1.0)))
    with pytest.raises(MediaError, match="too long"):
        list(mono_blocks(tmp_path / "a.wav", 16_000, None, None, Limits(10_000, 1.0)))


def test_hostile_names(tmp_path: Path) -> None:
    for name in ("-i.mp4", "a b.mp4", "concat:x.mp4", "100%d.mp4", "ü'\"$;.mp4"):
        write_video(tmp_path / "plain.mp4", [0.0, 0.04])
        (tmp_path / "plain.mp4").rename(tmp_path / name)
        assert decoded(tmp_path / name) == [0, 1]


def test_windows() -> None:
    pictures = [np.full((2, 2), index, np.uint8) for index in range(1, 6)]
    whole, rest = frame_windows(pictures, 3)
    assert (whole.num_valid, rest.num_valid) == (3, 2)
    assert rest.data[:, 0, 0].tolist() == [4, 5, 0]
    blocks = [np.arange(0, 7.0), np.arange(7, 12.0)]
    assert [w.data.tolist() for w in sample_windows(blocks, 4, 3)] == [
        [0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]
    ]  # fmt: skip
    (short,) = sample_windows([np.ones(2)], 4, 3)
    assert (short.num_valid, short.data.tolist()) == (2, [1, 1, 0, 0])
