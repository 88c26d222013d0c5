"""The tiny workflow, run once for all tests that look at what it left or change a copy of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.workflow.driving import snakemake, tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny workflow has run to its end; the processes of a run share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished with space"
    with FileLock(f"{folder}.lock"):
        if not (folder / "results" / "report.html").exists():
            done = snakemake(folder, tiny())
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"
