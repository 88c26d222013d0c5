"""Tables for people: names stay text in a spreadsheet program."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from avca_pipeline.artifacts import spreadsheets


@pytest.mark.parametrize(
    "name", ["=cmd()", "+1+1|'x'!A1", "-cmd", "@SUM(A1)", " =cmd()", "＝cmd()", "-", "-1-cmd"]
)
def test_a_formula_is_text(name: str) -> None:
    assert spreadsheets.cell(name) == f"'{name}"


@pytest.mark.parametrize("value", ["archery", "-0.5", "+3", "-1e-05", "", "a=b", "–", -0.5, None])
def test_names_and_numbers_stay_as_they_are(value: object) -> None:
    assert spreadsheets.cell(value) == value


def test_control_characters_are_escapes(tmp_path: Path) -> None:
    spreadsheets.write(tmp_path / "t.csv", ["name"], [["a\0b\r\n=c"], ["\t=d"], ["e\u202ef"]])
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name"], ["a\\x00b\\r\\n=c"], ["\\t=d"], ["e\\u202ef"]]
