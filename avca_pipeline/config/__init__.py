"""The typed config: what a user may choose, checked before anything runs.

Plugins declare their own settings; this package joins them and checks that they fit together.
`avca_pipeline.planning.requests` says which part of the config the result of a stage depends on.
"""

from __future__ import annotations

from avca_pipeline.artifacts.run import Run
from avca_pipeline.config.checks import check_inputs
from avca_pipeline.config.parsing import load, parse, validated
from avca_pipeline.config.sections import ImportedFeatures, LimitsSettings
from avca_pipeline.config.shared_spaces import check_shared_spaces
from avca_pipeline.config.typed import Config

__all__ = [
    "Config",
    "ImportedFeatures",
    "LimitsSettings",
    "Run",
    "check_inputs",
    "check_shared_spaces",
    "load",
    "parse",
    "validated",
]  # fmt: skip
