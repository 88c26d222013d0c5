"""The typed config: what a user may choose, checked before anything runs.

Plugins declare their own settings; this package joins them, checks that they fit together, and
says for each stage which part of the config its result depends on (`settings_of`). That part is
all a stage gets to see, and its change is what makes a result stale.
"""

from __future__ import annotations

from avca_pipeline.config.checks import check_inputs
from avca_pipeline.config.keys import canonical, settings_of
from avca_pipeline.config.parsing import checked, load, parse
from avca_pipeline.config.sections import ImportedFeatures, LimitsSettings
from avca_pipeline.config.typed import Config, Run

__all__ = [
    "Config", "ImportedFeatures", "LimitsSettings", "Run", "canonical", "check_inputs", "checked",
    "load", "parse", "settings_of",
]  # fmt: skip
