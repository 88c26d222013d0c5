"""The levels of all checks as settings: one key for each check, made from the checks themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, create_model

from avca_pipeline.leakage import data_checks, split_checks
from avca_pipeline.leakage.checks import Check, Level
from avca_pipeline.settings import PluginSettings

CHECKS: tuple[Check[Any], ...] = (*split_checks.CHECKS, *data_checks.CHECKS)


def _with_levels(base: type[PluginSettings], levels: Iterable[tuple[Check[Any], Level]]) -> Any:
    """Returns settings with a key for each check; so a check is added in one place."""
    keys: Any = {
        check.name: (Level, Field(level, description=check.rule)) for check, level in levels
    }
    return create_model("_Levels", __base__=base, **keys)


class AuditLevels(_with_levels(PluginSettings, ((check, check.default) for check in CHECKS))):  # type: ignore[misc]
    """What each check of the audit leads to when it fails.

    ``error`` stops the pipeline, ``warning`` is said in the report, ``off`` leaves the check out.
    The keys are the names of the checks in `split_checks` and `data_checks`.
    """

    def by_check(self) -> dict[str, Level]:
        """Returns the level of each check by its name."""
        return {check.name: getattr(self, check.name) for check in CHECKS}


def only_warnings_for(*checks: Check[Any]) -> Any:
    """Returns a base class for the levels of a split plugin.

    Args:
        checks: those that splits of this kind are known to fail; by default they only warn.
    """
    return _with_levels(AuditLevels, ((check, "warning") for check in checks))
