"""What the report's figures draw, read off their SVG."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from avca_pipeline.artifacts.scores import Embeddings
from avca_pipeline.artifacts.training import History
from avca_pipeline.reporting.colours import PALETTE
from avca_pipeline.reporting.drawing import Axis
from avca_pipeline.reporting.figures import embedding_plot, validation_plot
from avca_pipeline.reporting.loss_figure import loss_plot
from tests.builders import history_of


def curves(svg: str) -> dict[str, tuple[np.ndarray, float, str]]:
    """Returns the points of each line, how wide it is, and its colour, by its title."""
    found = {}
    for title, inner in re.findall(r"<g><title>(.*?)</title>(.*?)</g>", svg, re.DOTALL):
        (colour, width) = re.findall(r"stroke:(var\(.*?\));stroke-width:([\d.]+)", inner)[0]
        (points,) = re.findall(r'points="(.*?)"', inner)
        pairs = [pair.split(",") for pair in points.split()]
        found[title] = np.array(pairs, float), float(width), colour
    return found


def texts(svg: str) -> dict[str, tuple[float, float]]:
    """Returns where each text stands."""
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', svg)
    return {words: (float(x), float(y)) for x, y, words in found}


def test_the_selected_candidate_s_curve_and_epoch_are_marked_in_each_chart() -> None:
    plot = validation_plot(
        {
            0: [history_of("a", 1, 0.1, 0.4, 0.2), history_of("b", 0, 0.3, 0.2, 0.1)],
            1: [history_of("a", 2, 0.2, 0.1, 0.3), history_of("b", 2, 0.1, 0.1, 0.2)],
        },
        {0: "a", 1: "b"}, "title",
    )  # fmt: skip
    colours = {mark.text: mark.colour for mark in plot.legend}
    for svg, seed, chosen, percent, best in zip(
        plot.svgs, (0, 1), "ab", ([10, 40, 20], [10, 10, 20]), (1, 2), strict=True
    ):
        words = texts(svg)
        assert {f"seed {seed}", "epoch", "1", "2", "3", "0", "20", "40"} <= words.keys()
        lines = curves(svg)
        points, width, colour = lines[chosen]
        assert width > lines["b" if chosen == "a" else "a"][1]
        assert colour == colours[chosen]
        # Epochs are counted from 1, and the axis is in percent, with 4 pixels below a number.
        np.testing.assert_allclose(points[:, 0], [words[tick][0] for tick in "123"], atol=0.02)
        zero, forty = words["0"][1] - 4, words["40"][1] - 4
        expected = zero + (forty - zero) * np.array(percent) / 40
        np.testing.assert_allclose(points[:, 1], expected, atol=0.02)
        (marked,) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
        np.testing.assert_allclose(np.array(marked, float), points[best])


def test_the_terms_of_the_selected_loss_and_its_learning_rate_are_drawn() -> None:
    def history(candidate: str, *losses: dict[str, float]) -> History:
        made = history_of(candidate, 0, *(0.1 for _ in losses))
        epochs = zip(made.epochs, losses, strict=True)
        return replace(
            made,
            epochs=tuple(
                replace(epoch, losses=own, learning_rate=0.5 / (1 + epoch.epoch))
                for epoch, own in epochs
            ),
        )

    wanted = history("a", {"total": 4.0, "<triplet>": 1.0}, {"total": 2.0, "<triplet>": -1.0})
    plot = loss_plot({7: [history("b", {"x": 1.0}, {"x": 1.0}), wanted]}, {7: "a"}, "title")
    of_seed, of_rate = plot.svgs
    words, lines = texts(of_seed), curves(of_seed)
    assert lines.keys() == {"total", "&lt;triplet&gt;"}
    np.testing.assert_allclose(lines["total"][0][:, 0], [words[n][0] for n in "12"], atol=0.02)
    zero, four = words["0"][1] - 4, words["4"][1] - 4
    for name, values in (("total", [4, 2]), ("&lt;triplet&gt;", [1, -1])):
        expected = zero + (four - zero) * np.array(values) / 4
        np.testing.assert_allclose(lines[name][0][:, 1], expected, atol=0.02)
    (rate,) = curves(of_rate).values()
    words = texts(of_rate)
    zero, high = words["0"][1] - 4, words["0.4"][1] - 4
    expected = zero + (high - zero) * np.array([0.5, 0.25]) / 0.4
    np.testing.assert_allclose(rate[0][:, 1], expected, atol=0.02)
    assert loss_plot({0: []}, {}, "title").note


def groups(svg: str) -> dict[str, tuple[str, np.ndarray]]:
    """Returns the colour and the places of the marks, by what is shown where the pointer rests."""
    return {
        title: (colour, np.array(re.findall(r"M([\d.]+) ([\d.]+)", path), float))
        for colour, inner in re.findall(
            r'<g style="fill:(var\(.*?\));[^"]*">(.*?)</g>', svg, re.DOTALL
        )
        for path, title in re.findall(r'd="([^"]*)"><title>(.*?)</title>', inner)
    }


def test_clips_are_drawn_beside_their_own_class() -> None:
    """Four classes far apart: each star is among the clips of its class and of its colour."""
    drawn = np.random.default_rng(0)
    names = ["a", "b", "c", "<d>"]
    centres = 50 * np.eye(4, 8)
    truth = [names[n // 10] for n in range(40)]
    clips = centres[[names.index(name) for name in truth]] + drawn.standard_normal((40, 8))
    plot = embedding_plot(
        Embeddings(
            [f"clip {n}" for n in range(40)], truth, clips, names,
            np.array([False, True, True, True]), centres,
        ),
        "title",
    )  # fmt: skip
    (svg,) = plot.svgs
    found = groups(svg)
    kinds = {"a": "a, seen", "b": "b, unseen", "c": "c, unseen", "<d>": "&lt;d&gt;, unseen"}
    colours = {mark.text: mark.colour for mark in plot.legend if mark.text in names}
    assert sorted(colours) == ["<d>", "b", "c"]
    assert len(set(colours.values())) == 3
    for name, kind in kinds.items():
        colour, points = found[f"clips of {kind}"]
        star_colour, (star,) = found[f"class {kind}"]
        assert len(points) == 10
        assert colour == star_colour == colours.get(name, colour)
        distance = {
            other: np.linalg.norm(star - found[f"clips of {words}"][1].mean(axis=0))
            for other, words in kinds.items()
        }
        assert min(distance, key=lambda other: distance[other]) == name


@pytest.mark.parametrize("num_rows", [1, 16])
def test_of_many_clips_some_are_drawn(num_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are fit to be seen, and on a page of many rows fewer of each."""
    monkeypatch.setattr("avca_pipeline.reporting.figures.MAX_CLIPS", 40)
    monkeypatch.setattr("avca_pipeline.reporting.figures.MAX_CLIPS_OF_PAGE", 160)
    rng = np.random.default_rng(0)
    many = Embeddings(
        [str(n) for n in range(60)], ["a"] * 60, rng.normal(size=(60, 3)),
        ["a", "b"], np.array([True, True]), rng.normal(size=(2, 3)),
    )  # fmt: skip
    plot = embedding_plot(many, "title", num_rows)
    _, points = groups(plot.svgs[0])["clips of a, unseen"]
    expected = 40 if num_rows == 1 else 10
    assert len(points) == expected
    assert f"{expected} of 60 test clips" in plot.note


@pytest.mark.parametrize("num", [0, 1])
def test_nothing_to_draw_is_said(num: int) -> None:
    assert validation_plot({0: []} if num else {}, {}, "title").note


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 42, [0, 10, 20, 30, 40]),
        (1, 3, [1, 2, 3]),
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 1, [0, 1]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert Axis("", low, high, is_whole=True).ticks() == expected


def test_small_numbers_have_ticks_between_whole_ones() -> None:
    assert Axis("", 0, 0.1).ticks() == [0, 0.02, 0.04, 0.06, 0.08, 0.1]


def luminance(colour: str) -> float:
    """Returns the relative luminance of a colour as WCAG 2.2 defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("screen", [0, 1], ids=["light", "dark"])
def test_colours_stand_out(screen: int) -> None:
    """Text 4.5 to 1 on each ground that it stands on, marks 3 to 1 on the page."""
    for name in PALETTE:
        required = 4.5 if name in ("text", "soft", "accent", "good", "bad") else 3.0
        grounds = ["back", "band", "warn"] if name in ("text", "soft") else ["back"]
        if name in ("back", "band", "warn", "line"):
            continue
        for ground in grounds:
            pair = sorted(luminance(PALETTE[one][screen]) for one in (name, ground))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= required, (name, ground)
