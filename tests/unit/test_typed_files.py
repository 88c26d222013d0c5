"""Scores, histories, selections and audits: what is written is read, anything else is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.artifacts import audits, scores, training
from avca_pipeline.artifacts.audits import (
    CheckResult,
    Coverage,
    DataAudit,
    PartitionCounts,
    SplitAudit,
    SplitMethod,
    UsableClips,
)
from avca_pipeline.artifacts.scores import ClassAccuracy
from avca_pipeline.artifacts.training import Selection
from avca_pipeline.errors import FormatError
from tests.builders import VALIDATION, history_of, scores_of

CHECK = CheckResult("no_leak", "Nothing leaks.", "error", 1, {"train": 1}, ["a clip"], passed=False)
FILES: dict[str, tuple[Any, Callable[[Path, Any], None], Callable[[Path], Any]]] = {
    "history": (history_of("a", 1, 0.1, 0.4), training.write_history, training.read_history),
    "selection": (
        Selection("a", 1, 0.5, VALIDATION, 3),
        training.write_selection,
        training.read_selection,
    ),
    "scores": (
        scores_of(
            per_class=(ClassAccuracy("a", is_unseen=True, num_clips=0, gzsl=None, zsl=None),)
        ),
        scores.write,
        scores.read,
    ),
    "split audit": (
        SplitAudit(
            passed=False,
            checks=[CHECK],
            counts={"train": PartitionCounts(1, 2, 3)},
            excluded={"b": "its source"},
            split=SplitMethod("built", {"seed": 0}),
            unknown_pretraining=["c3d"],
        ),
        audits.write_split_audit,
        audits.read_split_audit,
    ),
    "data audit": (
        DataAudit(
            passed=True,
            checks=[],
            coverage=Coverage({"train": UsableClips(2, 1, {"damaged": 1})}, {}),
        ),
        audits.write_data_audit,
        audits.read_data_audit,
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_is_written_is_read(kind: str, tmp_path: Path) -> None:
    value, write, read = FILES[kind]
    write(tmp_path / "file.json", value)
    assert read(tmp_path / "file.json") == value


def paths_of(value: Any, *before: Any) -> list[tuple[Any, ...]]:
    """Returns the way to each value within a value of JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in pairs:
        found.append((*before, key))
        if isinstance(inner, dict | list):
            found += paths_of(inner, *before, key)
    return found


FREE = ("settings", "losses", "excluded", "num_missing", "by_partition", "reasons", "versions")
"""Keys whose values are tables with keys of any name."""


@pytest.mark.parametrize("kind", FILES)
def test_a_missing_or_unknown_key_and_a_wrong_type_are_one_line(kind: str, tmp_path: Path) -> None:
    value, write, read = FILES[kind]
    path = tmp_path / "file.json"
    write(path, value)
    whole = json.loads(path.read_text())
    num_refused = 0
    for way in paths_of(whole):
        for change in ("wrong type", "number as text", "missing", "unknown"):
            content = json.loads(path.read_text())
            inner = content
            for key in way[:-1]:
                inner = inner[key]
            is_named = isinstance(way[-1], str) and not set(FREE) & set(way[:-1])
            is_named = is_named and not set(way[:-1]) & {"video", "audio", "text"}
            is_named = is_named and way[-2:-1] not in (("counts",), ("partitions",), ("classes",))
            if change == "wrong type":
                # No key takes this, but for the settings of a plugin, whatever they are.
                if "settings" in way[:-1]:
                    continue
                inner[way[-1]] = [[[["no such thing"]]]]
            elif change == "number as text":
                if "settings" in way[:-1] or not isinstance(inner[way[-1]], int | float):
                    continue
                inner[way[-1]] = str(inner[way[-1]])
            elif not is_named or way[-1] in ("split", "unknown_pretraining", "modalities"):
                continue
            elif change == "missing":
                del inner[way[-1]]
            else:
                inner[f"{way[-1]} of another release"] = inner[way[-1]]
            other = tmp_path / "other.json"
            other.write_text(json.dumps(content))
            with pytest.raises(FormatError) as error:
                read(other)
            assert "\n" not in str(error.value)
            assert str(error.value).startswith(f"{other}: ")
            num_refused += 1
    assert num_refused > 10


@pytest.mark.parametrize("kind", FILES)
def test_another_version_is_refused(kind: str, tmp_path: Path) -> None:
    value, write, read = FILES[kind]
    path = tmp_path / "file.json"
    write(path, value)
    path.write_text(re.sub(r'"format_version": \d', '"format_version": 99', path.read_text()))
    with pytest.raises(FormatError, match=r"file\.json: format version 99"):
        read(path)


def test_a_best_epoch_that_is_not_there_is_refused(tmp_path: Path) -> None:
    training.write_history(tmp_path / "history.json", history_of("a", 2, 0.1, 0.4))
    with pytest.raises(FormatError, match=r"best_epoch is 2, but there are 2 epochs"):
        training.read_history(tmp_path / "history.json")
