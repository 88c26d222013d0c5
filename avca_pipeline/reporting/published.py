"""The numbers of the paper's tables, to put beside ours.

They hold for one benchmark's lists of clips, one feature set and one method together, and are never
shown for anything else: later papers mix ``main`` and ``cls`` numbers in one table.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from avca_pipeline.reporting.tables import SCORES, Row

FILE = "published.csv"
KEY = ("benchmark", "lists", "feature_set", "model")
OFFICIAL = "official"


def published(row: Row, split: Mapping[str, Any]) -> dict[str, float]:
    """Returns the published scores of a row as shares, as far as there are any.

    A model counts as the published one if its name in the config is the plugin's, or that and the
    lists' (``ale-cls``); under other names it may be anything, such as an ablation.

    Args:
        row: of the table.
        split: ``plugin`` and ``settings`` of the row's split, from its audit.
    """
    settings, model = split.get("settings", {}), row.method
    if split.get("plugin") != OFFICIAL:
        return {}
    lists = settings["lists"]
    if row.names["model"] not in (model, f"{model}-{lists}"):
        return {}
    key = (settings["benchmark"], lists, row.names["feature_set"], model)
    return table().get(key, {})


@cache
def table() -> dict[tuple[str, ...], dict[str, float]]:
    """Returns all published scores as shares, by what `KEY` names."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return {
        tuple(line[name] for name in KEY): {
            name: float(line[name]) / 100 for name in SCORES if line[name]
        }
        for line in csv.DictReader(text.splitlines())
    }
