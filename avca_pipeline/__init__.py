"""Audio-visual zero-shot learning from raw video to a benchmark table.

`avca_pipeline.api` has the functions for Python. They are names of this package, too, and are
imported at first use: whoever imports the package for a part of it waits for no other.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avca_pipeline.api import (
        Evaluation,
        Features,
        PipelineError,
        Prediction,
        Predictions,
        RankedClass,
        TrainedRun,
        embed_text,
        evaluate,
        extract,
        load_run,
        read_features,
        zero_shot,
    )

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Features",
    "PipelineError",
    "Prediction",
    "Predictions",
    "RankedClass",
    "TrainedRun",
    "embed_text",
    "evaluate",
    "extract",
    "load_run",
    "read_features",
    "zero_shot",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("avca_pipeline.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
