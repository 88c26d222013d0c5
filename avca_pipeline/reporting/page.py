"""The report: one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jinja2

from avca_pipeline.artifacts import audits
from avca_pipeline.artifacts.audits import CheckResult, DataAudit, SplitAudit
from avca_pipeline.artifacts.features import IMPORTED
from avca_pipeline.artifacts.split import PARTITIONS
from avca_pipeline.errors import one_line
from avca_pipeline.reporting.coverage import Coverage, Rejection, Step, by_kind, tested_step
from avca_pipeline.reporting.evidence import thin_evidence, without_language
from avca_pipeline.reporting.figures import Plot
from avca_pipeline.reporting.tables import (
    SCORES,
    Row,
    Statistic,
    class_accuracies,
    unusual_settings,
)

MAX_LISTED = 200
IS_RANDOM = "random"
SECTIONS = {
    "results": "Results",
    "embeddings": "Embeddings",
    "classes": "Classes",
    "training": "Training",
    "leaks": "Leakage audit",
    "clips": "Clips",
    "provenance": "Provenance",
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


def render(
    rows: Sequence[Row],
    figures: Sequence[Figures],
    audits: Sequence[Audit],
    coverage: Sequence[Coverage],
    **of_sections: Any,
) -> str:
    """Returns the page.

    Args:
        rows: the result table.
        figures: of each row.
        audits: of all splits.
        coverage: of all datasets.
        of_sections: what templates of further sections use, by the name that they use.
    """
    # Whatever stands in a file may be hostile, so that everything is escaped; only drawings that
    # we made, in which no foreign text occurs, are not.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"percent": percent, "mean_std": mean_std, "words": _words}
    balances = {
        dataset.dataset: [*dataset.steps(), *_test_steps(dataset.dataset, rows, audits)]
        for dataset in coverage
    }
    rejections = [rejection for dataset in coverage for rejection in dataset.rejections()]
    return environment.get_template("page.html.j2").render(
        sections=SECTIONS,
        **of_sections,
        headings=HEADINGS,
        scores=SCORES,
        partitions=PARTITIONS,
        max_listed=MAX_LISTED,
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
    )


def percent(share: float | None) -> str:
    """Returns ``"12.3"`` for 0.1234, and a dash for nothing."""
    return "–" if share is None else f"{100 * share:.1f}"


def mean_std(statistic: Statistic) -> str:
    """Returns ``"12.3 ± 0.4"``, without ± for a single seed."""
    mean = percent(statistic.mean)
    return mean if statistic.std is None else f"{mean} ± {percent(statistic.std)}"


def what_was_run(rows: Sequence[Row], coverage: Sequence[Coverage]) -> str:
    """Returns one sentence about all runs."""
    counts = {
        dataset.dataset: f" ({len(dataset.clips)} clips, {dataset.num_classes} classes)"
        for dataset in coverage
    }
    seeds = _distinct(str(run.run.seed) for row in rows for run in row.runs)
    descriptions = {
        row.names["text_embedding"]: row.runs[0].provenance.text_embedding for row in rows
    }
    texts = [f"{name} ({description})" for name, description in descriptions.items()]
    features = [
        f"{modality} features of {_joined(names)}"
        for modality in ("video", "audio")
        if (names := _backbones(rows, modality))
    ]
    datasets = [name + counts.get(name, "") for name in _names(rows, "dataset")]
    return (
        f"{_counted('Model', _names(rows, 'model'))}, trained with {_counted('seed', seeds)} and "
        f"tested on {_counted('dataset', datasets)}, {_counted('split', _names(rows, 'split'))}, "
        f"from {_joined(features)}, with {_counted('text embedding', texts)}."
    )


def weights_in_words(rows: Sequence[Row]) -> tuple[bool, str]:
    """Returns whether any backbone has random weights, and a sentence about all of them."""
    provenances = [run.provenance for row in rows for run in row.runs]
    weights = [
        (attributes.get("name", modality), attributes.get("weights", ""))
        for provenance in provenances
        for modality, attributes in (("video", provenance.video), ("audio", provenance.audio))
        if attributes
    ]
    random = _distinct(name for name, value in weights if value.startswith(IS_RANDOM))
    imported = _distinct(name for name, value in weights if value == IMPORTED)
    trained = _distinct(
        name for name, value in weights if not value.startswith(IS_RANDOM) and value != IMPORTED
    )
    if not random and not trained:
        return False, f"The features {_joined(imported)} were imported, not extracted here."
    if not random:
        return False, "The backbones have pretrained weights."
    meaning = "these numbers show that the pipeline works, not how good the method is."
    if not trained:
        return True, f"The backbones have seeded random weights: {meaning}"
    named = f"{_counted('Backbone', random)} with seeded random weights"
    return True, f"{named}, {_joined(trained)} with pretrained ones: {meaning}"


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


def _backbones(rows: Sequence[Row], modality: str) -> list[str]:
    provenances = (getattr(row.runs[0].provenance, modality) for row in rows)
    return _distinct(attributes.get("name", "?") for attributes in provenances if attributes)


def _names(rows: Sequence[Row], key: str) -> list[str]:
    return _distinct(row.names[key] for row in rows)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _counted(noun: str, items: Sequence[str]) -> str:
    return f"{noun}{'s' if len(items) > 1 else ''} {_joined(items)}"


def _joined(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _shown(value: Any) -> Any:
    """Returns what the page shows: control characters in a name are written as escapes."""
    return one_line(value) if type(value) is str else value


def _words(name: str) -> str:
    """Returns a name as words: ``"no_leak"`` is ``"No leak"``."""
    return name.replace("_", " ").capitalize()
