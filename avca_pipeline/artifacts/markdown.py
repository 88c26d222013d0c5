"""Text and tables of Markdown, in which a name from outside opens nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from avca_pipeline.errors import one_line

SPECIAL = "\\`*_[]<>|#$~&"


def text(written: object) -> str:
    """Returns a text in one line, as it is to be shown."""
    return "".join(f"\\{char}" if char in SPECIAL else char for char in one_line(str(written)))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], alignment: str | None = None
) -> str:
    """Returns a table.

    Args:
        columns: headings, as Markdown.
        rows: cells, as Markdown.
        alignment: ``l`` or ``r`` for each column; all are left without it.
    """
    marks = ["---:" if side == "r" else "---" for side in alignment or "l" * len(columns)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (columns, marks, *rows))
