"""Colours and samples, number by number, against what ffmpeg decodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.media.audio import mono_blocks
from avca_pipeline.media.video import frames, native_frames
from tests.media import synthetic
from tests.media.synthetic import HEIGHT, LIMITS, SOUND_HZ, WIDTH, ffmpeg

COLOURS = {
    "red": (220, 20, 30),
    "green": (20, 200, 40),
    "blue": (30, 40, 210),
    "yellow": (230, 220, 20),
}


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_is_that_colour(colour: str, tmp_path: Path) -> None:
    flat = np.broadcast_to(np.array(COLOURS[colour], np.uint8), (5, HEIGHT, WIDTH, 3))
    (tmp_path / "v.raw").write_bytes(flat.tobytes())
    raw = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r 25 -i {tmp_path}/v.raw".split()
    ffmpeg(*raw, *["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "4"], tmp_path / "a.mp4")
    for read in (
        frames(tmp_path / "a.mp4", 25, None, None, LIMITS),
        native_frames(tmp_path / "a.mp4", None, None, LIMITS),
    ):
        found = np.stack(list(read))
        assert found.shape == flat.shape
        assert np.abs(found.astype(int) - flat).max() <= 4


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264 -pix_fmt yuv420p -bf 2"),
        ("mp4", "libx264 -pix_fmt yuv444p"),
        ("avi", "mpeg4 -q:v 3"),
        ("mov", "mjpeg -pix_fmt yuvj420p -q:v 2"),
        ("webm", "libvpx -b:v 1M -deadline realtime"),
        ("mpg", "mpeg2video -q:v 3"),
        ("mkv", "ffv1 -pix_fmt bgr0"),
    ],
)
def test_pictures_are_those_of_ffmpeg(suffix: str, codec: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (10, HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    coloured = coarse.repeat(8, axis=1).repeat(8, axis=2)
    (tmp_path / "v.raw").write_bytes(coloured.tobytes())
    raw = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r 25 -i {tmp_path}/v.raw".split()
    path = tmp_path / f"a.{suffix}"
    ffmpeg(*raw, "-c:v", *codec.split(), path)
    decoded = ffmpeg(
        "-i", path, "-fps_mode", "passthrough", "-sws_flags", "bilinear", "-f", "rawvideo",
        "-pix_fmt", "rgb24", "-",
    )  # fmt: skip
    expected = np.frombuffer(decoded, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    found = np.stack(list(frames(path, 25, None, None, LIMITS)))
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() < 3
    assert np.percentile(difference, 99) <= 24  # colour between samples is a matter of taste
    # Within blocks, away from their borders, nothing is.
    inner = difference.reshape(-1, HEIGHT // 8, 8, WIDTH // 8, 8, 3)[:, :, 3:5, :, 3:5]
    assert inner.max() <= 4


SOUNDS = {
    "aac.mp4": "aac",
    "mp3.mp3": "libmp3lame",
    "opus.webm": "libopus",
    "vorbis.ogg": "libvorbis",
    "ac3.mkv": "ac3",
    "mp2.mpg": "mp2",
    "float.wav": "pcm_f32le",
    "double.wav": "pcm_f64le",
    "8 bit.wav": "pcm_u8",
    "16 bit.wav": "pcm_s16le",
    "24 bit.wav": "pcm_s24le",
    "32 bit.wav": "pcm_s32le",
    "planar.flac": "flac",
    "alac.m4a": "alac",
    "law.wav": "pcm_mulaw",
}


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        *((name, channels) for name in SOUNDS for channels in (1, 2)),
        *((name, 8) for name in ("aac.mp4", "opus.webm", "planar.flac", "16 bit.wav")),
    ],
)
def test_samples_are_those_of_ffmpeg(name: str, channels: int, tmp_path: Path) -> None:
    """Loud enough that a sample which wraps, or a channel which is left out, cannot hide."""
    sound = synthetic.noise(1.0, channels, seed=4) * 1.6
    (tmp_path / "a.raw").write_bytes(sound.tobytes())
    path = tmp_path / name
    raw = f"-f f32le -ar {SOUND_HZ} -ac {channels} -i {tmp_path}/a.raw".split()
    ffmpeg(*raw, "-c:a", SOUNDS[name], path)
    decoded = ffmpeg("-i", path, "-f", "s16le", "-c:a", "pcm_s16le", "-")
    expected = np.frombuffer(decoded, "<i2").reshape(-1, channels).mean(axis=1) / 32768
    found = np.concatenate(list(mono_blocks(path, SOUND_HZ, None, None, LIMITS)))
    assert len(found) == len(expected)
    assert np.abs(expected).max() > (0.4 if channels < 8 else 0.2)
    # Two versions of FFmpeg round a lossy decoder's output differently now and then.
    np.testing.assert_allclose(found, expected, atol=2.1 / 32768)


@pytest.mark.parametrize("name", ["aac.mp4", "mp3.mp3", "float.wav", "flac.mkv"])
def test_a_stretch_begins_within_a_frame(name: str, tmp_path: Path) -> None:
    codec = {"flac.mkv": "flac", **SOUNDS}[name]
    sound = synthetic.noise(3.0, 2, seed=5)
    (tmp_path / "a.raw").write_bytes(sound.tobytes())
    raw = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {tmp_path}/a.raw".split()
    pns = ["-aac_pns", "0"] if codec == "aac" else []
    ffmpeg(*raw, "-c:a", codec, *pns, tmp_path / name)
    decoded = ffmpeg("-i", tmp_path / name, "-f", "s16le", "-c:a", "pcm_s16le", "-")
    expected = np.frombuffer(decoded, "<i2").reshape(-1, 2).mean(axis=1) / 32768
    for start, end in ((0.3071, 0.9013), (1.5003, 2.2)):
        begin, count = round(start * SOUND_HZ), round((end - start) * SOUND_HZ)
        found = np.concatenate(list(mono_blocks(tmp_path / name, SOUND_HZ, start, end, LIMITS)))
        np.testing.assert_allclose(found, expected[begin : begin + count], atol=3.1 / 32768)


def test_native_frames_of_a_segment(tmp_path: Path) -> None:
    inputs = synthetic.sources(tmp_path, 2.0)
    path = tmp_path / "a.mp4"
    codec = "-c:v libx264 -pix_fmt yuv420p -bf 2 -g 20"
    ffmpeg(*inputs, "-map", 0, *codec.split(), path)
    for start, end in ((0.4, 1.2), (0.0, 0.4), (1.6, 2.0), (0.42, 0.98)):
        numbers = [synthetic.number(p) for p in native_frames(path, start, end, LIMITS)]
        # Frames are counted to the segment that most of their time lies in.
        expected = [n for n in range(50) if start <= n / 25 + 0.02 < end - 1e-9]
        assert numbers == expected, (start, end)
    assert len(list(native_frames(path, None, None, LIMITS))) == 50
