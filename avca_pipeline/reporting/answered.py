"""The sections of the page that follow from predictions, as values for their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.confusions import HUB_FACTOR, HUB_MIN_WRONG
from avca_pipeline.analysis.resampling import DRAWS
from avca_pipeline.artifacts.run import Run
from avca_pipeline.reporting.comparisons import IN_WORDS, ComparedRows, name_of, points
from avca_pipeline.reporting.confused import confused
from avca_pipeline.reporting.curves import drawn_curves
from avca_pipeline.reporting.tables import Row

MAX_UNFOLDED_ROWS = 4
"""With more rows each is folded; its title says the finding."""


def sections(
    rows: Sequence[Row], groups: Sequence[ComparedRows], answers: Mapping[Run, Answers]
) -> dict[str, Any]:
    """Returns what the templates of these sections use, by the name that they use.

    Args:
        rows: the table.
        groups: of the table, with intervals and tests.
        answers: of each run.
    """
    return {
        "max_unfolded_rows": MAX_UNFOLDED_ROWS,
        "comparisons": groups,
        "compared_scores": IN_WORDS,
        "draws": DRAWS,
        "row_name": name_of,
        "points": points,
        "confusions": confused(rows, answers),
        "hub": SimpleNamespace(factor=HUB_FACTOR, min_wrong=HUB_MIN_WRONG),
        "curves": drawn_curves(rows, answers),
        "thumbnails": {},
        "thumbnails_note": "",
    }
