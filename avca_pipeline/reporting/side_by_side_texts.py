"""Two results side by side, for a terminal, as Markdown, as CSV cells and as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from avca_pipeline.analysis.comparison import MIN_CLASSES
from avca_pipeline.artifacts import markdown
from avca_pipeline.errors import one_line
from avca_pipeline.reporting.side_by_side import PAIRED, SEEDS, Cell, Line, SideBySide
from avca_pipeline.reporting.tables import IDENTITY, SCORES, TITLES
from avca_pipeline.reporting.templating import filled

MEANINGS = {
    PAIRED: "95 %, paired bootstrap over classes and clips",
    SEEDS: "95 %, Student's t over seeds alone",
}
MAX_VALUE = 60
COLUMNS = (
    *IDENTITY,
    "score",
    "first_percent",
    "second_percent",
    "difference_percent",
    "low_percent",
    "high_percent",
    "interval_of",
    "remark",
)


def as_text(both: SideBySide) -> str:
    """Returns what a terminal shows."""
    lines = [f"A = {one_line(str(both.first.path))}", f"B = {one_line(str(both.second.path))}"]
    for line in both.lines:
        lines += ["", one_line(line.first.title), *_lined_up(_cells(line)), _basis(line)]
    if both.changes:
        lines += ["", "What differs (A → B):", *(f"  {text}" for text in _changes(both))]
    lines += _alone(both, one_line)
    return "\n".join(lines)


def as_markdown(both: SideBySide) -> str:
    """Returns a section of Markdown."""
    parts = [
        "# Results side by side",
        f"A is {markdown.text(both.first.path)}, B is {markdown.text(both.second.path)}. "
        "Percent; a difference is B less A, and is bold where its interval does not hold 0 "
        f"and {MIN_CLASSES} classes of each kind are behind it.",
    ]
    for line in both.lines:
        rows = [
            [*cells[:3], f"**{cells[3]}**" if line.cells[name].is_clear else cells[3], cells[4]]
            for name, cells in zip(SCORES, _cells(line), strict=True)
        ]
        parts += [
            f"## {markdown.text(line.first.title)}",
            markdown.table(("score", "A", "B", "difference", "interval"), rows, "lrrrr"),
            markdown.text(_basis(line)),
        ]
    if both.changes:
        parts += ["## What differs", "\n".join(f"- {markdown.text(c)}" for c in _changes(both))]
    alone = [f"- {text.strip()}" for text in _alone(both, markdown.text) if text]
    return "\n\n".join([*parts, *(["\n".join(alone)] if alone else [])]) + "\n"


def csv_rows(both: SideBySide) -> list[list[str]]:
    """Returns the cells below `COLUMNS`, a row for each score of each row of both."""
    return [
        [
            *line.first.identity,
            name,
            *(
                "" if share is None else f"{100 * share:.4f}"
                for share in (cell.first, cell.second, cell.difference, cell.low, cell.high)
            ),
            line.interval_of,
            line.remark,
        ]
        for line in both.lines
        for name, cell in line.cells.items()
    ]


def as_page(both: SideBySide) -> str:
    """Returns a page of one file."""
    page = filled(
        "side_by_side.html.j2",
        both=both,
        min_classes=MIN_CLASSES,
        lines=[
            (line, list(zip(SCORES, _cells(line), strict=True)), _basis(line))
            for line in both.lines
        ],
        changes=_changes(both),
        alone=[text.strip() for text in _alone(both, str) if text],
    )
    return f"{page}\n"


def _cells(line: Line) -> list[tuple[str, str, str, str, str]]:
    """Returns score, A, B, difference and interval of each score."""
    return [
        (
            TITLES[name],
            _percent(cell.first),
            _percent(cell.second),
            "–" if cell.difference is None else f"{100 * cell.difference:+z.1f}",
            _interval(cell),
        )
        for name, cell in line.cells.items()
    ]


def _lined_up(rows: Sequence[Sequence[str]]) -> list[str]:
    table = [("", "A", "B", "B - A", "interval"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _interval(cell: Cell) -> str:
    if cell.low is None or cell.high is None:
        return "–"
    return f"[{100 * cell.low:+z.1f}, {100 * cell.high:+z.1f}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _basis(line: Line) -> str:
    """Returns what a row's numbers are of, in words."""
    seeds = (len(line.first.runs), len(line.second.runs))
    number = f"{seeds[0]} seed{'s' if seeds[0] > 1 else ''}"
    if seeds[0] != seeds[1]:
        number = f"{seeds[0]} and {seeds[1]} seeds"
    clips = [
        sum(part.num_clips for part in line.first.runs[0].per_class if part.is_unseen == unseen)
        for unseen in (False, True)
    ]
    remark = f" ({line.remark})" if line.remark else ""
    meaning = MEANINGS.get(line.interval_of, "there is none, for want of seeds")
    if any(cell.is_thin for cell in line.cells.values()):
        meaning += f", too narrow where fewer than {MIN_CLASSES} classes of a kind are behind it"
    return (
        f"  {number}; A has {clips[0]} clips of seen and {clips[1]} of unseen classes; "
        f"interval: {meaning}{remark}"
    )


def _changes(both: SideBySide) -> list[str]:
    num_rows = len(both.lines)
    return [
        f"{change.key}: {_cut(change.first)} → {_cut(change.second)}"
        + ("" if change.num_rows == num_rows else f" (in {change.num_rows} of {num_rows} rows)")
        for change in both.changes
    ]


def _cut(value: str) -> str:
    return textwrap.shorten(one_line(value), MAX_VALUE, placeholder=" …") or "nothing"


def _alone(both: SideBySide, shown: Callable[[str], str]) -> list[str]:
    lines = []
    for name, titles in (("A", both.only_first), ("B", both.only_second)):
        lines += [f"Only in {name}: {shown(title)}" for title in titles]
    return ["", *lines] if lines else []
