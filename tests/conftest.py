"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
from filelock import FileLock

from avca_pipeline.runtime import logs

REPOSITORY = Path(__file__).parents[1]
IS_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
# Each test in these folders starts Snakemake.
SLOW_FOLDERS = ("tests/workflow/", "tests/cluster/")
GPU_FOLDER = "tests/gpu/"

# New examples on each run here, the same ones on each run in CI. A failure prints the line that
# repeats it.
hypothesis.settings.register_profile("avca", print_blob=True, derandomize=IS_CI, deadline=None)
hypothesis.settings.load_profile("avca")


def pytest_configure() -> None:
    """Shows the lines of the package on the screen, as each command does."""
    logs.show_on_screen()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(REPOSITORY).as_posix()
        if path.startswith(SLOW_FOLDERS):
            item.add_marker("slow")
        if path.startswith(GPU_FOLDER):
            item.add_marker("gpu")


def absent(message: str) -> NoReturn:
    """Skips the test because something is not on this machine; in CI that is a failure."""
    if IS_CI:
        pytest.fail(message)
    pytest.skip(message)


def shared_path(*parts: str) -> Path:
    """Returns where `shared_folder` looks, for what is read while tests are collected."""
    return Path(os.environ.get("AVCA_SHARED", REPOSITORY.parent / "shared")).joinpath(*parts)


def shared_folder(*parts: str) -> Path:
    """Returns a path in the folder of golden data and real clips, or calls `absent`.

    The data are not part of this repository. ``AVCA_SHARED`` says where they are; by default
    ``../shared`` beside the checkout.
    """
    path = shared_path(*parts)
    if not path.exists():
        absent(f"{path} is absent: golden data are not part of the repository, set AVCA_SHARED")
    return path


def program(name: str) -> str:
    """Returns the path of a program that a test runs, such as ``ffmpeg``, or calls `absent`."""
    found = shutil.which(name)
    if found is None:
        absent(f"{name} is not installed: apt-get install {name}")
    return found


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
