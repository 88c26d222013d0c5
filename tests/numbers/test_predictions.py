"""Predictions: scores of a run computed again from ``predictions.csv`` alone, in plain NumPy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import predictions
from avca_pipeline.artifacts.predictions import ClipPrediction, NearClass, RunPredictions
from avca_pipeline.artifacts.spreadsheets import as_text, from_text
from avca_pipeline.errors import FormatError
from avca_pipeline.evaluation import ranking
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.ranking import predictions_of
from tests.numbers.from_predictions import table

HOSTILE = (
    "=cmd()",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "'",
    "''-",
    "＝1",
    "-a,\"b\r\n'",
)
PLAIN = ("archery", "it's", "a=b", "", "<b>x</b>", "\x1b[31m")


def test_ranks_and_ties_of_a_hand_made_case() -> None:
    """Classes b and d are unseen; the bias of 1 makes a, b and d equally near to clip x."""
    names, is_unseen = ["a", "b", "c", "d"], np.array([False, True, False, True])
    distance = np.array([[1.0, 2.0, 4.0, 2.0], [5.0, 1.0, 0.5, 3.0]])
    zsl = np.array([[9.0, 7.0, 9.0, 6.0], [0.0, 1.0, 0.0, 0.5]])
    made = predictions_of(
        Distances(distance, zsl=zsl), ["x", "y"], names, np.array([3, 2]), is_unseen, bias=1.0
    )
    first, second = made
    assert [near.class_name for near in first.top] == ["a", "b", "d", "c"]
    assert [near.distance for near in first.top] == [1.0, 2.0, 2.0, 4.0]
    assert (first.class_name, first.is_unseen, first.rank, first.rank_among_unseen) == (
        "d",
        True,
        3,
        1,
    )
    assert first.nearest_seen == NearClass("a", False, 1.0)
    assert first.nearest_unseen == NearClass("b", True, 2.0)
    assert [near.class_name for near in second.top] == ["b", "c", "d", "a"]
    assert (second.rank, second.rank_among_unseen) == (2, None)


@pytest.mark.parametrize("is_unseen", [[True, True], [False, False]])
def test_there_must_be_a_nearest_class_of_both_kinds(is_unseen: list[bool]) -> None:
    distances = Distances(np.array([[1.0, 2.0]]))
    with pytest.raises(ValueError, match="seen and unseen"):
        list(predictions_of(distances, ["x"], ["a", "b"], np.array([0]), np.array(is_unseen), 0.0))


@pytest.mark.parametrize("has_zsl", [False, True])
def test_clips_of_all_blocks_are_ranked(has_zsl: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each clip by itself, with sorted lists; many distances are equal."""
    monkeypatch.setattr(ranking, "BLOCK_CLIPS", 7)
    drawn, bias = np.random.default_rng(0), 1.0
    names, is_unseen = list("abcdefgh"), np.arange(8) % 3 == 1
    raw, zsl = drawn.integers(0, 9, (2, 40, 8)).astype(float)
    target = drawn.integers(0, 8, 40)
    distances = Distances(raw, zsl=zsl if has_zsl else None)
    ids = [f"clip {number}" for number in range(40)]
    made = list(predictions_of(distances, ids, names, target, is_unseen, bias))
    assert [clip.clip_id for clip in made] == ids
    for clip, own, of_raw, of_zsl in zip(made, target, raw, zsl if has_zsl else raw, strict=True):
        biased = of_raw + np.where(is_unseen, 0, bias)
        order = sorted(range(8), key=lambda column: (biased[column], column))
        near = [NearClass(names[c], bool(is_unseen[c]), of_raw[c]) for c in order]
        assert (clip.class_name, clip.is_unseen) == (names[own], is_unseen[own])
        assert clip.rank == 1 + order.index(own)
        unseen = sorted(np.flatnonzero(is_unseen), key=lambda column: (of_zsl[column], column))
        assert clip.rank_among_unseen == (1 + unseen.index(own) if is_unseen[own] else None)
        assert clip.top == tuple(near[:5])
        assert clip.nearest_seen == next(one for one in near if not one.is_unseen)
        assert clip.nearest_unseen == next(one for one in near if one.is_unseen)


def test_a_table_gives_back_what_was_written(tmp_path: Path) -> None:
    names = [name for name in (*HOSTILE, *PLAIN) if name]
    near = NearClass("u", True, 1 / 3)
    clips = [
        ClipPrediction(
            clip_id=name, class_name=names[-1 - index], is_unseen=index % 2 == 1,
            rank=index + 1, rank_among_unseen=index if index % 2 else None,
            nearest_seen=NearClass(name, False, -0.1 - index), nearest_unseen=near,
            top=(NearClass(name, False, -0.1 - index), near)[: 1 + index % 2],
        )
        for index, name in enumerate(names)
    ]  # fmt: skip
    value = RunPredictions(0.1 + 0.2, clips)
    predictions.write(tmp_path / "p.csv", value.bias, value.clips)
    assert predictions.read(tmp_path / "p.csv") == value
    columns = ("clip_id", "class_name", "nearest_seen", "top1")
    for row in table(tmp_path / "p.csv"):
        assert not any(
            row[column].startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for column in columns
        )


@pytest.mark.parametrize("name", [*HOSTILE, *PLAIN])
def test_a_spreadsheet_s_cell_gives_back_its_name(name: str) -> None:
    cell = as_text(name)
    assert from_text(cell) == name
    assert (cell == name) == (name in PLAIN)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("rank", "first", "rank"),
        ("kind", "new", "kind is 'new', expected seen or unseen"),
        ("nearest_seen_distance", "", "could not convert"),
        ("bias", "2.0", "with one bias"),
        ("clip_id", "y", "each of them once"),
    ],
)
def test_a_damaged_table_is_one_line(column: str, cell: str, words: str, tmp_path: Path) -> None:
    near = NearClass("a", False, 1.0), NearClass("b", True, 2.0)
    clips = [ClipPrediction(name, "a", False, 1, None, *near, near) for name in "xy"]
    path = tmp_path / "p.csv"
    predictions.write(path, 0.5, clips)
    rows = table(path)
    rows[0][column] = cell
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(FormatError) as raised:
        predictions.read(path)
    (line,) = raised.value.lines
    assert str(path) in line
    assert "delete the file and evaluate again" in line
    if column != "rank":
        assert words in line
