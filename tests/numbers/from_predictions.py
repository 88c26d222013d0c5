"""Scores by definition from ``predictions.csv``, without the package."""

from __future__ import annotations

import csv
import itertools
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


def right_at(rows: list[dict[str, str]], bias: float) -> dict[str, list[tuple[str, bool]]]:
    """Returns for either kind the class of each clip and whether it is answered at a bias."""
    found: dict[str, list[tuple[str, bool]]] = {"seen": [], "unseen": []}
    for row in rows:
        margin = float(row["nearest_unseen_distance"]) - float(row["nearest_seen_distance"])
        answer = row["nearest_seen"] if bias < margin else row["nearest_unseen"]
        found[row["kind"]].append((row["class_name"], answer == row["class_name"]))
    return found


def mean_of_classes(listed: list[tuple[str, bool]]) -> float:
    """Returns the mean over classes of the share that is right."""
    names = sorted({name for name, _ in listed})
    return float(np.mean([np.mean([is_so for of, is_so in listed if of == n]) for n in names]))


def curve_from(rows: list[dict[str, str]]) -> list[tuple[float, float]]:
    """Returns U and S within each stretch of biases, at a bias in its middle."""
    margins = sorted(
        {float(r["nearest_unseen_distance"]) - float(r["nearest_seen_distance"]) for r in rows}
    )
    middles = [(low + high) / 2 for low, high in itertools.pairwise(margins)]
    points = []
    for bias in (margins[0] - 1, *middles, margins[-1] + 1):
        right = right_at(rows, bias)
        points.append((mean_of_classes(right["unseen"]), mean_of_classes(right["seen"])))
    return points


def area_below(points: list[tuple[float, float]]) -> float:
    """Returns the area below a line through points ``(x, y)``."""
    pairs = itertools.pairwise(points)
    return sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pairs)


def top_from(rows: list[dict[str, str]], top: int) -> dict[str, float]:
    """Returns S, U and ZSL where a class among the first ``top`` counts, from the top classes."""
    found: dict[str, list[tuple[str, bool]]] = {"seen": [], "unseen": [], "zsl": []}
    for row in rows:
        named = [row[f"top{place}"] for place in range(1, top + 1)]
        found[row["kind"]].append((row["class_name"], row["class_name"] in named))
        if row["kind"] == "unseen":
            found["zsl"].append((row["class_name"], int(row["rank_among_unseen"]) <= top))
    return {name: mean_of_classes(listed) for name, listed in found.items()}
