"""Drawings as SVG that stand in the page: they take its colours, and need no style of their own.

A drawing is a template that is filled with coordinates. Class and other names in it are escaped,
and shown where the pointer rests. The same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from avca_pipeline.reporting.colours import GREY
from avca_pipeline.reporting.templating import filled

WIDTH, HEIGHT = 260, 190
MARGIN = (44.0, 12.0, 8.0, 36.0)
"""Left, right, top and bottom, for the numbers and names of the axes."""
RADIUS = 3.5


@dataclass(frozen=True)
class Mark:
    """An entry of a legend: a symbol in a colour, and what it stands for."""

    symbol: str
    colour: str
    text: str


@dataclass(frozen=True)
class Plot:
    """A figure with its legend.

    Attributes:
        svgs: the drawings, safe markup, each with a size of its own; empty where nothing can be
            drawn.
        legend: what their marks stand for.
        note: what to know when reading it, or why there is none.
    """

    svgs: Sequence[Markup] = ()
    legend: Sequence[Mark] = ()
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """Numbers along an axis, drawn as one line.

    Attributes:
        points: ``(x, y)`` of each, in the units of the axes.
        title: what the line stands for.
        colour: of it.
        is_bold: whether it stands out.
        marked: points of it that have a dot.
    """

    points: Sequence[tuple[float, float]]
    title: str
    colour: str = GREY
    is_bold: bool = False
    marked: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Axis:
    """What one side of a chart stands for.

    Attributes:
        label: what it counts, with its unit.
        low: the number where it begins.
        high: the number where it ends.
        is_whole: whether only whole numbers are written beside it.
    """

    label: str
    low: float
    high: float
    is_whole: bool = False

    @classmethod
    def of_epochs(cls, number: int) -> Axis:
        """Returns the axis of so many epochs, counted from 1."""
        return cls("epoch", min(1, number - 1), number, is_whole=True)

    def ticks(self) -> list[float]:
        """Returns round numbers from the one end to the other, about five of them."""
        span = self.high - self.low or 1.0
        step = 10.0 ** math.floor(math.log10(span / 5))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
        step = max(step, 1.0) if self.is_whole else step
        first = math.ceil(self.low / step - 1e-9)
        number = math.floor((self.high - first * step) / step + 1e-9)
        return [round((first + index) * step, 10) for index in range(number + 1)]

    def place(self, value: float, begin: float, end: float) -> float:
        """Returns where a number of the axis stands between two coordinates."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(begin + share * (end - begin), 2)


def chart(
    curves: Sequence[Curve],
    horizontal: Axis,
    vertical: Axis,
    title: str,
    heading: str = "",
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Markup:
    """Returns lines over an axis.

    Args:
        curves: the lines; those that come later are drawn above the others.
        horizontal: the axis below.
        vertical: the axis at the left.
        title: what is read aloud.
        heading: what is written above; nothing if empty.
        size: width and height in pixels.
    """
    width, height = size
    left, right, top, bottom = MARGIN
    top += 18 if heading else 0

    def x(value: float) -> float:
        return horizontal.place(value, left, width - right)

    def y(value: float) -> float:
        return vertical.place(value, height - bottom, top)

    return filled(
        "chart.svg.j2",
        width=width,
        height=height,
        box=(left, width - right, top, height - bottom),
        title=title,
        heading=heading,
        x_label=horizontal.label,
        y_label=vertical.label,
        x_ticks=[(x(tick), f"{tick:g}") for tick in horizontal.ticks()],
        y_ticks=[(y(tick), f"{tick:g}") for tick in vertical.ticks()],
        curves=[
            (
                curve,
                [(x(a), y(b)) for a, b in curve.points],
                [(x(a), y(b)) for a, b in curve.marked],
            )
            for curve in curves
        ],
        radius=RADIUS,
    )


def path_of(points: Sequence[tuple[float, float]], symbol: str, size: float) -> str:
    """Returns the path of one mark at each point: ``●``, ``▲``, ``■`` or ``★``.

    Each begins with ``M`` and the point itself, and is filled.
    """
    return "".join(f"M{x:g} {y:g}{_outline(symbol, size)}" for x, y in points)


def _outline(symbol: str, size: float) -> str:
    """Returns a closed outline around the place where the pen is, as relative commands."""
    if symbol == "●":
        half = f"a{size:g} {size:g} 0 1 0"
        return f"m{-size:g} 0{half} {2 * size:g} 0{half} {-2 * size:g} 0z"
    corners = {"▲": 3, "■": 4, "★": 10}[symbol]
    turn = math.pi / 4 if symbol == "■" else math.pi / 2
    places = []
    for corner in range(corners):
        radius = size * (0.42 if symbol == "★" and corner % 2 else 1.2)
        angle = turn + 2 * math.pi * corner / corners
        places.append((radius * math.cos(angle), -radius * math.sin(angle)))
    steps = [
        (after[0] - before[0], after[1] - before[1])
        for before, after in zip([(0.0, 0.0), *places], places, strict=False)
    ]
    moves = "".join(f"l{x:.3g} {y:.3g}" for x, y in steps[1:])
    return f"m{steps[0][0]:.3g} {steps[0][1]:.3g}{moves}z"
