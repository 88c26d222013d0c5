"""The seen-unseen curve of each row, and in words what the choice of the bias costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.curve import Curve, curve
from avca_pipeline.artifacts.run import Run
from avca_pipeline.reporting.colours import MARKS
from avca_pipeline.reporting.drawing import Axis, Mark, Plot, chart
from avca_pipeline.reporting.drawing import Curve as Line
from avca_pipeline.reporting.tables import Row

CHOSEN, BEST = MARKS[0], MARKS[1]
SIZE = (340, 320)
"""Of a drawing in pixels."""
SHARE_STEP = 0.002
"""Points of a line that are nearer than that look the same."""


@dataclass(frozen=True)
class CurveOfSeed:
    """The curve of one run."""

    seed: int
    found: Curve


@dataclass(frozen=True)
class CurvesOfRow:
    """The curves of a row, one for each seed; none where a kind of class has no test clips."""

    row: Row
    seeds: Sequence[CurveOfSeed]
    plot: Plot

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


def drawn_curves(rows: Sequence[Row], answers: Mapping[Run, Answers]) -> list[CurvesOfRow]:
    """Returns the curves of each row.

    Args:
        rows: the table.
        answers: of each run.
    """
    found = []
    for row in rows:
        seeds = [
            CurveOfSeed(run.run.seed, made)
            for run in row.runs
            if (made := curve(answers[run.run])) is not None
        ]
        found.append(CurvesOfRow(row, seeds, _plot(row, seeds) if seeds else Plot()))
    return found


def _plot(row: Row, seeds: Sequence[CurveOfSeed]) -> Plot:
    lines, places = [], []
    for of in seeds:
        chosen, best = (
            (100 * point.unseen, 100 * point.seen) for point in (of.found.chosen, of.found.best)
        )
        lines.append(Line(line_of(of.found), f"seed {of.seed}", CHOSEN))
        places.append(Line([], f"seed {of.seed}, best bias", BEST, marked=[best]))
        places.append(Line([], f"seed {of.seed}, chosen bias", CHOSEN, marked=[chosen]))
    title = f"S over U at every bias: {row.title}"
    svg = chart([*lines, *places], Axis("U, %", 0, 100), Axis("S, %", 0, 100), title, size=SIZE)
    legend = [
        Mark("━", CHOSEN, "S over U, a line for each seed"),
        Mark("●", CHOSEN, "chosen bias"),
        Mark("●", BEST, "best bias on these test clips"),
    ]
    return Plot([svg], legend)


def line_of(found: Curve) -> list[tuple[float, float]]:
    """Returns U and S of a curve in percent, without points that change nothing to the eye."""
    steps = np.round(np.stack([found.unseen, found.seen], axis=1) / SHARE_STEP)
    moves = np.diff(steps, axis=0)
    is_new = np.append(True, moves.any(axis=1))
    steps = steps[is_new]
    moves = np.diff(steps, axis=0)
    # In the middle of a straight line along an axis.
    goes_on = ((moves[1:] == 0) & (moves[:-1] == 0)).any(axis=1)
    kept = steps[np.concatenate([[True], ~goes_on, [True]])[: len(steps)]]
    return [(float(u), float(s)) for u, s in np.round(100 * SHARE_STEP * kept, 1)]
