"""The result table: one row for each dataset × split × feature set × text embedding × model."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from avca_pipeline.errors import FormatError

IDENTITY = ("dataset", "split", "feature_set", "text_embedding", "model")
SCORES = ("seen", "unseen", "hm", "zsl")
COLUMNS = ("mean", "std", "chance", "published")
KEYS = ("run", "scores", "chance", "bias", "selection", "per_class", "num_missing", "provenance")


@dataclass(frozen=True)
class ScoredRun:
    """The scores of one seed.

    Attributes:
        folder: of the run, below which its embeddings and histories lie.
        identity: what `IDENTITY` names.
        seed: of training.
        content: of ``scores.json``.
    """

    folder: Path
    identity: tuple[str, ...]
    seed: int
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Statistic:
    """One score over seeds, as a share.

    Attributes:
        mean: over seeds; ``None`` if a seed has no such score.
        std: sample standard deviation; ``None`` for a single seed.
        chance: what guessing reaches; ``None`` where that is not defined.
    """

    mean: float | None
    std: float | None
    chance: float | None = None


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracies of one class over seeds."""

    class_name: str
    is_unseen: bool
    num_clips: int
    gzsl: Statistic
    zsl: Statistic


@dataclass(frozen=True)
class Row:
    """One line of the result table, over its seeds.

    Attributes:
        identity: what `IDENTITY` names.
        runs: one of each seed, in the order of the seeds.
        scores: of each name in `SCORES`.
        bias: over seeds.
        best: names in `SCORES` in which no other model of the group shows a higher mean; empty
            where there is nothing to compare with.
        published: what the paper gives for the same, by name in `SCORES`, as shares; empty where
            it gives nothing.
    """

    identity: tuple[str, ...]
    runs: tuple[ScoredRun, ...]
    scores: Mapping[str, Statistic]
    bias: Statistic
    best: frozenset[str] = frozenset()
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """The identity by name."""
        return dict(zip(IDENTITY, self.identity, strict=True))

    @property
    def group(self) -> tuple[str, ...]:
        """What rows have in common whose models can be compared."""
        return self.identity[:-1]

    @property
    def title(self) -> str:
        """The identity in one line."""
        return " · ".join(self.identity)

    @property
    def method(self) -> str:
        """The model's plugin."""
        return str(self.runs[0].content["provenance"].get("model", self.names["model"]))

    @property
    def is_chosen_on_test(self) -> bool:
        """Whether the epoch was chosen on the clips that the scores are of."""
        return any(run.content["selection"].get("is_on_test", False) for run in self.runs)

    @property
    def epochs(self) -> list[int]:
        """The chosen epoch of each seed."""
        return [run.content["selection"]["epoch"] for run in self.runs]


def scored_run(path: Path, content: Mapping[str, Any]) -> ScoredRun:
    """Returns a run by the content of its ``scores.json``.

    Raises:
        FormatError: something is missing in it.
    """
    for key in KEYS:
        if key not in content:
            raise FormatError(f"{path}: {key!r} is missing; delete the file and evaluate again")
    run = content["run"]
    for key in (*IDENTITY, "seed"):
        if key not in run:
            raise FormatError(f"{path}: run.{key} is missing; delete the file and evaluate again")
    return ScoredRun(
        path.parent, tuple(str(run[key]) for key in IDENTITY), int(run["seed"]), content
    )


def rows_of(runs: Iterable[ScoredRun]) -> list[Row]:
    """Returns the table, models that can be compared one below the other.

    Raises:
        FormatError: a run stands there twice, or seeds of one row were scored on other classes.
    """
    ordered = sorted(runs, key=lambda run: (run.identity, run.seed))
    rows = [_row(tuple(some)) for _, some in groupby(ordered, key=lambda run: run.identity)]
    return [
        row
        for _, some in groupby(rows, key=lambda row: row.group)
        for row in _with_best(list(some))
    ]


