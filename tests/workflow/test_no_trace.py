"""Reading the workflow and planning change no file: no lock, no listing, no sweeping."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.workflow import test_module
from tests.workflow.driving import command, snakemake, tiny

QUESTIONS = [
    ["--dry-run"],
    ["--dry-run", "--forceall"],
    ["--lint"],
    ["--summary"],
    ["--list-rules"],
    ["--dag"],
]
# Snakemake keeps its own memory of planning here, and the log of each call.
OF_SNAKEMAKE = (".snakemake/iocache", ".snakemake/log")
READ_ONLY = """
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77
touch "$0/a file" 2>/dev/null && exit 78
exec "$@"
"""


def state(root: Path) -> dict[str, tuple[object, ...]]:
    """Returns the content, the dates and the place on the disk of each file in a folder."""
    states: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if "__pycache__" in name or name.startswith(OF_SNAKEMAKE):
            continue
        if name.startswith(".snakemake") and path.is_dir():  # it makes empty folders
            continue
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        states[name] = (
            status.st_mode, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, content,
        )  # fmt: skip
    return states


def checkout() -> dict[str, dict[str, tuple[object, ...]]]:
    """Returns the state of the parts of the repository that a run reads."""
    return {name: state(REPOSITORY / name) for name in ("workflow", "avca_pipeline", "config")}


@pytest.fixture(scope="module")
def planned_folder(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of finished results. One file of ours is damaged, so that there is work to plan."""
    folder = tmp_path_factory.mktemp("no trace") / "copy"
    shutil.copytree(finished, folder, symlinks=True)
    (folder / "results/report.html").write_text("changed")
    # What a job that was killed leaves, and what a run that was killed leaves.
    (folder / "results/tiny/labels/.hashed.h5.0.0.tmp").write_text("half")
    (folder / "results/records/.kept").mkdir(exist_ok=True)
    (folder / "results/records/digests.json").unlink(missing_ok=True)
    (folder / ".snakemake/locks").mkdir(exist_ok=True)
    (folder / ".snakemake/locks/0.output.lock").write_text("results/report.html\n")
    return folder


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_after_a_question_no_file_has_changed(planned_folder: Path, question: list[str]) -> None:
    before, before_checkout = state(planned_folder), checkout()
    done = snakemake(planned_folder, None, *question)
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(planned_folder) == before
    assert checkout() == before_checkout


@pytest.mark.parametrize("question", [["--dry-run"], ["--lint"], ["--summary"]], ids=" ".join)
def test_a_question_in_an_empty_folder_makes_no_file(tmp_path: Path, question: list[str]) -> None:
    done = snakemake(tmp_path / "run", tiny(), *question)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(state(tmp_path / "run")) == ["config.yaml"]


@pytest.mark.parametrize("question", ["--dry-run", "--summary"])
def test_a_question_to_a_workflow_that_imports_this_one(
    planned_folder: Path, question: str
) -> None:
    test_module.write(planned_folder)
    before = state(planned_folder)
    test_module.run(planned_folder, question)
    assert state(planned_folder) == before


def test_a_run_remembers_what_it_has_read(folder: Path) -> None:
    """So that the next one does not read all results again; a dry run leaves that to it."""
    memory = folder / "results/records/digests.json"
    memory.unlink(missing_ok=True)
    assert snakemake(folder, None, "--dry-run").returncode == 0
    assert not memory.exists()
    done = snakemake(folder, None)
    assert "Nothing to be done" in done.stdout + done.stderr
    assert "report.html" in memory.read_text()


def read_only_checkout(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command where the repository cannot be written, also not by root."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", READ_ONLY, str(REPOSITORY), *arguments],
        cwd=folder, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip(f"nothing can be made read-only here: {done.stderr.strip()}")
    assert done.returncode != 78, "the repository can be written"
    return done


def test_a_dry_run_of_a_checkout_that_cannot_be_written(finished: Path, tmp_path: Path) -> None:
    """With the results elsewhere."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(finished, folder, symlinks=True)
    before = state(folder)
    done = read_only_checkout(*command(folder, "--dry-run"), folder=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr
    assert state(folder) == before


def test_where_snakemake_cannot_write_one_line_says_so() -> None:
    """It keeps files of its own in the folder in which it works."""
    arguments = command(REPOSITORY, "--dry-run", "--config", "results=/elsewhere")
    done = read_only_checkout(*arguments, folder=REPOSITORY)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"avca: error: {REPOSITORY}")
    assert (
        "cannot be written, and Snakemake has to; name a folder of yours with --directory" in last
    )
