"""The result table: one row for all seeds of a run.

Each combination of dataset, split, feature set, text embedding, model and modalities has a row.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from avca_pipeline.artifacts.run import BOTH, Run
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.errors import FormatError
from avca_pipeline.published.scores import PublishedScores

IDENTITY = ("dataset", "split", "feature_set", "text_embedding", "model", "modalities")
TITLES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}
"""Each score, and what a table calls it."""
SCORES = tuple(TITLES)
COLUMNS = ("mean", "std", "chance", "published")


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
class ClassStatistics:
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
        runs: the scores of each seed, in the order of the seeds.
        scores: of each name in `SCORES`.
        bias: over seeds.
        best: names in `SCORES` in which it is clearly better than every other row of its group:
            by more than other classes and clips explain.
        published: what a paper reports for the same inputs and method; ``None`` if there is
            nothing.
    """

    identity: tuple[str, ...]
    runs: tuple[Scores, ...]
    scores: Mapping[str, Statistic]
    bias: Statistic
    best: frozenset[str] = frozenset()
    published: PublishedScores | None = None

    @property
    def names(self) -> dict[str, str]:
        """The identity by name."""
        return dict(zip(IDENTITY, self.identity, strict=True))

    @property
    def group(self) -> tuple[str, ...]:
        """The part of the identity that is the same in rows whose models can be compared."""
        return self.identity[:-2]

    @property
    def title(self) -> str:
        """The identity in one line."""
        *names, modalities = self.identity
        return " · ".join(names if modalities == BOTH else [*names, f"{modalities} alone"])

    @property
    def method(self) -> str:
        """The model's plugin."""
        return self.runs[0].provenance.model

    @property
    def is_chosen_on_test(self) -> bool:
        """Whether the epoch was chosen on the clips that the scores are of."""
        return any(run.selection.is_on_test for run in self.runs)

    @property
    def epochs(self) -> list[int]:
        """The chosen epoch of each seed, counted from 1."""
        return [run.selection.epoch + 1 for run in self.runs]


def _identity_of_row(runs: Sequence[Scores]) -> tuple[str, ...]:
    """Returns what `IDENTITY` names of the seeds of a row, with the modalities that were used.

    A model's own settings may choose them. Where seeds chose others, they are those of the grid.
    """
    *names, modalities = identity_of(runs[0].run)
    used = {run.provenance.settings.get("modalities", modalities) for run in runs}
    return (*names, used.pop() if len(used) == 1 else modalities)


def identity_of(run: Run) -> tuple[str, ...]:
    """Returns what `IDENTITY` names."""
    return tuple(getattr(run, name) for name in IDENTITY)


def rows_of(runs: Iterable[Scores]) -> list[Row]:
    """Returns the table, models that can be compared one below the other.

    Raises:
        FormatError: a run stands there twice, or seeds of one row were scored on other classes.
    """
    ordered = sorted(runs, key=lambda scores: (identity_of(scores.run), scores.run.seed))
    seeds_of_rows = groupby(ordered, key=lambda scores: identity_of(scores.run))
    return [_row(tuple(seeds)) for _, seeds in seeds_of_rows]


def _row(runs: tuple[Scores, ...]) -> Row:
    first = runs[0]
    for former, latter in pairwise(runs):
        if former.run.seed == latter.run.seed:
            raise FormatError(
                f"{latter.run.path}: the scores of this run are there twice; "
                "name the file of each run once"
            )
        if _classes(latter) != _classes(first):
            raise FormatError(
                f"{latter.run.path}: scored on other classes or clips than {first.run.path}; "
                "delete the older scores.json and evaluate again"
            )
    return Row(
        _identity_of_row(runs),
        runs,
        scores={
            name: _statistic(
                [getattr(run.scores, name) for run in runs], getattr(first.chance, name)
            )
            for name in SCORES
        },
        bias=_statistic([run.bias for run in runs]),
    )


def _classes(run: Scores) -> list[tuple[str, bool, int]]:
    return [
        (accuracy.class_name, accuracy.is_unseen, accuracy.num_clips) for accuracy in run.per_class
    ]


def _statistic(values: Sequence[float | None], chance: float | None = None) -> Statistic:
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return Statistic(None, None, chance)
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Statistic(statistics.fmean(numbers), std, chance)


def unusual_settings(rows: Sequence[Row]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Returns what is special about each row's hyper-parameters, by identity.

    A value is special if most rows of the same method have another one. In a table of ablations
    these values say what each ablation changes. A value that differs between seeds is left out.
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
    """Returns the hyper-parameters that all seeds of a row have in common.

    Modalities are part of the identity.
    """
    first, *others = (run.provenance.settings for run in row.runs)
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others) and name != "modalities"
    }


def class_accuracies(row: Row) -> list[ClassStatistics]:
    """Returns the accuracies of each class, unseen classes first, then by name."""
    columns = zip(*(run.per_class for run in row.runs), strict=True)
    accuracies = [
        ClassStatistics(
            seeds[0].class_name,
            seeds[0].is_unseen,
            seeds[0].num_clips,
            gzsl=_statistic([seed.gzsl for seed in seeds]),
            zsl=_statistic([seed.zsl for seed in seeds]),
        )
        for seeds in columns
    ]
    return sorted(accuracies, key=lambda accuracy: (not accuracy.is_unseen, accuracy.class_name))


def csv_columns() -> list[str]:
    """Returns the header of ``table.csv``."""
    statistics_of_scores = [f"{name}_{statistic}" for name in SCORES for statistic in COLUMNS]
    return [
        *IDENTITY,
        "num_seeds",
        *(f"{name}_percent" for name in statistics_of_scores),
        "bias_mean",
        "epochs",
        "published_source",
        "published_chosen_on_test",
    ]


def csv_row(row: Row) -> list[str]:
    """Returns a row of ``table.csv``: percent, an empty cell for what is not defined."""
    published_scores = row.published.scores if row.published else {}
    cells: list[str] = []
    for name in SCORES:
        score = row.scores[name]
        shares = (score.mean, score.std, score.chance, published_scores.get(name))
        cells += ["" if share is None else f"{100 * share:.4f}" for share in shares]
    bias = "" if row.bias.mean is None else f"{row.bias.mean:.4g}"
    epochs = ";".join(map(str, row.epochs))
    return [*row.identity, str(len(row.runs)), *cells, bias, epochs, *_origin(row.published)]


def _origin(published: PublishedScores | None) -> list[str]:
    """Returns the source of published scores and whether they were chosen on test clips."""
    if published is None:
        return ["", ""]
    return [published.source, "yes" if published.is_chosen_on_test else "no"]
