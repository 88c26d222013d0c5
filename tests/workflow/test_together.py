"""Several runs as one job: the results are those of jobs of their own, and a kill loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import torch
import yaml

from avca_pipeline.artifacts import checkpoint, records
from tests.workflow.driving import command, planned, results, snakemake, tiny
from tests.workflow.kills import wait_until

KEPT = "made from the same as before, so it is kept"


def test_runs_of_one_job_end_as_those_of_many_even_if_it_is_killed(
    finished: Path, folder: Path
) -> None:
    config = tiny(runs_per_job=2)
    made = folder / "results/tiny/runs"
    shutil.rmtree(made)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    killed = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    kept = folder / "results" / records.FOLDER / records.KEPT
    first = wait_until(lambda: next(kept.rglob("checkpoint.pt"), None))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    number = first.stat().st_ino
    done = snakemake(folder, None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule runs_0:" in done.stdout + done.stderr
    again = folder / "results" / first.relative_to(kept)
    assert again.stat().st_ino == number
    assert KEPT in done.stdout + done.stderr
    assert results(folder) == results(finished)
    for path in made.rglob("*.pt"):
        own, other = (
            checkpoint.read(place)["state"] for place in (path, finished / path.relative_to(folder))
        )
        assert all(torch.equal(own[name], other[name]) for name in other)
    assert not kept.exists()
    # A new seed in the same job: only its runs are trained.
    before = {path: path.stat().st_ino for path in made.rglob("*") if path.is_file()}
    config["experiment"]["seeds"] = [0, 1]
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_ino for path in before} == before
    assert (made / "built/both/hashed/avca/seed1/scores.json").exists()
    # How much of the machine may be used changes no result.
    assert planned(folder, config | {"jobs_per_gpu": 2}, "--cores", "1") == {}
