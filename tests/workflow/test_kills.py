"""A handful of kills at random moments; `python -m tests.workflow.kills` does many more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workflow import kills


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_that_is_killed_ends_like_one_in_peace_on_one_core(
    finished: Path, tmp_path: Path
) -> None:
    """``AVCA_KILLS`` says how often, ``AVCA_SEED`` when and whom."""
    num_kills = int(os.environ.get("AVCA_KILLS", "4"))
    seed = int(os.environ.get("AVCA_SEED", "0"))
    print(f"AVCA_KILLS={num_kills} AVCA_SEED={seed}")
    kills.run_from(finished, tmp_path / "undisturbed")
    done = kills.kill(tmp_path / "killed", tmp_path / "undisturbed", num_kills, seed, print)
    assert done.num_kills >= num_kills
