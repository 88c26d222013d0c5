"""What the tests on clusters share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, absent


@pytest.fixture(scope="session")
def plugins() -> Path:
    """The folder with Snakemake's plugins, for ``PYTHONPATH``; ``make cluster`` makes it."""
    folder = Path(os.environ.get("AVCA_CLUSTER", REPOSITORY / ".venv" / "cluster"))
    if not (folder / "snakemake_executor_plugin_slurm").is_dir():
        absent(f"{folder} has no executor plugins: run `make cluster`")
    return folder
