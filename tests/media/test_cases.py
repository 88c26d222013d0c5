"""Files that failed once, and what is right: small inputs that stand for a kind each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.media import MediaError
from avca_pipeline.media.video import frames
from tests.conftest import shared_folder
from tests.media.synthetic import LIMITS, SOUND_HZ, heard, lag_s


def case(name: str) -> Path:
    return shared_folder("cases", name)


def numbers(path: Path, start: float | None = None, end: float | None = None) -> list[int]:
    """Returns what frames show: eight blocks 12 pixels wide, the lowest bit on the left."""
    return [
        sum(int(picture[40, 12 * bit + 6].mean() > 128) << bit for bit in range(8))
        for picture in frames(path, 25, start, end, LIMITS)
    ]


@pytest.mark.parametrize(
    ("name", "segment", "expected"),
    [
        ("trim_copy.mp4", (None, None), list(range(100, 178))),
        ("joined.ts", (None, None), [*range(50), *range(100, 150)]),
        ("wrap.ts", (1, 2), list(range(25, 50))),
        ("wrap.ts", (3.5, 4.5), list(range(87, 112))),
        ("wrap.ts", (6, 7), list(range(150, 175))),
    ],
)
def test_pictures(
    name: str, segment: tuple[float | None, float | None], expected: list[int]
) -> None:
    found = numbers(case(name), *segment)
    assert len(found) == len(expected)
    assert np.abs(np.array(found) - expected).max() <= 1


def test_dropped_and_repeated_frames() -> None:
    found = numbers(case("dropped_frames.avi"))
    assert abs(len(found) - 101) <= 1
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] == 99
    found = numbers(case("repeats.ogv"))
    assert 97 <= len(found) <= 100
    assert found[:6] == [0, 0, 0, 0, 0, 5]
    assert set(found) == set(range(0, 100, 5))


def test_a_mirror_is_applied() -> None:
    plain = np.stack(list(frames(case("plain.mp4"), 25, None, None, LIMITS)))
    mirrored = np.stack(list(frames(case("mirrored.mp4"), 25, None, None, LIMITS)))
    np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])


def test_a_file_that_was_cut_off() -> None:
    with pytest.raises(MediaError, match="truncated"):
        numbers(case("cut_off.mkv"))
    with pytest.raises(MediaError, match="truncated"):
        heard(case("cut_off.mkv"))


def first_sound_s(samples: np.ndarray) -> float:
    return float(np.flatnonzero(np.abs(samples) > 0.003)[0]) / SOUND_HZ


def test_late_sound() -> None:
    path = case("audio_late.mp4")
    assert first_sound_s(heard(path)) == pytest.approx(2.98, abs=0.01)
    with pytest.raises(MediaError, match="nothing in segment"):
        heard(path, 0, 2)
    assert first_sound_s(heard(path, 2, 4)) == pytest.approx(0.98, abs=0.01)
    whole = heard(path)
    np.testing.assert_allclose(heard(path, 4, 6), whole[4 * SOUND_HZ : 6 * SOUND_HZ], atol=0.02)


def test_a_gap_in_the_sound() -> None:
    path = case("gap.mkv")
    whole = heard(path)
    assert len(whole) / SOUND_HZ == pytest.approx(8.02, abs=0.01)
    assert not whole[round(2.1 * SOUND_HZ) : round(3.9 * SOUND_HZ)].any()
    for start, end in ((1, 3), (3, 5), (5, 7)):
        wanted = whole[start * SOUND_HZ : end * SOUND_HZ]
        assert abs(lag_s(heard(path, start, end), wanted)) <= 1e-3


def test_sound_is_warm_where_a_segment_begins() -> None:
    path = case("mp3_segment.avi")
    whole = heard(path)
    for start, end in ((2, 3), (5.5, 6.5)):
        found = heard(path, start, end)
        wanted = whole[round(start * SOUND_HZ) : round(end * SOUND_HZ)]
        assert lag_s(found, wanted) == 0
        head = slice(0, SOUND_HZ // 10)
        assert np.linalg.norm(found[head]) == pytest.approx(np.linalg.norm(wanted[head]), rel=0.01)
