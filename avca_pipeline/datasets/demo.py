"""The demo: real MP4 files, drawn and encoded here, with classes that zero-shot learning can solve.

============  ====================================================================================
Size          20 classes of 5 recordings by default, and 4 broken files: 119 clips of 1.28 s
Where from    this module; the same settings give the same bytes
Media         H.264 and AAC; 160 x 120 to 240 x 176 pixels, 24 to 30 frames a second
Licence       that of this package
============  ====================================================================================

A class is a composition of six words, three of them seen and three heard. Every word changes the
whole frame or the whole spectrum, because that is what networks with random weights can tell
apart; they miss small moving objects. A class that was never trained on consists of words that
other classes were trained on. That is what makes it recognisable at all.

15 of the recordings hold two clips, so that segments are tested too. The broken files have no
sound, no picture, a lost end, or no content: they must be rejected with a reason and not stop the
run.

A class::

    drifting red stripes, ticking low hum
"""

from __future__ import annotations

import colorsys
import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import defaults
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.settings import PluginSettings, Seed

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

CLIP_S = 1.28  # two windows of 16 frames at 25 fps
LONG_S = 2.6
LONG_SEGMENTS_S = ((0.0, 1.28), (1.3, 2.58))
BROKEN = ("no-audio", "no-video", "truncated", "empty")

# The six attributes. No word occurs in two of them, and none is said of two different things.
HUES = {"red": 0.0, "green": 0.36, "blue": 0.63}
PATTERNS = ("stripes", "rings", "dots")
MOTIONS = ("drifting", "rushing", "flickering")
PITCHES_HZ = {"low": 220.0, "middle": 800.0, "high": 2800.0}
TIMBRES = ("hum", "buzz", "hiss")
RHYTHMS = ("steady", "pulsing", "ticking")

FRAME_SIZES = ((160, 120), (176, 144), (208, 160), (240, 176))
FRAME_RATES = (24, 25, 30)
SAMPLE_RATES_HZ = (44100, 48000)


class Settings(PluginSettings):
    """What the demo consists of."""

    num_classes: int = Field(default=20, ge=len(BROKEN), le=200)
    """Number of classes; each is a combination of words."""
    sources_per_class: int = Field(default=5, ge=1, le=100)
    """Number of media files of each class, without the damaged ones."""
    seed: Seed = 0
    """Seed of the random choices. Another seed changes the choice of classes and every pixel and
    sample.
    """


@dataclass(frozen=True)
class Words:
    """What a class consists of, one word of each attribute."""

    hue: str
    pattern: str
    motion: str
    pitch: str
    timbre: str
    rhythm: str

    def __str__(self) -> str:
        seen = f"{self.motion} {self.hue} {self.pattern}"
        return f"{seen}, {self.rhythm} {self.pitch} {self.timbre}"


@dataclass(frozen=True)
class Source:
    """One media file: its class, whether it holds two clips, and what is broken about it."""

    source_id: str
    words: Words
    is_long: bool = False
    broken: str = ""

    def clips(self, seed: int) -> Iterator[Clip]:
        """Yields the clips cut from it: itself, or its segments."""
        # The seed is part of the name, so that a folder never serves the media of another seed.
        whole = Clip(
            clip_id=self.source_id,
            source_id=self.source_id,
            class_name=str(self.words),
            path_or_url=f"{self.source_id}-seed{seed}.mp4",
        )
        if not self.is_long:
            yield whole
            return
        for letter, (start_s, end_s) in zip("ab", LONG_SEGMENTS_S, strict=True):
            yield dataclasses.replace(
                whole, clip_id=f"{self.source_id}-{letter}", start_s=start_s, end_s=end_s
            )


remarks = defaults.remarks
find = defaults.find
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    """Returns nothing: the clips follow from the settings alone."""
    return []


