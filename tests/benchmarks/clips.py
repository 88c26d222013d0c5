"""Clips to measure with: the formats of the benchmark's datasets, with content that moves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

AUDIO_HZ = 44_100


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    suffix: str
    codec: str
    width: int
    height: int
    rate_hz: int


FORMATS = {
    "xvid 320x240": Format(".avi", "mpeg4", 320, 240, 25),
    "h264 340x256": Format(".mp4", "libx264", 340, 256, 25),
    "h264 640x360": Format(".mp4", "libx264", 640, 360, 30),
    "h264 1280x720": Format(".mp4", "libx264", 1280, 720, 30),
}


def write(path: Path, kind: Format, seconds: float, seed: int = 0) -> Path:
    """Writes a clip: textures at two depths that drift apart, a little noise, stereo sound."""
    generator = np.random.default_rng(seed)
    far, near = (_texture(generator, kind.height, 2 * kind.width, grain) for grain in (24, 6))
    noise = generator.integers(-4, 5, (4, kind.height, kind.width, 1), np.int16)
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast"} if kind.codec == "libx264" else {}
        video = container.add_stream(kind.codec, rate=kind.rate_hz, options=options)
        video.width, video.height, video.pix_fmt = kind.width, kind.height, "yuv420p"
        if kind.codec == "mpeg4":
            video.bit_rate = 800_000
        audio = container.add_stream("mp3" if kind.suffix == ".avi" else "aac", rate=AUDIO_HZ)
        for number in range(round(seconds * kind.rate_hz)):
            left, right = number % kind.width, (2 * number) % kind.width
            depths = far[:, left : left + kind.width], near[:, right : right + kind.width]
            picture = (depths[0] + depths[1]) // 2 + noise[number % len(noise)]
            picture = picture.clip(0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        time_s = np.arange(round(seconds * AUDIO_HZ)) / AUDIO_HZ
        tone = np.sin(2 * np.pi * (200 + 300 * time_s) * time_s)
        sound = np.stack([tone, generator.standard_normal(len(tone)).clip(-2, 2) / 3])
        resampler = av.AudioResampler(format=audio.format, layout="stereo", rate=AUDIO_HZ)
        samples = (sound * 12_000).astype(np.int16).T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = AUDIO_HZ
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(audio.encode(part))
        container.mux(audio.encode(None))
    return path


def _texture(generator: np.random.Generator, height: int, width: int, grain: int) -> np.ndarray:
    """Returns ``(height, width, 3)`` int16 of smooth blobs of about ``grain`` pixels."""
    coarse = generator.integers(0, 256, (height // grain + 2, width // grain + 2, 3))
    rows, columns = np.arange(height) / grain, np.arange(width) / grain
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = coarse[top][:, left] * (1 - right) + coarse[top][:, left + 1] * right
    lower = coarse[top + 1][:, left] * (1 - right) + coarse[top + 1][:, left + 1] * right
    return (upper * (1 - down) + lower * down).astype(np.int16)
