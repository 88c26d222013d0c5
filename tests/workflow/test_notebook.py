"""The notebook runs from top to bottom, on the tiny run instead of the demo's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "examples" / "first_look.ipynb"
OURS = {"results/demo": "results/tiny", "c3d-vggish": "both"}


def test_the_notebook_runs_as_it_stands(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    mpl.use("agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for theirs in OURS:
        assert theirs in codes[0]
    try:
        for number, code in enumerate(codes):
            for theirs, ours in OURS.items():
                code = code.replace(theirs, ours)  # noqa: PLW2901
            exec(compile(code, f"cell {number}", "exec"), names)
        assert len(names["predictions"]) == 4
        assert {prediction.reason for prediction in names["predictions"]} == {""}
        assert plt.gca().collections
        assert names["scores"].zsl == 1
    finally:
        plt.close("all")
    assert "a blinking yellow square" in capsys.readouterr().out


def test_the_notebook_has_no_outputs() -> None:
    """They would be those of one machine, and change with each look."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
