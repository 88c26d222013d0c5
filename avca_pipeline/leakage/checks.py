"""What a check of an audit is, how checks run, and how their results stop the pipeline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from avca_pipeline.artifacts.audits import CheckResult
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAINING_PARTITIONS,
    VAL_SEEN,
    VAL_UNSEEN,
)
from avca_pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

Level = Literal["error", "warning", "off"]
"""What a failed check leads to: the pipeline stops, the report says so, or the check never runs."""

Violations = list[str] | dict[str, list[str]]
"""What breaks the rule of a check, in words; by partition where clips of partitions are counted."""
MAX_EXAMPLES = 10
TRAINED_BEFORE = {
    VAL_SEEN: TRAINING_PARTITIONS[1],
    VAL_UNSEEN: TRAINING_PARTITIONS[1],
    TEST_SEEN: TRAINING_PARTITIONS[2],
    TEST_UNSEEN: TRAINING_PARTITIONS[2],
}
"""The partitions that a model has been trained on when a partition is evaluated."""

Subject = TypeVar("Subject")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One check of an audit.

    Attributes:
        name: the key in the config and in the audit.
        rule: what must hold, one sentence.
        default: its level where the config does not name one.
        violations: returns what breaks the rule.
    """

    name: str
    rule: str
    default: Level
    violations: Callable[[Subject], Violations]


class CheckList(list[Check[Subject]]):
    """Checks of one kind of subject, in the order in which the audit lists them."""

    def check(
        self, *, default: Level
    ) -> Callable[[Callable[[Subject], Violations]], Check[Subject]]:
        """Returns a decorator that turns a function into a check and adds it to the list.

        The function returns what breaks its rule; its name and docstring are those of the check.

        Args:
            default: level of the check where the config does not name one.
        """

        def add(function: Callable[[Subject], Violations]) -> Check[Subject]:
            rule = (function.__doc__ or "").strip()
            added = Check(function.__name__, rule, default, function)
            self.append(added)
            return added

        return add


def run_checks(
    checks: Iterable[Check[Subject]], subject: Subject, level_of: Mapping[str, Level]
) -> list[CheckResult]:
    """Returns the results of the checks; a check that is ``off`` is left out.

    Args:
        checks: in the order of the results.
        subject: what is checked.
        level_of: name of a check to its level.
    """
    return [
        _result(check, check.violations(subject), level_of[check.name])
        for check in checks
        if level_of[check.name] != "off"
    ]


def _result(check: Check[Subject], violations: Violations, level: Level) -> CheckResult:
    by_partition = None
    if isinstance(violations, dict):
        by_partition = {partition: len(clips) for partition, clips in violations.items()}
        violations = [clip for clips in violations.values() for clip in clips]
    return CheckResult(
        name=check.name,
        means=check.rule,
        level=level,
        found=len(violations),
        by_partition=by_partition,
        examples=violations[:MAX_EXAMPLES],
        passed=not violations,
    )


def stop_on_errors(split: str, results: Sequence[CheckResult]) -> None:
    """Says which checks have failed.

    Args:
        split: name of the split in the config.
        results: what `run_checks` returned.

    Raises:
        PipelineError: a check has failed whose level is ``error``.
    """
    failures = [result for result in results if not result.passed]
    for result in failures:
        examples = ", ".join(result.examples[:3])
        logger.warning(
            f"{result.level}: {result.name}: {result.found} violations, such as {examples}"
        )
    errors = [result for result in failures if result.level == "error"]
    if errors:
        raise PipelineError(
            f"split {split!r}: {len(errors)} check(s) of the audit failed, the first is "
            f"{errors[0].name} ({errors[0].means}); see above, or lower its level under "
            "splits.*.audit"
        )


def trained_before(items_of: Mapping[str, Iterable[Item]]) -> dict[str, set[Item]]:
    """Returns for each evaluated partition all that has been trained on before it.

    Args:
        items_of: partition to whatever is counted in it, such as recordings.
    """
    return {
        partition: set().union(*(items_of.get(name, ()) for name in before))
        for partition, before in TRAINED_BEFORE.items()
    }
