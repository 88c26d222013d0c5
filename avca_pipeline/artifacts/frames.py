"""Tables for people who use pandas, which the package itself does without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avca_pipeline.errors import PipelineError


def frame(rows: Any, columns: Sequence[str], index: Sequence[str] | None = None) -> Any:
    """Returns a data frame of pandas.

    Args:
        rows: a sequence of rows, or ``(rows, columns)``.
        columns: names.
        index: names of the rows; numbers unless stated.

    Raises:
        PipelineError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise PipelineError(
            "to_frame: pandas is not installed; pip install pandas, or use to_dict"
        ) from error
    return pd.DataFrame(rows, columns=list(columns), index=None if index is None else list(index))
