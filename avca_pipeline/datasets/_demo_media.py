"""Draws, sounds and encodes the media of the demo: what each word looks or sounds like."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

# The six attributes. No word belongs to two of them.
HUES = {"red": 0.0, "green": 0.36, "blue": 0.63}
PATTERNS = ("stripes", "rings", "dots")
MOTIONS = ("drifting", "rushing", "flickering")
PITCHES_HZ = {"low": 220.0, "middle": 800.0, "high": 2800.0}
TIMBRES = ("hum", "buzz", "hiss")
RHYTHMS = ("steady", "pulsing", "ticking")

FRAME_SIZES = ((160, 120), (176, 144), (208, 160), (240, 176))
FRAME_RATES = (24, 25, 30)
SAMPLE_RATES_HZ = (44100, 48000)


@dataclass(frozen=True)
class Words:
    """The words of a class, one for each attribute."""

    hue: str
    pattern: str
    motion: str
    pitch: str
    timbre: str
    rhythm: str

    def __str__(self) -> str:
        seen = f"{self.motion} {self.hue} {self.pattern}"
        return f"{seen}, {self.rhythm} {self.pitch} {self.timbre}"


def render(
    path: Path,
    words: Words,
    duration_s: float,
    rng: np.random.Generator,
    *,
    has_video: bool = True,
    has_audio: bool = True,
) -> None:
    """Writes an MP4 of what a class looks and sounds like.

    Args:
        path: of the file.
        words: the class.
        duration_s: of picture and sound.
        rng: decides all that the words leave open.
        has_video: write a video stream.
        has_audio: write an audio stream.
    """
    fps = int(rng.choice(FRAME_RATES))
    rate_hz = int(rng.choice(SAMPLE_RATES_HZ))
    frames = _frames(words, rng, duration_s, fps)
    samples = _samples(words, rng, duration_s, rate_hz)
    _encode(path, (frames, fps) if has_video else None, (samples, rate_hz) if has_audio else None)


def _frames(words: Words, rng: np.random.Generator, duration_s: float, fps: int) -> Bytes:
    """Draws ``[frames, height, width, 3]``: a pattern over the whole frame that moves in time."""
    width, height = FRAME_SIZES[rng.integers(len(FRAME_SIZES))]
    waves = 2 * np.pi * rng.uniform(5.0, 6.5) / height
    rows = waves * (np.arange(height, dtype=np.float32)[:, None] - height / 2)
    columns = waves * (np.arange(width, dtype=np.float32) - width / 2)
    times_s = np.arange(np.floor(duration_s * fps), dtype=np.float32)[:, None, None] / fps
    phase, light = _motion(words.motion, 2 * np.pi * times_s, rng)
    pattern = np.tanh(3 * _pattern(words.pattern, rows, columns, phase))
    texture = rng.normal(0, 0.03, (height, width)).astype(np.float32)
    brightness = rng.uniform(0.45, 0.55) + rng.uniform(0.35, 0.45) * pattern + texture
    hue = HUES[words.hue] + rng.uniform(-0.03, 0.03)
    colour = colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.85, 1.0), 255.0)
    shades = np.clip(brightness * light, 0, 1)[..., None] * np.array(colour, np.float32)
    return shades.astype(np.uint8)


def _motion(name: str, turns: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Returns the phase and the brightness of a pattern in each frame, ``[frames, 1, 1]`` each."""
    start = rng.uniform(0, 2 * np.pi)
    moved, lit = start + 0 * turns, 1 + 0 * turns
    if name == "drifting":
        moved = start + rng.uniform(0.7, 1.0) * turns
    elif name == "rushing":
        moved = start + rng.uniform(4.5, 5.5) * turns
    else:
        lit = 0.5 + 0.5 * np.cos(rng.uniform(5.5, 6.5) * turns + start)
    return moved, lit


