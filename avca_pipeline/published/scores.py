"""The numbers of the paper's tables, to put beside ours.

A number holds for one benchmark, one kind of lists, one feature set and one method together, and is
never shown for anything else: some later papers mix ``main`` and ``cls`` numbers in one table.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from avca_pipeline.artifacts.audits import SplitMethod

FILE = "scores.csv"
KEY = ("benchmark", "lists", "feature_set", "model")
OFFICIAL = "official"


def published(
    split: SplitMethod | None, feature_set: str, model: str, plugin: str
) -> dict[str, float]:
    """Returns the published scores of a row of the table, as shares of 1; none if there are none.

    A model counts as the published one if its name in the config is the plugin's, or that and the
    lists' (``ale-cls``); under other names it may be anything, such as an ablation.

    Args:
        split: how the row's split was made, from its audit.
        feature_set: its name in the config.
        model: its name in the config.
        plugin: of the model.
    """
    if split is None or split.plugin != OFFICIAL:
        return {}
    lists = split.settings["lists"]
    if model not in (plugin, f"{plugin}-{lists}"):
        return {}
    return table().get((split.settings["benchmark"], lists, feature_set, plugin), {})


@cache
def table() -> dict[tuple[str, ...], dict[str, float]]:
    """Returns all published scores as shares, by what `KEY` names."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return {
        tuple(line[name] for name in KEY): {
            name: float(share) / 100 for name, share in line.items() if name not in KEY and share
        }
        for line in csv.DictReader(text.splitlines())
    }
