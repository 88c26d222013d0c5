"""Scores by definition from ``predictions.csv``, without the package."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def scores_from(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Returns the scores of a table of predictions, and each clip's answer, by definition."""
    bias = float(rows[0]["bias"])
    right: dict[tuple[str, str], list[bool]] = {}
    answers, among_unseen = [], {}
    for row in rows:
        seen = float(row["nearest_seen_distance"]) + bias
        unseen = float(row["nearest_unseen_distance"])
        is_seen = seen < unseen or (seen == unseen and row["nearest_seen"] < row["nearest_unseen"])
        answers.append(row["nearest_seen"] if is_seen else row["nearest_unseen"])
        right.setdefault((row["kind"], row["class_name"]), []).append(
            answers[-1] == row["class_name"]
        )
        if row["kind"] == "unseen":
            among_unseen.setdefault(row["class_name"], []).append(row["rank_among_unseen"] == "1")
    of = {
        kind: float(np.mean([np.mean(found) for key, found in right.items() if key[0] == kind]))
        for kind in ("seen", "unseen")
    }
    total = of["seen"] + of["unseen"]
    return {
        "scores": {
            **of,
            "hm": 2 * of["seen"] * of["unseen"] / total if total else 0.0,
            "zsl": float(np.mean([np.mean(found) for found in among_unseen.values()])),
        },
        "bias": bias,
        "answers": answers,
    }
