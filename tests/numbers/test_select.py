"""Which candidate, epoch and bias are chosen, from histories written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline import cli


def history(name: str, *hms: float, best: int) -> dict[str, Any]:
    """Returns a candidate's history; every epoch has a bias and scores of its own."""
    epochs = [
        {
            "epoch": epoch,
            "losses": {"total": 1.0},
            "val": {
                "seen": hm / 2, "unseen": hm * 2, "hm": hm, "zsl": 1 - hm,
                "bias": round(len(name) + epoch / 10, 1),
            },
            "learning_rate": 0.1,
            "duration_s": 1.0,
        }
        for epoch, hm in enumerate(hms)
    ]  # fmt: skip
    return {"format_version": 1, "candidate": name, "best_epoch": best, "epochs": epochs}


def select(folder: Path, names: list[str], *histories: dict[str, Any]) -> int:
    """Runs the stage on histories of these candidates; returns the exit code."""
    paths = [folder / f"{number}.json" for number in range(len(histories))]
    for path, content in zip(paths, histories, strict=True):
        path.write_text(json.dumps(content))
    request, out = json.dumps({"candidates": names}), str(folder / "selection.json")
    return cli.main(
        ["select", "--settings", request, "--histories", *map(str, paths), "--out", out]
    )


def selected(folder: Path, *histories: dict[str, Any]) -> dict[str, Any]:
    assert select(folder, [content["candidate"] for content in histories], *histories) == 0
    found: dict[str, Any] = json.loads((folder / "selection.json").read_text())
    del found["format_version"]
    return found


LOW = history("low", 0.1, 0.2, 0.15, best=1)
TOP = history("the top", 0.3, 0.2, 0.4, 0.1, best=2)
MIDDLE = history("middle", 0.35, 0.3, best=0)
CHOSEN = {
    "candidate": "the top",
    "epoch": 2,
    "bias": 7.2,
    "val": {"seen": 0.2, "unseen": 0.8, "hm": 0.4, "zsl": 0.6, "bias": 7.2},
    "num_candidates": 3,
}


@pytest.mark.parametrize(
    "order",
    [(LOW, TOP, MIDDLE), (TOP, LOW, MIDDLE), (MIDDLE, LOW, TOP)],
    ids=["second", "first", "last"],
)
def test_the_best_of_three_wins_wherever_it_stands(
    tmp_path: Path, order: tuple[dict[str, Any], ...]
) -> None:
    assert selected(tmp_path, *order) == CHOSEN


def test_of_equal_candidates_the_first_wins(tmp_path: Path) -> None:
    equal = history("equal", 0.1, 0.4, best=1)
    assert selected(tmp_path, LOW, TOP, equal)["candidate"] == "the top"
    found = selected(tmp_path, LOW, equal, TOP)
    assert (found["candidate"], found["epoch"], found["bias"]) == ("equal", 1, 5.1)


def test_hm_decides_and_no_other_score(tmp_path: Path) -> None:
    """A candidate that is better in S, U and ZSL but not in HM does not win."""
    other = history("other", 0.39, best=0)
    other["epochs"][0]["val"] |= {"seen": 0.99, "unseen": 0.99, "zsl": 0.99}
    assert selected(tmp_path, TOP, other)["candidate"] == "the top"
    assert selected(tmp_path, other, TOP)["candidate"] == "the top"


def test_a_candidate_that_is_always_wrong_can_be_the_only_one(tmp_path: Path) -> None:
    found = selected(tmp_path, history("only", 0.0, 0.0, best=0))
    assert (found["candidate"], found["epoch"], found["num_candidates"]) == ("only", 0, 1)


def test_what_was_chosen_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    selected(tmp_path, LOW, TOP)
    assert capsys.readouterr().err == "select: the top, epoch 2, bias 7.2\n"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["low"], "--histories: the request names 1 of them, found 2 files; "),
        (["low", "else"], "{folder}/1.json: is the history of candidate 'the top', not of 'else'"),
    ],
)
def test_histories_of_others_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], line: str
) -> None:
    assert select(tmp_path, names, LOW, TOP) == 1
    assert f"avca select: error: {line.format(folder=tmp_path)}" in capsys.readouterr().err
    assert not (tmp_path / "selection.json").exists()
