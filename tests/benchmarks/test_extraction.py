"""The benchmark itself runs, and its fast path computes what its plain path does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avca_pipeline.backbones import c3d
from tests.benchmarks import extraction


@pytest.mark.slow
def test_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one precision and one window at a time: C3D takes seconds for each."""
    monkeypatch.setattr(extraction, "PRECISIONS", ("fp32",))
    monkeypatch.setitem(c3d.BATCH_WINDOWS, "cpu", 1)
    out = tmp_path / "figures.json"
    small = ["--seconds", "1.28", "--clips", "1", "--repeats", "1", "--workers", "1"]
    extraction.main([*small, "--formats", "xvid 320x240", "--json", str(out)])
    figures = json.loads(out.read_text())
    assert all(value > 0 for value in figures["preparing"]["xvid 320x240"].values())
    assert set(figures["workers"]["clips_per_s"]) == {"1", "2"}
    assert figures["networks"]["fp32"]["plain_over_ours"] > 0
    # Pillow's pixels and ours differ by a level here and there.
    assert figures["networks"]["fp32"]["c3d_deviation"] < 0.02
