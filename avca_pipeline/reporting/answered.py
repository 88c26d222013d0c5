"""The sections of the page that follow from predictions, as values for their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.confusions import HUB_FACTOR, HUB_MIN_WRONG
from avca_pipeline.analysis.resampling import DRAWS
from avca_pipeline.artifacts.run import Run
from avca_pipeline.reporting.comparisons import (
    IN_WORDS,
    ComparedRows,
    name_of,
    points,
)
from avca_pipeline.reporting.confused import confused
from avca_pipeline.reporting.curves import drawn_curves
from avca_pipeline.reporting.tables import Row
from avca_pipeline.reporting.thumbnails import ClipKey, Stretch, thumbnails, wanted

MAX_UNFOLDED_ROWS = 4
"""With more rows each is folded; its title says the finding."""


def sections(
    rows: Sequence[Row],
    groups: Sequence[ComparedRows],
    answers: Mapping[Run, Answers],
    media: Mapping[ClipKey, Stretch] | None,
) -> dict[str, Any]:
    """Returns what the templates of these sections use, by the name that they use.

    Args:
        rows: the table.
        groups: of the table, with intervals and tests.
        answers: of each run.
        media: where the media of clips are; ``None`` if no thumbnails are wanted.
    """
    confusions = confused(rows, answers)
    pictures = {} if media is None else thumbnails(wanted(confusions), media)
    return {
        "max_unfolded_rows": MAX_UNFOLDED_ROWS,
        "comparisons": groups,
        "compared_scores": IN_WORDS,
        "draws": DRAWS,
        "row_name": name_of,
        "points": points,
        "confusions": confusions,
        "hub": SimpleNamespace(factor=HUB_FACTOR, min_wrong=HUB_MIN_WRONG),
        "curves": drawn_curves(rows, answers),
        "thumbnails": {key: number for number, key in enumerate(pictures)},
        "thumbnail_bytes": list(pictures.values()),
        "thumbnails_note": _note(len(pictures), are_wanted=media is not None),
    }


def _note(number: int, *, are_wanted: bool) -> str:
    """Returns how many thumbnails there are, or why there are none."""
    if not are_wanted:
        return "Thumbnails are switched off (report: {thumbnails: false})."
    if not number:
        return "There are no thumbnails: the clips' videos were not here when the report was made."
    return f"{number} clips have a thumbnail, a frame from their middle."