def _row(runs: tuple[ScoredRun, ...]) -> Row:
    first = runs[0]
    for one, other in pairwise(runs):
        if one.seed == other.seed:
            raise FormatError(f"{other.folder}: seed {one.seed} of {one.folder} a second time")
        if _classes(other) != _classes(first):
            raise FormatError(
                f"{other.folder}: scored on other classes or clips than {first.folder}; "
                "delete the older scores.json and evaluate again"
            )
    return Row(
        first.identity,
        runs,
        scores={
            name: _statistic(
                [run.content["scores"][name] for run in runs], first.content["chance"][name]
            )
            for name in SCORES
        },
        bias=_statistic([run.content["bias"] for run in runs]),
    )


def _classes(run: ScoredRun) -> list[tuple[str, bool, int]]:
    return [(c["class_name"], c["is_unseen"], c["num_clips"]) for c in run.content["per_class"]]


def _statistic(values: Sequence[float | None], chance: float | None = None) -> Statistic:
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return Statistic(None, None, chance)
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Statistic(statistics.fmean(numbers), std, chance)


def _with_best(group: list[Row]) -> list[Row]:
    """Marks the best of each column. Means that look the same in the table are equally good."""
    if len(group) < 2:
        return group
    shown = {
        name: [_shown(row.scores[name].mean) for row in group] for name in SCORES
    }  # fmt: skip
    return [
        replace(row, best=frozenset(n for n in SCORES if shown[n][i] == max(shown[n]) >= 0))
        for i, row in enumerate(group)
    ]


def _shown(mean: float | None) -> float:
    return -1.0 if mean is None else round(100 * mean, 1)


def unusual_settings(rows: Sequence[Row]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Returns what is special about each row's hyper-parameters, by identity.

    That is what most rows of the same method have otherwise: in a table of ablations, what each of
    them changes. What seeds chose differently is nobody's.
    """
    common: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        for name, value in _settings(row).items():
            common.setdefault((row.method, name), Counter())[repr(value)] += 1
    return {
        row.identity: {
            name: value
            for name, value in _settings(row).items()
            if repr(value) != common[row.method, name].most_common(1)[0][0]
        }
        for row in rows
    }


def _settings(row: Row) -> dict[str, Any]:
    """Returns the hyper-parameters that all seeds of a row have in common."""
    first, *others = (run.content["provenance"].get("settings", {}) for run in row.runs)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def class_accuracies(row: Row) -> list[ClassAccuracy]:
    """Returns the accuracies of each class, unseen classes first, then by name."""
    columns = zip(*(run.content["per_class"] for run in row.runs), strict=True)
    accuracies = [
        ClassAccuracy(
            seeds[0]["class_name"],
            seeds[0]["is_unseen"],
            seeds[0]["num_clips"],
            gzsl=_statistic([seed["gzsl"] for seed in seeds]),
            zsl=_statistic([seed["zsl"] for seed in seeds]),
        )
        for seeds in columns
    ]
    return sorted(accuracies, key=lambda a: (not a.is_unseen, a.class_name))


def csv_columns() -> list[str]:
    """Returns the header of ``table.csv``."""
    of_scores = [f"{name}_{what}" for name in SCORES for what in COLUMNS]
    return [
        *IDENTITY,
        "num_seeds",
        *(f"{name}_percent" for name in of_scores),
        "bias_mean",
        "epochs",
    ]


def csv_row(row: Row) -> list[str]:
    """Returns a row of ``table.csv``: percent, an empty cell for what is not defined."""
    cells = [
        "" if value is None else f"{100 * value:.4f}"
        for name in SCORES
        for score in [row.scores[name]]
        for value in (score.mean, score.std, score.chance, row.published.get(name))
    ]
    bias = "" if row.bias.mean is None else f"{row.bias.mean:.4g}"
    epochs = ";".join(map(str, row.epochs))
    return [*row.identity, str(len(row.runs)), *cells, bias, epochs]