def _pattern(name: str, rows: Floats, columns: Floats, moved: Floats) -> Floats:
    """Returns the pattern over ``[frames, height, width]``, negative where it is dark."""
    if name == "stripes":
        return np.sin(columns - moved + 0 * rows)
    if name == "rings":
        return np.sin(np.hypot(rows, columns) - moved)
    return np.cos(2 * columns - moved) + np.cos(2 * rows) - 1


def _samples(words: Words, rng: np.random.Generator, duration_s: float, rate_hz: int) -> Floats:
    """Makes ``[channels, samples]`` within -1 to 1: a sound of one pitch, in a rhythm."""
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    pitch_hz = PITCHES_HZ[words.pitch] * 2 ** rng.uniform(-0.15, 0.15)
    sound = _sound(words.timbre, pitch_hz, times_s, rng) * _beat(words.rhythm, times_s, rng)
    noise = rng.normal(0, 10 ** rng.uniform(-3.5, -2.8), len(sound))
    channels = 10 ** rng.uniform(-0.8, -0.5) * rng.uniform(0.8, 1.0, (rng.integers(1, 3), 1))
    return np.clip(channels * (sound + noise), -1, 1).astype(np.float32)


def _sound(timbre: str, pitch_hz: float, times_s: Floats, rng: np.random.Generator) -> Floats:
    """Returns a tone: pure, with all harmonics, or with noise far above it in frequency."""
    turns = pitch_hz * times_s + rng.uniform()
    tone: Floats = np.sin(2 * np.pi * turns)
    if timbre == "hum":
        return tone
    if timbre == "buzz":
        return 1.2 * (2 * (turns % 1) - 1)
    # Noise of up to 2 kHz, shifted to 5.5 kHz: above every pitch, below 8 kHz.
    knots = np.clip(rng.normal(size=int(4000 * times_s[-1]) + 2), -2, 2)
    noise = np.interp(4000 * times_s, np.arange(len(knots)), knots)
    carrier: Floats = np.sin(2 * np.pi * 5500 * times_s)
    return 0.8 * (tone + noise * carrier)


def _beat(rhythm: str, times_s: Floats, rng: np.random.Generator) -> Floats:
    """Returns the loudness over time, 0 to 1: steady, half of each beat, or a short part of it."""
    if rhythm == "steady":
        return np.ones_like(times_s)
    rate_hz, threshold = (5.0, -0.2) if rhythm == "pulsing" else (8.0, 0.95)
    beat: Floats = np.sin(2 * np.pi * (rate_hz * rng.uniform(0.9, 1.1) * times_s + rng.uniform()))
    loudness: Floats = 1 / (1 + np.exp(-20 * (beat - threshold)))
    return loudness


def _encode(path: Path, video: tuple[Bytes, int] | None, audio: tuple[Floats, int] | None) -> None:
    """Writes an MP4 of H.264 video and AAC audio, or of one of them: always the same bytes."""
    import av

    # The temporary path does not end in .mp4, so FFmpeg cannot derive the format from it.
    with av.open(str(path), "w", format="mp4") as container:
        tracks = []
        if video:
            tracks.append(_video_track(container, *video))
        if audio:
            tracks.append(_audio_track(container, *audio))
        for stream, frames in tracks:
            for frame in (*frames, None):
                container.mux(stream.encode(frame))


def _video_track(container: Any, pixels: Bytes, fps: int) -> tuple[Any, list[Any]]:
    """Adds a stream to the container; returns it and its frames."""
    import av

    # With look-ahead, the output of libx264 varies from call to call, even on one thread.
    options = {"crf": "20", "preset": "veryfast", "rc-lookahead": "0"}
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.height, stream.width = pixels.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1
    frames = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in pixels]
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, fps)
    return stream, frames


def _audio_track(container: Any, samples: Floats, rate_hz: int) -> tuple[Any, list[Any]]:
    """Adds a stream to the container; returns it and its one frame."""
    import av

    layout = "mono" if len(samples) == 1 else "stereo"
    # The default coder takes longer than everything else that a clip needs.
    options = {"aac_coder": "fast"}
    stream = container.add_stream("aac", rate=rate_hz, layout=layout, options=options)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    return stream, [frame]
