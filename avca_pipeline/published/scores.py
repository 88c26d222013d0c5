"""The numbers of published tables, to put beside ours.

A number holds for one benchmark, one kind of lists, one feature set, one text embedding and one
method with its published settings, all together. It is never shown for anything else: some later
papers mix ``main`` and ``cls`` numbers in one table. What these things are is read from the
provenance of the scores. The names that a config gives them decide nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from avca_pipeline.artifacts.audits import SplitMethod
from avca_pipeline.artifacts.scores import Provenance
from avca_pipeline.published.sameness import (
    has_published_features,
    has_published_settings,
    has_published_text_embedding,
)

FILE = "scores.csv"
SCORES = ("seen", "unseen", "hm", "zsl")
OFFICIAL = "official"


@dataclass(frozen=True)
class PublishedScores:
    """One row of a published table.

    Attributes:
        benchmark: ``UCF``, ``ActivityNet`` or ``VGGSound``.
        lists: ``main`` or ``cls``.
        feature_set: which features, a key of `sameness.FEATURE_SETS`.
        text_embedding: which vectors of the classes, a name of `sameness.TEXT_EMBEDDINGS`.
        model: the plugin of the method.
        scores: S, U, HM and ZSL by the names in `SCORES`, as shares from 0 to 1; without those
            that were not published.
        is_chosen_on_test: whether the authors chose the epoch on the test clips.
        source: address of the paper.
    """

    benchmark: str
    lists: str
    feature_set: str
    text_embedding: str
    model: str
    scores: Mapping[str, float]
    is_chosen_on_test: bool
    source: str


def published(
    split: SplitMethod | None, provenance: Sequence[Provenance]
) -> PublishedScores | None:
    """Returns what was published for a row of the result table; ``None`` if there is nothing.

    Args:
        split: how the split of the row was made, from its audit.
        provenance: of each seed of the row. A published number holds for all of them or for none.
    """
    if split is None or split.plugin != OFFICIAL or not provenance:
        return None
    for row in table():
        if (row.benchmark, row.lists) == (
            split.settings["benchmark"],
            split.settings["lists"],
        ) and (all(_is_same(row, inputs) for inputs in provenance)):
            return row
    return None


def _is_same(row: PublishedScores, provenance: Provenance) -> bool:
    """Returns whether our scores have the same inputs and method as a published row."""
    return (
        row.model == provenance.model
        and has_published_features(row.benchmark, row.feature_set, provenance)
        and has_published_text_embedding(row.benchmark, row.text_embedding, provenance.text)
        and has_published_settings(
            row.benchmark, row.lists, provenance, may_choose_on_test=row.is_chosen_on_test
        )
    )


@cache
def table() -> tuple[PublishedScores, ...]:
    """Returns all published scores."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return tuple(
        PublishedScores(
            benchmark=line["benchmark"],
            lists=line["lists"],
            feature_set=line["feature_set"],
            text_embedding=line["text_embedding"],
            model=line["model"],
            scores={name: float(line[name]) / 100 for name in SCORES if line[name]},
            is_chosen_on_test=line["chosen_on_test"] == "yes",
            source=line["source"],
        )
        for line in csv.DictReader(text.splitlines())
    )
