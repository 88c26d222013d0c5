"""All rows of the table in one figure: HM and ZSL with their intervals, and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from avca_pipeline.analysis.comparison import Interval
from avca_pipeline.artifacts.run import BOTH
from avca_pipeline.reporting.colours import GREY, MARKS, TEXT
from avca_pipeline.reporting.drawing import Axis, Mark, Plot
from avca_pipeline.reporting.tables import TITLES, Row
from avca_pipeline.reporting.templating import filled

DRAWN = ("hm", "zsl")
WIDTH, LEFT, RIGHT, LINE, TOP = 360, 132, 14, 24, 28
"""Of the drawing in pixels: as wide as a small screen, with names at the left."""


@dataclass(frozen=True)
class Line:
    """One row of the figure.

    Attributes:
        words: the name that is written at the left.
        title: what is shown where the pointer rests.
        y: its height in pixels.
        mean: place of the mean; ``None`` in the line that names a group.
        chance: place of chance; ``None`` where it is not defined.
        ends: places of the ends of the interval; ``None`` where there is none.
    """

    words: str
    title: str
    y: int
    mean: float | None = None
    chance: float | None = None
    ends: tuple[float, float] | None = None


def interval_plot(
    rows: Sequence[Row], intervals: Mapping[tuple[str, ...], Mapping[str, Interval]]
) -> Plot:
    """Returns a drawing for HM and one for ZSL, with a line for each row.

    Args:
        rows: the table.
        intervals: score to interval by the identity of a row; what is not defined is missing.
    """
    if not rows:
        return Plot(note="There are no rows to draw.")
    axis = Axis("", 0, 100)
    legend = [
        Mark("●", MARKS[0], "mean over seeds"),
        Mark("━", MARKS[0], "95 % interval over classes and clips"),
        Mark("┃", TEXT, "chance"),
    ]
    return Plot([_drawing(score, rows, intervals, axis) for score in DRAWN], legend)


def _drawing(
    score: str,
    rows: Sequence[Row],
    intervals: Mapping[tuple[str, ...], Mapping[str, Interval]],
    axis: Axis,
) -> Markup:
    def x(share: float) -> float:
        return axis.place(100 * share, LEFT, WIDTH - RIGHT)

    lines: list[Line] = []
    group: tuple[str, ...] = ()
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(Line(" · ".join(group), " · ".join(group), TOP + LINE * len(lines)))
        statistic, interval = row.scores[score], intervals.get(row.identity, {}).get(score)
        *_, model, modalities = row.identity
        lines.append(
            Line(
                model if modalities == BOTH else f"{model}, {modalities}",
                _words(row, score, interval),
                TOP + LINE * len(lines),
                None if statistic.mean is None else x(statistic.mean),
                None if statistic.chance is None else x(statistic.chance),
                None if interval is None else (x(interval.low), x(interval.high)),
            )
        )
    return filled(
        "intervals.svg.j2",
        title=f"{TITLES[score]} of each row in percent, with 95 % intervals and chance",
        score=TITLES[score],
        lines=lines,
        width=WIDTH,
        height=TOP + LINE * (len(lines) + 1),
        left=LEFT,
        ticks=[(axis.place(tick, LEFT, WIDTH - RIGHT), f"{tick:g}") for tick in axis.ticks()],
        mark=MARKS[0],
        grey=GREY,
    )


def _words(row: Row, score: str, interval: Interval | None) -> str:
    statistic = row.scores[score]
    mean = "–" if statistic.mean is None else f"{100 * statistic.mean:.1f}"
    words = f"{row.title}: {TITLES[score]} {mean}"
    if interval is not None:
        words += f", 95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}"
    return words
