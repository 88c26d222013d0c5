"""Stretches of a video: where they are, and the mean of which windows they have."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.backbones import MediaSegment, Timing
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.inference.stretches import stretches
from avca_pipeline.media.notes import Notes


def clip(starts: list[float], *, late_s: float = 0.0, end_s: float | None = None) -> EncodedClip:
    """Returns a clip whose windows have their numbers as features."""
    start_s = None if end_s is None else 10.0
    windows = [np.array([number], np.float32) for number in range(len(starts))]
    return EncodedClip(
        "v", MediaSegment(Path("v"), start_s, end_s), starts=starts, windows=windows,
        notes=Notes(late_s=late_s),
    )  # fmt: skip


def test_the_longer_windows_are_the_stretches_and_the_shorter_ones_are_averaged() -> None:
    # Windows of 16 frames at 25 Hz, and of sound, 1 s each.
    clips = {"video": clip([0, 16, 32, 48, 64]), "audio": clip([0, 8000, 16000, 24000])}
    timings = {"video": Timing.side_by_side(16, 25), "audio": Timing.side_by_side(8000, 8000)}
    found = stretches(clips, timings)
    assert [(part.start_s, part.end_s) for part in found] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    # Frames begin at 0, 0.64, 1.28, 1.92 and 2.56 s and end with 3.2 s.
    means = [float(part.features["video"][0]) for part in found]
    assert means == [0.5, 2.0, 3.5, 4.0]
    assert [float(part.features["audio"][0]) for part in found] == [0, 1, 2, 3]
    assert found[0].features["video"].dtype == np.float32


def test_without_a_length_a_window_ends_where_the_next_one_begins() -> None:
    clips = {"video": clip([0.5, 1.5], late_s=0.25), "audio": clip([0, 1, 2])}
    timings = {"video": Timing(math.nan, math.nan, 1), "audio": Timing(1, 1, 1)}
    found = stretches(clips, timings)
    assert [(part.start_s, part.end_s) for part in found] == [(0.75, 1.75), (1.75, None)]
    assert [float(part.features["audio"][0]) for part in found] == [1, 2]
    assert stretches(clips, timings, 2.5)[-1].end_s == 2.5


def test_times_are_those_of_the_file_and_end_with_the_stretch_asked_for() -> None:
    clips = {"video": clip([0, 1], end_s=11.5), "audio": clip([5.0, 6.0, 7.0], end_s=11.5)}
    timings = {name: Timing(1, 1, 1) for name in clips}
    found = stretches(clips, timings)
    assert [(part.start_s, part.end_s) for part in found] == [(10, 11), (11, 11.5)]
    assert [float(part.features["audio"][0]) for part in found] == [0, 0]  # the next to it


def test_a_stretch_has_its_own_window_alone_and_of_the_others_those_that_lie_half_inside() -> None:
    # VGGish: 0.975 s every 0.96 s, so that neighbours overlap. Frames: 5 a second.
    clips = {"video": clip(list(range(15))), "audio": clip([0, 15360, 30720])}
    timings = {"video": Timing.side_by_side(1, 5), "audio": Timing(0.975, 0.96, 16000)}
    found = stretches(clips, timings)
    assert [float(part.features["audio"][0]) for part in found] == [0, 1, 2]
    # Of the frame from 1.8 to 2 s, 0.135 s are in the second stretch and 0.08 s in the third,
    # which ends at 2.895 s and has too little of the last frame.
    means = [float(part.features["video"][0]) for part in found]
    assert means == pytest.approx([2, 7, 11.5])
    # The longer one has as many windows here: none is half inside, and the nearest is taken.
    clips = {"video": clip([0, 1]), "audio": clip([1, 4])}
    timings = {"video": Timing(1, 1, 1), "audio": Timing(10, 3, 1)}
    found = stretches(clips, timings)
    assert [float(part.features["audio"][0]) for part in found] == [0, 0]


def test_no_stretch_is_empty_or_ends_after_the_video() -> None:
    # Of a short video the same frame is taken twice; the sound is padded to one window and a half.
    clips = {"video": clip([0, 0, 1]), "audio": clip([0, 1, 2, 3])}
    timings = {"video": Timing(math.nan, math.nan, 1), "audio": Timing(1, 1, 1)}
    found = stretches(clips, timings, 1.5)
    assert [(part.start_s, part.end_s) for part in found] == [(0, 1), (1, 1.5)]
    assert [float(part.features["video"][0]) for part in found] == [1, 2]
    padded = {name: clip([0]) for name in ("video", "audio")}
    (part,) = stretches(padded, {name: Timing(0.975, 0.96, 1) for name in padded}, 0.5)
    assert (part.start_s, part.end_s) == (0, 0.5)
    # A file that says less than it has loses nothing.
    found = stretches(clips, timings, 0.5)
    assert [(part.start_s, part.end_s) for part in found] == [(0, 0.5), (1, None)]
