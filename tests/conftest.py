"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

REPOSITORY = Path(__file__).parents[1]


def shared_folder(*parts: str) -> Path:
    """Returns a path in the folder of golden data and real clips, or skips the test.

    The data are not part of this repository. ``AVCA_SHARED`` says where they are; by default
    ``../shared`` beside the checkout. In CI their absence is a failure.
    """
    path = Path(os.environ.get("AVCA_SHARED", REPOSITORY.parent / "shared")).joinpath(*parts)
    if not path.exists():
        message = f"{path} is absent: golden data are not part of the repository, set AVCA_SHARED"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny workflow has run; all processes of a test run share it."""
    # It imports this module.
    from tests.workflow.driving import snakemake, tiny

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
