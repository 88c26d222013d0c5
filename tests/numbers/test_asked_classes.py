"""A video among classes that are asked for: in any order, some of them new, with their clips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone, BundledText, Description
from avca_pipeline.inference.distances import distances_of
from avca_pipeline.inference.parts import Part
from avca_pipeline.inference.predictions import answers

# Class to the video features of its training clips; "owl" was never trained on.
CLIPS = {"cat": [(0.0, 0.0), (2.0, 0.0)], "dog": [(4.0, 4.0)], "emu": [(8.0, 0.0)], "owl": []}
TEXT = {
    "cat": (9.0, 9.0),
    "dog": (9.0, 9.0),
    "emu": (9.0, 9.0),
    "owl": (1.0, 5.0),
    "yak": (7.0, 1.0),
}
PLACE = {
    "cat": (1.0, 0.0),
    "dog": (4.0, 4.0),
    "emu": (8.0, 0.0),
    "owl": TEXT["owl"],
    "yak": TEXT["yak"],
}
VIDEO = (2.0, 1.0)
MEAN, FACTOR = np.array([1.0, 2.0]), np.array([0.5, 4.0])


def as_stored(points: list[tuple[float, float]]) -> np.ndarray:
    """Returns features that are these points once they are scaled."""
    return (np.array(points).reshape(-1, 2) / FACTOR + MEAN).astype(np.float32)


def bundle() -> Bundle:
    names = tuple(CLIPS)
    owners = [row for row, name in enumerate(names) for _ in CLIPS[name]]
    described = Description(
        name="mine", model="class_means", model_package="", model_settings={}, bias=0.0,
        class_names=names, is_unseen=tuple(name == "owl" for name in names),
        backbones={"video": BundledBackbone("frames", "timm_frames", "", 2, {}, "random:0", 2)},
        text=BundledText("hashed", "", {"dim": 2}, (), 2), max_pixels=100, max_duration_s=9.0,
    )  # fmt: skip
    arrays = {
        "scaling.video_mean": MEAN,
        "scaling.video_factor": FACTOR,
        "training.video": as_stored([point for points in CLIPS.values() for point in points]),
        "training.class": np.array(owners),
    }
    return Bundle(described, {}, arrays)


@pytest.mark.usefixtures("methods_of_the_tests")
@pytest.mark.parametrize("words", ["cat dog emu owl", "owl emu dog cat", "yak dog", "emu yak cat"])
def test_training_clips_stay_with_their_class(words: str) -> None:
    asked = words.split()
    part = Part("a.mp4", None, None, {"video": as_stored([VIDEO])[0]})
    vectors = np.array([TEXT[name] for name in asked], np.float32)
    found = distances_of(bundle(), "cpu", [part], asked, vectors)
    expected = [math.dist(VIDEO, PLACE[name]) for name in asked]
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_the_bias_is_added_to_seen_classes_before_the_nearest_is_chosen() -> None:
    parts = [Part("a.mp4", 1.0, 2.0), Part("b.mp4", None, None, reason="empty file")]
    distances = np.array([[1.0, 1.2, 2.0], [np.nan] * 3])
    is_seen = np.array([True, False, True])
    usable, lost = answers(parts, ("cat", "owl", "dog"), is_seen, distances, 0.5, 2)
    shares = np.exp([-1.5, -1.2, -2.5]) / np.exp([-1.5, -1.2, -2.5]).sum()
    assert [(one.class_name, one.is_seen, one.distance) for one in usable.ranking] == [
        ("owl", False, 1.2), ("cat", True, 1.0),
    ]  # fmt: skip
    assert [one.score for one in usable.ranking] == pytest.approx([shares[1], shares[0]])
    assert (usable.video, usable.start_s, usable.end_s) == ("a.mp4", 1.0, 2.0)
    assert (lost.ranking, lost.reason) == ((), "empty file")
