"""The report: one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avca_pipeline.analysis.comparison import Interval
from avca_pipeline.artifacts import audits
from avca_pipeline.artifacts.audits import CheckResult, DataAudit, SplitAudit
from avca_pipeline.artifacts.split import PARTITIONS
from avca_pipeline.reporting.colours import PALETTE
from avca_pipeline.reporting.costs import Origins, in_words
from avca_pipeline.reporting.coverage import Coverage, Rejection, Step, by_kind, tested_step
from avca_pipeline.reporting.drawing import Plot
from avca_pipeline.reporting.evidence import num_clips, thin_evidence, without_language
from avca_pipeline.reporting.interval_figure import interval_plot
from avca_pipeline.reporting.summary import weights_in_words, what_was_run
from avca_pipeline.reporting.tables import (
    SCORES,
    Row,
    class_accuracies,
    unusual_settings,
)
from avca_pipeline.reporting.templating import filled
from avca_pipeline.reporting.verdict import headlines

MAX_LISTED = 200
MAX_HEADLINES = 6
MAX_UNFOLDED = 4
"""Rows whose map of embeddings is shown without a click."""
SECTIONS = {
    "results": "Results",
    "comparison": "Comparison",
    "confusions": "Confusions",
    "calibration": "Calibration",
    "embeddings": "Embeddings",
    "classes": "Classes",
    "training": "Training",
    "leaks": "Leakage audit",
    "clips": "Clips",
    "costs": "Cost and origin",
    "provenance": "Provenance",
    "take_away": "Take away",
}
"""Id and title of each section, in the order of the page; ``templates/sections/<id>.html.j2``."""
HEADINGS = {
    "seen": ("S", "clips of seen classes"),
    "unseen": ("U", "clips of unseen classes"),
    "hm": ("HM", "harmonic mean of S and U"),
    "zsl": ("ZSL", "unseen clips, unseen classes only"),
}


@dataclass(frozen=True)
class Audit:
    """The audit of one split of one dataset, and that of its data."""

    dataset: str
    split: str
    content: SplitAudit
    of_data: DataAudit | None = None

    @property
    def checks(self) -> list[CheckResult]:
        """All checks, those of the data last."""
        return [*self.content.checks, *(self.of_data.checks if self.of_data else [])]

    @property
    def passed(self) -> bool:
        """Whether every check has passed."""
        return all(check.passed for check in self.checks)

    @property
    def coverage(self) -> audits.Coverage:
        """Of partitions and classes: how many clips they have and can use."""
        return self.of_data.coverage if self.of_data else audits.Coverage({}, {})


@dataclass(frozen=True)
class Figures:
    """The figures of one row of the table."""

    embeddings: Plot
    validation: Plot
    losses: Plot


def render(
    rows: Sequence[Row],
    figures: Sequence[Figures],
    audits: Sequence[Audit],
    coverage: Sequence[Coverage],
    intervals: Mapping[tuple[str, ...], Mapping[str, Interval]],
    origins: Origins | None = None,
    **of_sections: Any,
) -> str:
    """Returns the page.

    Args:
        rows: the result table.
        figures: of each row.
        audits: of all splits.
        coverage: of all datasets.
        intervals: 95 % interval of each score by the identity of a row.
        origins: where results come from; nothing where they have no records.
        of_sections: what templates of further sections use, by the name that they use.
    """
    balances = {
        dataset.dataset: [*dataset.steps(), *_test_steps(dataset.dataset, rows, audits)]
        for dataset in coverage
    }
    rejections = [rejection for dataset in coverage for rejection in dataset.rejections()]
    return filled(
        "page.html.j2",
        sections=SECTIONS if rows else {"clips": SECTIONS["clips"]},
        palette=PALETTE,
        max_headlines=MAX_HEADLINES,
        headlines=headlines(rows, intervals),
        intervals=intervals,
        interval_figure=interval_plot(rows, intervals),
        num_clips=num_clips,
        **of_sections,
        headings=HEADINGS,
        scores=SCORES,
        partitions=PARTITIONS,
        max_listed=MAX_LISTED,
        max_unfolded=MAX_UNFOLDED,
        what=what_was_run(rows, coverage),
        weights=weights_in_words(rows),
        rows=rows,
        unusual=unusual_settings(rows),
        thin_evidence=thin_evidence,
        without_language=without_language,
        figures=figures,
        class_accuracies=class_accuracies,
        provenance=provenance,
        audits=audits,
        exclusions=_exclusions(audits),
        coverage=coverage,
        balances=balances,
        adds_up=all(step.adds_up for steps in balances.values() for step in steps),
        rejections=rejections,
        by_kind=by_kind,
        costs=origins.costs if origins else [],
        configs=origins.configs if origins else [],
        found=origins.found if origins else {},
        left_out=origins.left_out if origins else [],
        duration=in_words,
    )


def provenance(row: Row) -> dict[str, list[tuple[str, str]]]:
    """Returns where a row's numbers come from: for each part its keys and values.

    A value that differs between seeds is given for each of them.
    """
    by_seed = [dict(_flat(asdict(run.provenance))) for run in row.runs]
    parts: dict[str, list[tuple[str, str]]] = {}
    for path in _distinct(path for flat in by_seed for path in flat):
        values = [flat.get(path, "–") for flat in by_seed]
        if len(set(values)) > 1:
            seeded = zip(row.runs, values, strict=True)
            values = ["; ".join(f"seed {run.run.seed}: {value}" for run, value in seeded)]
        part, _, key = path.partition(".")
        parts.setdefault(part, []).append((key or part, values[0]))
    return parts


def _flat(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _test_steps(dataset: str, rows: Sequence[Row], audits: Sequence[Audit]) -> list[Step]:
    """Returns the balance of the test clips of each split and feature set of a dataset."""
    by_split = {audit.split: audit.content for audit in audits if audit.dataset == dataset}
    names = ("dataset", "split", "feature_set")
    first_row = {tuple(row.names[name] for name in names): row for row in reversed(rows)}
    return [
        tested_step(first_row[key], by_split[key[1]])
        for key in sorted(first_row)
        if key[0] == dataset and key[1] in by_split
    ]


def _exclusions(audits: Sequence[Audit]) -> list[Rejection]:
    return [
        Rejection(audit.dataset, f"split {audit.split}", clip, reason)
        for audit in audits
        for clip, reason in audit.content.excluded.items()
    ]


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
