"""The last line on the screen says what went wrong, below all that Snakemake says."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import yaml

from tests.workflow.driving import command, tiny


def last_line(folder: Path, **sections: object) -> str:
    """Runs a config that fails and returns the last line on the screen."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(tiny(**sections)))
    done = subprocess.run(
        command(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 1, done.stdout
    return done.stdout.splitlines()[-1]


def test_a_wrong_config(tmp_path: Path) -> None:
    line = last_line(tmp_path, limits={"max_pixels": -1})
    assert line.startswith("avca: error: limits.max_pixels")


def test_a_job_that_fails(tmp_path: Path) -> None:
    """Its error is in its own log and far above what Snakemake says of it."""
    splits = {"built": {"val_unseen_classes": 0.45, "test_unseen_classes": 0.5}}
    line = last_line(tmp_path, splits=splits)
    assert line.startswith("avca split: error: 6 class(es) are too few to split")
    log = (tmp_path / "results/tiny/logs/split/built.log").read_text()
    assert log.rstrip("\n").endswith(line)


def test_a_folder_of_results_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    line = last_line(tmp_path, results="results/inner")
    assert line == "avca: error: results: results/inner: results is a file; name another folder"


def test_a_run_that_cannot_start(tmp_path: Path) -> None:
    """Because another one is at work on the same results."""
    (tmp_path / "results").mkdir()
    with open(tmp_path / "results/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = last_line(tmp_path)
    assert line.startswith("avca: error: results: results: another run is at work there")
