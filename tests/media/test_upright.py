"""The display matrix, applied whole: against what ffmpeg shows."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.orientation import upright
from avca_pipeline.media.video import frames
from tests.media import synthetic
from tests.media.synthetic import HEIGHT, LIMITS, WIDTH, ffmpeg

ONE = 1 << 16
# The first two columns of the matrix: where the steps to the right and downwards lead.
TURNS = {
    "as stored": (1, 0, 0, 1),
    "a quarter turn": (0, 1, -1, 0),
    "half a turn": (-1, 0, 0, -1),
    "three quarter turns": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}


def with_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Returns a copy of an MP4 file whose picture has another display matrix."""
    content = bytearray(path.read_bytes())
    plain = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    at = content.index(plain, content.index(b"tkhd"))  # not that of the whole movie
    values = [round(value * ONE) for value in (a, b, c, d)]
    matrix = (values[0], values[1], 0, values[2], values[3], 0, 0, 0, 1 << 30)
    content[at : at + len(plain)] = struct.pack(">9i", *matrix)
    target = path.with_name("turned.mp4")
    target.write_bytes(content)
    return target


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upright")
    inputs = synthetic.sources(folder, 0.4, first=11)
    lossless = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "1"]
    ffmpeg(*inputs, "-map", "0:v", *lossless, folder / "plain.mp4")
    return folder / "plain.mp4"


def first(path: Path) -> np.ndarray:
    return next(frames(path, 25, None, None, LIMITS))


@pytest.mark.parametrize("name", TURNS)
def test_turns_and_mirrors_are_those_of_ffmpeg(name: str, plain: Path) -> None:
    path = with_matrix(plain, *TURNS[name])
    height, width = (WIDTH, HEIGHT) if TURNS[name][0] == 0 else (HEIGHT, WIDTH)
    raw = ffmpeg("-i", path, "-frames:v", 1, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    expected = np.frombuffer(raw, np.uint8).reshape(height, width, 3).astype(int)
    with taking_notes() as notes:
        found = first(path).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 3
    assert notes.tilt_deg == 0


@pytest.mark.parametrize("name", TURNS)
def test_the_matrix_by_its_definition(name: str) -> None:
    """The point (x, y) of the stored picture is shown at (a x + c y, b x + d y)."""
    a, b, c, d = TURNS[name]
    stored = np.arange(12).reshape(3, 4)
    points = {(a * x + c * y, b * x + d * y): stored[y, x] for y in range(3) for x in range(4)}
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    expected = np.zeros((3, 4) if a else (4, 3), int)
    for (x, y), value in points.items():
        expected[y - top, x - left] = value
    matrix = np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30], "<i4")
    np.testing.assert_array_equal(upright(stored, matrix.tobytes()), expected)


@pytest.mark.parametrize(("angle", "tilt"), [(10, 10), (44, 44), (46, 44), (180.5, 0), (60, 30)])
def test_odd_angles_are_named(angle: float, tilt: float, plain: Path) -> None:
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    with taking_notes() as notes:
        found = first(with_matrix(plain, cosine, sine, -sine, cosine))
    assert notes.tilt_deg == pytest.approx(tilt, abs=0.01)
    expected = np.rot90(first(plain), -round(angle / 90))
    np.testing.assert_array_equal(found, expected)


def test_a_matrix_of_zeros_turns_nothing(plain: Path) -> None:
    np.testing.assert_array_equal(first(with_matrix(plain, 0, 0, 0, 0)), first(plain))
