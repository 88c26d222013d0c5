"""The tiny workflow on a real Slurm: a retry with more memory, a killed controller, a resume."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import slurm
from tests.cluster.conftest import absent
from tests.conftest import REPOSITORY
from tests.workflow.driving import command, results, tiny

PROFILE = REPOSITORY / "workflow" / "profiles" / "slurm"
# Importing torch takes more than the first attempt gets, and less than the second.
TOO_LITTLE_MB, ENOUGH_MB = 150, 4000


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Path]:
    """The folder of the logs of a Slurm that is up."""
    if why := slurm.missing():
        absent(why)
    with slurm.running(tmp_path / "slurm"):
        yield tmp_path / "slurm"


def write_profile(folder: Path) -> Path:
    """Writes the project's own profile with what differs here, and returns its folder."""
    profile: dict[str, Any] = yaml.safe_load((PROFILE / "config.yaml").read_text())
    profile |= {
        "slurm-no-account": True,
        "slurm-status-command": "squeue",
        "slurm-init-seconds-before-status-checks": 2,
        "latency-wait": 10,
    }
    profile["set-resources"]["evaluate"]["mem_mb"] = (
        f"{TOO_LITTLE_MB} if attempt == 1 else {ENOUGH_MB}"
    )
    (folder / "profile").mkdir()
    (folder / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    return folder / "profile"


def start(folder: Path, profile: Path, plugins: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts Snakemake, whose jobs go to Slurm."""
    arguments = [part for part in command(folder) if part not in ("--cores", "2")]
    return subprocess.Popen(
        [*arguments, "--workflow-profile", str(profile)],
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": f"{plugins}{os.pathsep}{REPOSITORY}"},
        start_new_session=True,
    )


def test_retry_kill_and_resume(
    finished: Path, cluster: Path, plugins: Path, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(tiny()))

    # The controller is killed while jobs are at work on a GPU.
    first = start(folder, profile, plugins, tmp_path / "first.log")
    deadline = time.monotonic() + 300
    while not (left := slurm.queue("--states=running", "--partition=gpu", "--format=%i %j %k")):
        assert first.poll() is None, (tmp_path / "first.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert "rule_extract" in left[0]
    orphans = slurm.queue("--format=%i")
    assert orphans
    stranger = subprocess.run(
        ["sbatch", "--parsable", "--job-name=avca_of_another_run", "--wrap=sleep 600"],
        capture_output=True, text=True, check=True, cwd=cluster,
    ).stdout.strip()  # fmt: skip

    # The same command again.
    second = start(folder, profile, plugins, tmp_path / "second.log")
    assert second.wait(timeout=600) == 0, (tmp_path / "second.log").read_text()
    log = (tmp_path / "second.log").read_text()
    print(log)
    assert f"{len(orphans)} Slurm jobs of an earlier run are still there: cancelling them" in log
    states = dict(line.split() for line in slurm.queue("--states=all", "--format=%i %t"))
    assert {states[job] for job in orphans} == {"CA"}
    assert states[stranger] == "R"

    # The job that had too little memory has failed once and was given more.
    memory = [
        line.split()[0]
        for line in slurm.queue("--states=all", "--format=%m %k")
        if "rule_evaluate" in line
    ]
    assert memory == [f"{ENOUGH_MB}M", f"{TOO_LITTLE_MB}M"]
    assert re.search(r"exceeded (job )?memory limit", _slurm_logs(folder))
    assert "Trying to restart job" in log
    assert results(folder) == results(finished)


def _slurm_logs(folder: Path) -> str:
    logs = (folder / ".snakemake" / "slurm_logs").rglob("*.log")
    return "".join(path.read_text(errors="replace") for path in logs)
