"""What the report's figures draw, read off their SVG."""

from __future__ import annotations

import re

import numpy as np
import pytest

from avca_pipeline.artifacts.scores import Embeddings
from avca_pipeline.reporting.figures import Plot, embedding_plot, validation_plot
from tests.builders import history_of


def used(plot: Plot) -> list[tuple[float, float, dict[str, str]]]:
    """Returns where each marker stands, and its style."""
    found = []
    pattern = r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="([^"]*)"'
    for x, y, style in re.findall(pattern, plot.svg):
        parts = dict(part.strip().split(": ") for part in style.split(";"))
        found.append((float(x), float(y), parts))
    return found


def test_the_selected_candidate_s_curve_and_epoch_are_marked_in_each_panel() -> None:
    plot = validation_plot(
        {
            0: [history_of("a", 1, 0.1, 0.4, 0.2), history_of("b", 0, 0.3, 0.2, 0.1)],
            1: [history_of("a", 2, 0.2, 0.1, 0.3), history_of("b", 2, 0.1, 0.1, 0.2)],
        },
        {0: "a", 1: "b"}, "plot", "title",
    )  # fmt: skip
    curves = [
        np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path), float)
        for path in re.findall(r'<path d="([^"]*)"[^>]*stroke-width: 1\.8', plot.svg)
    ]
    bottom = max(
        float(y) for y in re.findall(r"M [\d.]+ ([\d.]+) \s*L [\d.]+ [\d.]+ *\s*\"", plot.svg)
    )
    assert len(curves) == 2
    scale = (bottom - curves[0][0, 1]) / 10
    for curve, percent in zip(curves, ([10, 40, 20], [10, 10, 20]), strict=True):
        np.testing.assert_allclose(bottom - curve[:, 1], scale * np.array(percent), rtol=1e-4)
        np.testing.assert_allclose(np.diff(curve[:, 0], 2), 0, atol=1e-3)
    # The drawing names its texts in comments: the axis is in percent.
    texts = re.findall(r"<!-- (.*?) -->", plot.svg)
    assert texts[:12] == [*"012", "epoch", "0", "10", "20", "30", "40", "seed 0", "0", "1"]
    marked = [(x, y) for x, y, style in used(plot) if style.get("stroke") == "#333333"]
    np.testing.assert_allclose(marked, [curves[0][1], curves[1][2]], atol=1e-3)
    colours = {mark.text: mark.colour for mark in plot.legend}
    of_marks = [style["fill"] for _, _, style in used(plot) if style.get("stroke") == "#333333"]
    assert of_marks == [colours["a"], colours["b"]]


def test_clips_are_drawn_beside_their_own_class() -> None:
    """Four classes far apart: each star is among the clips of its class and of its colour."""
    drawn = np.random.default_rng(0)
    names = ["a", "b", "c", "d"]
    centres = 50 * np.eye(4, 8)
    truth = [names[n // 10] for n in range(40)]
    clips = centres[[names.index(name) for name in truth]] + drawn.standard_normal((40, 8))
    plot = embedding_plot(
        Embeddings(
            [f"clip {n}" for n in range(40)], truth, clips, names,
            np.array([False, True, True, True]), centres,
        ),
        "plot", "title",
    )  # fmt: skip
    colours = {mark.text: mark.colour for mark in plot.legend if mark.text in names}
    assert sorted(colours) == ["b", "c", "d"]
    stars = {s["fill"]: (x, y) for x, y, s in used(plot) if s.get("stroke") == "#000000"}
    points: dict[str, list[tuple[float, float]]] = {}
    for x, y, style in used(plot):
        if style.get("stroke") != "#000000":
            points.setdefault(style["fill"], []).append((x, y))
    for name, colour in colours.items():
        assert len(points[colour]) == 10, name
        distance = {
            other: np.linalg.norm(np.array(stars[colour]) - np.mean(some, axis=0))
            for other, some in points.items()
        }
        assert min(distance, key=lambda other: distance[other]) == colour
    assert stars.keys() == points.keys()


@pytest.mark.parametrize("num", [0, 1])
def test_nothing_to_draw_is_said(num: int) -> None:
    assert validation_plot({0: []} if num else {}, {}, "plot", "title").note
