"""The seen-unseen curve of each row, and in words what the choice of the bias costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.curve import Curve, curve
from avca_pipeline.artifacts.run import Run
from avca_pipeline.reporting.tables import Row

SIZE, LEFT, BOTTOM, FREE = 340, 44, 40, 14
"""Of the drawing in pixels: its width and height, and what is free beside the curve."""


@dataclass(frozen=True)
class CurveOfSeed:
    """The curve of one run.

    Attributes:
        seed: of the run.
        found: the curve.
        points: of the line, in pixels, as SVG takes them.
        chosen: place of the chosen bias in pixels.
        best: place of the best bias in pixels.
    """

    seed: int
    found: Curve
    points: str
    chosen: tuple[float, float]
    best: tuple[float, float]


@dataclass(frozen=True)
class CurvesOfRow:
    """The curves of a row, one for each seed; none where a kind of class has no test clips."""

    row: Row
    seeds: Sequence[CurveOfSeed]

    @property
    def area(self) -> str:
        """AUSUC in percent, the mean over seeds with its deviation."""
        areas = [100 * of.found.area for of in self.seeds]
        mean = f"{statistics.fmean(areas):.1f}"
        return f"{mean} ± {statistics.stdev(areas):.1f}" if len(areas) > 1 else mean

    @property
    def cost(self) -> str:
        """What the choice of the bias costs, in words."""
        chosen = statistics.fmean(of.found.chosen.hm for of in self.seeds)
        best = statistics.fmean(of.found.best.hm for of in self.seeds)
        if round(100 * (best - chosen), 1) == 0:
            return f"The chosen bias is the best one: HM {100 * best:.1f}."
        return (
            f"The chosen bias reaches HM {100 * chosen:.1f}; the best one on these test clips "
            f"would reach {100 * best:.1f}. Choosing on validation costs "
            f"{100 * best - 100 * chosen:.1f} points."
        )


def drawn_curves(rows: Sequence[Row], answers: Mapping[Run, Answers]) -> dict[str, Any]:
    """Returns the curves of each row, and the sizes of their drawings.

    Args:
        rows: the table.
        answers: of each run.
    """
    found = [
        CurvesOfRow(
            row,
            [
                _drawn(run.run.seed, made)
                for run in row.runs
                if (made := curve(answers[run.run])) is not None
            ],
        )
        for row in rows
    ]
    ticks = [(percent, *_place(percent / 100, percent / 100)) for percent in range(0, 101, 20)]
    return {"rows": found, "size": SIZE, "left": LEFT, "bottom": SIZE - BOTTOM, "ticks": ticks}


def _drawn(seed: int, found: Curve) -> CurveOfSeed:
    places = [_place(u, s) for u, s in zip(found.unseen, found.seen, strict=True)]
    # Points closer than a pixel look the same; there may be thousands.
    kept = [places[0]]
    for place in places[1:]:
        if place != kept[-1]:
            kept.append(place)
    return CurveOfSeed(
        seed,
        found,
        " ".join(f"{x:g},{y:g}" for x, y in kept),
        _place(found.chosen.unseen, found.chosen.seen),
        _place(found.best.unseen, found.best.seen),
    )


def _place(unseen: float, seen: float) -> tuple[float, float]:
    """Returns where U and S are drawn, in half pixels."""
    side = SIZE - LEFT - FREE, SIZE - BOTTOM - FREE
    x, y = LEFT + unseen * side[0], FREE + (1 - seen) * side[1]
    return round(2 * x) / 2, round(2 * y) / 2
