"""Clips whose every frame shows its number and whose every sample is known, made by ffmpeg.

The command line program is another FFmpeg than the one inside PyAV, and what it decodes a file to
is the reference.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from avca_pipeline.media import Limits
from avca_pipeline.media.audio import mono_blocks
from avca_pipeline.media.video import frames
from tests.conftest import program

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=600.0)
WIDTH, HEIGHT, BLOCK, RATE_HZ = 64, 48, 8, 25
SOUND_HZ = 48_000


def ffmpeg(*arguments: object, cwd: Path | None = None) -> bytes:
    """Runs ffmpeg and returns what it writes to its standard output."""
    command = [program("ffmpeg"), "-v", "error", "-nostdin", "-y", "-threads", "1"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, check=False, cwd=cwd, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def pictures(numbers: range) -> np.ndarray:
    """Returns ``(frames, 48, 64, 3)`` uint8: in the middle, eight blocks for the bits of a number.

    The upper left corner is red, so that channels and sides cannot be mixed up.
    """
    found = np.full((len(numbers), HEIGHT, WIDTH, 3), 40, np.uint8)
    for picture, number in zip(found, numbers, strict=True):
        for bit in range(8):
            if number >> bit & 1:
                picture[16:32, BLOCK * bit : BLOCK * (bit + 1)] = 220
    found[:, :12, :16] = (220, 30, 30)
    return found


def number(picture: np.ndarray) -> int:
    """Returns the number that a picture shows."""
    blocks = picture[20:28].mean(axis=(0, 2)).reshape(8, BLOCK)[:, 2:6].mean(axis=1)
    return int(((blocks > 130) << np.arange(8)).sum())


def noise(seconds: float, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Returns ``(samples, channels)`` float32 between 200 and 5,000 Hz, no two channels alike."""
    generator = np.random.default_rng(seed)
    count = round(seconds * SOUND_HZ)
    spectrum = np.fft.rfft(generator.standard_normal((count, channels)), axis=0)
    frequencies = np.fft.rfftfreq(count, 1 / SOUND_HZ)
    spectrum[(frequencies < 200) | (frequencies > 5_000)] = 0
    sound = np.fft.irfft(spectrum, count, axis=0)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def sources(folder: Path, seconds: float, first: int = 0) -> list[str]:
    """Writes raw pictures and sound; returns what makes them ffmpeg's inputs 0 and 1."""
    count = round(seconds * RATE_HZ)
    (folder / "v.raw").write_bytes(pictures(range(first, first + count)).tobytes())
    (folder / "a.raw").write_bytes(noise(seconds, seed=first).tobytes())
    picture = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {RATE_HZ} -i {folder}/v.raw"
    sound = f"-f f32le -ar {SOUND_HZ} -ac 2 -i {folder}/a.raw"
    return f"{picture} {sound}".split()


def reference(path: Path, *, has_video: bool = True) -> tuple[list[int], np.ndarray]:
    """Returns what ffmpeg decodes a file to, from the file's beginning on.

    That is the number on show at each tick, and mono samples at 48 kHz. Both come from one run:
    the beginning is that of the streams which ffmpeg uses.
    """
    folder = path.parent
    picture = ["-map", "0:v:0", "-vf", f"fps={RATE_HZ}:start_time=0", "-fps_mode", "passthrough"]
    picture += ["-f", "rawvideo", "-pix_fmt", "rgb24", folder / "v.decoded"]
    sound = ["-map", "0:a:0", "-af", f"aresample={SOUND_HZ}:async=1:first_pts=0"]
    sound += ["-f", "f32le", folder / "a.decoded"]
    ffmpeg("-i", path, *(picture if has_video else []), *sound)
    numbers = []
    if has_video:
        raw = np.fromfile(folder / "v.decoded", np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
        numbers = [number(one) for one in raw]
    return numbers, np.fromfile(folder / "a.decoded", np.float32).reshape(-1, 2).mean(axis=1)


def shown(path: Path, start: float | None = None, end: float | None = None) -> list[int]:
    """Returns the numbers of the frames that we decode at 25 Hz."""
    return [number(picture) for picture in frames(path, RATE_HZ, start, end, LIMITS)]


def heard(path: Path, start: float | None = None, end: float | None = None) -> np.ndarray:
    """Returns the samples that we decode at 48 kHz."""
    return np.concatenate(list(mono_blocks(path, SOUND_HZ, start, end, LIMITS)))


def lag_s(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns how much later a sound is than another one, by where they are most alike."""
    size = 2 * max(len(found), len(expected))
    product = np.fft.rfft(found, size) * np.fft.rfft(expected, size).conj()
    best = int(np.argmax(np.fft.irfft(product, size)))
    return (best if best < size // 2 else best - size) / SOUND_HZ


def same_sound(found: np.ndarray, expected: np.ndarray, what: str = "") -> None:
    """Asserts that sounds are equal within 1 ms and 1 % of level, and silent in the same places."""
    assert abs(len(found) - len(expected)) <= SOUND_HZ // 1000, (what, len(found), len(expected))
    found = found[: len(expected)]
    expected = expected[: len(found)]
    assert abs(lag_s(found, expected)) <= 1e-3, (what, lag_s(found, expected))
    level = np.linalg.norm(found) / np.linalg.norm(expected)
    assert abs(level - 1) <= 0.01, (what, level)
    step = SOUND_HZ // 10  # an error in a short stretch hardly moves the level of the whole
    for begin in range(0, len(expected) - step + 1, step):
        one, other = (np.sqrt(np.mean(x[begin : begin + step] ** 2)) for x in (found, expected))
        assert abs(one - other) <= 0.01 * np.sqrt(np.mean(expected**2)) + 0.01 * other, (
            what,
            begin / SOUND_HZ,
            one,
            other,
        )