def clips(settings: Settings) -> list[Clip]:
    """Returns every clip, the broken ones included."""
    sources = _sources(settings).values()
    return [clip for source in sources for clip in source.clips(settings.seed)]


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's media in ``folder``, drawn and encoded unless it is there already.

    Raises:
        MediaError: the clip is not one of these settings'.
    """
    path = folder / clip.path_or_url
    if path.exists():
        return path
    source = _sources(settings).get(clip.source_id)
    if source is None:
        from avca_pipeline.media import MediaError

        raise MediaError(f"missing file: these settings make no source {clip.source_id!r}")
    with atomic_write(path) as temporary:
        _render(source, settings.seed, temporary)
    return path


@functools.lru_cache(maxsize=8)
def _sources(settings: Settings) -> dict[str, Source]:
    """Returns every source by its id.

    A source's content must not depend on how many others there are, so nothing here depends on
    the number of classes or sources but where the two loops end.
    """
    sources = []
    for rank, words in enumerate(_classes(settings.num_classes, settings.seed)):
        slug = str(words).replace(",", "").replace(" ", "-")
        for index in range(settings.sources_per_class):
            is_long = (rank + 3 * index) % 7 == 0
            sources.append(Source(f"{slug}-s{index:02d}", words, is_long))
        if rank < len(BROKEN):
            sources.append(Source(f"{slug}-{BROKEN[rank]}", words, broken=BROKEN[rank]))
    return {source.source_id: source for source in sources}


def _classes(num_classes: int, seed: int) -> list[Words]:
    """Returns compositions in which every word, and every pair of words, is about as frequent.

    Greedy: the next class is one whose words and pairs of words have been used least, so that
    fewer classes are always the beginning of more classes.
    """
    attributes = (tuple(HUES), PATTERNS, MOTIONS, tuple(PITCHES_HZ), TIMBRES, RHYTHMS)
    grid = np.array(list(itertools.product(*(range(len(words)) for words in attributes))))
    grid = np.random.default_rng(seed).permutation(grid)
    pairs = list(itertools.combinations_with_replacement(range(len(attributes)), 2))
    codes = np.stack([100 * k + 10 * grid[:, i] + grid[:, j] for k, (i, j) in enumerate(pairs)], 1)
    uses = np.zeros(100 * len(pairs))
    chosen: list[int] = []
    for _ in range(num_classes):
        cost = uses[codes].sum(axis=1)
        cost[chosen] = np.inf
        chosen.append(int(cost.argmin()))
        uses[codes[chosen[-1]]] += 1
    return [
        Words(*(words[value] for words, value in zip(attributes, grid[row], strict=True)))
        for row in chosen
    ]


def _render(source: Source, seed: int, path: Path) -> None:
    """Draws, encodes and, where it is to be broken, breaks a source."""
    if source.broken == "empty":
        path.touch()
        return
    digest = hashlib.sha256(f"{seed}/{source.source_id}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    duration_s = LONG_S if source.is_long else CLIP_S
    fps = int(rng.choice(FRAME_RATES))
    rate_hz = int(rng.choice(SAMPLE_RATES_HZ))
    frames = _frames(source.words, rng, duration_s, fps)
    samples = _samples(source.words, rng, duration_s, rate_hz)
    _encode(
        path,
        None if source.broken == "no-video" else (frames, fps),
        None if source.broken == "no-audio" else (samples, rate_hz),
    )
    if source.broken == "truncated":
        # The index of an MP4 is at its end, so a download that broke off cannot be opened.
        os.truncate(path, path.stat().st_size * 2 // 3)


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
    """Returns how far a pattern has moved and how brightly it is lit, for each frame."""
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
    """Returns a tone: pure, with all of its harmonics, or within a noise far above it."""
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
    """Returns how loud a sound is over time: always, half of each beat, or a tick of it."""
    if rhythm == "steady":
        return np.ones_like(times_s)
    rate_hz, threshold = (5.0, -0.2) if rhythm == "pulsing" else (8.0, 0.95)
    beat: Floats = np.sin(2 * np.pi * (rate_hz * rng.uniform(0.9, 1.1) * times_s + rng.uniform()))
    loudness: Floats = 1 / (1 + np.exp(-20 * (beat - threshold)))
    return loudness


def _encode(path: Path, video: tuple[Bytes, int] | None, audio: tuple[Floats, int] | None) -> None:
    """Writes an MP4 of H.264 video and AAC audio, or of one of them: always the same bytes."""
    import av

    # The temporary path does not end in .mp4, and that is all a format could be told from.
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

    # libx264's look-ahead makes its output vary from call to call, even on one thread.
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
    # The default coder takes longer than all the rest of a clip.
    options = {"aac_coder": "fast"}
    stream = container.add_stream("aac", rate=rate_hz, layout=layout, options=options)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    return stream, [frame]
