"""The tiny workflow on a real Slurm: a retry, a killed controller, its orphans, the same end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import yaml

from tests.cluster import one_node
from tests.conftest import REPOSITORY
from tests.workflow.driving import results, tiny

# Jobs wait for a machine that is busy with other tests.
pytestmark = pytest.mark.timeout(1800)

GPU_RULES = {"extract", "train_stage1", "train_stage2", "evaluate", "apply"}
COMMAND = [
    sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow/Snakefile"),
    "--configfile", "config.yaml", "--workflow-profile", "profile",
]  # fmt: skip


def write_profile(folder: Path) -> None:
    """Writes the project's own profile with all that differs from a real cluster.

    No accounting, no waiting for other machines, and a first attempt that Slurm kills for its
    memory.
    """
    profile = yaml.safe_load((REPOSITORY / "workflow/profiles/slurm/config.yaml").read_text())
    profile |= {
        "slurm-status-command": "squeue",
        "slurm-init-seconds-before-status-checks": 3,
        "latency-wait": 10,
    }
    profile["set-resources"]["embed"] = {"mem_mb": "40 * attempt ** 4"}
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))


def start(folder: Path, plugins: Path, log: Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    with open(log, "ab") as file:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *COMMAND],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path},
        )


def rule(job: dict[str, str]) -> str:
    """Returns the rule of a job of the workflow."""
    found = re.match(r"rule_(\w+?)(_wildcards_|$)", job["Comment"])
    assert found
    return found[1]


def submit(folder: Path, name: str) -> int:
    """Submits a job that is none of the workflow's."""
    folder.mkdir(exist_ok=True)
    return int(
        one_node.call(
            "sbatch", "--parsable", "--mem=10", f"--job-name={name}", f"--chdir={folder}",
            "--output=/dev/null", "--wrap=sleep 600",
        )
    )  # fmt: skip


def test_retry_kill_orphans_resume(finished: Path, plugins: Path, tmp_path: Path) -> None:
    folder, log = tmp_path / "on slurm", tmp_path / "slurm.log"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(tiny()))
    write_profile(folder / "profile")
    with one_node.running(tmp_path / "cluster"):
        theirs = [
            submit(tmp_path / "elsewhere", f"avca_{uuid.uuid4()}"),
            submit(folder, "by_hand"),
        ]
        controller = start(folder, plugins, log)

        def of(name: str, state: str) -> list[int]:
            return [
                number
                for number, job in one_node.jobs().items()
                if number not in theirs and rule(job) == name and job["JobState"] == state
            ]

        deadline = time.monotonic() + 600
        while not all(
            [of("embed", "COMPLETED"), of("extract", "RUNNING"), of("extract", "PENDING")]
        ):
            assert controller.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        controller.send_signal(signal.SIGKILL)
        controller.wait()
        orphans = [*of("extract", "RUNNING"), *of("extract", "PENDING")]
        assert orphans
        with open(log, "a") as file:
            print(f"\n=== controller killed; Slurm goes on with {orphans} ===\n", file=file)

        assert start(folder, plugins, log).wait(1200) == 0, log.read_text()
        told = log.read_text()
        print(told)
        seen = one_node.jobs()

    # The retry: Slurm killed the first attempt for its memory, the second got more.
    embed = [job for n, job in seen.items() if n not in theirs and rule(job) == "embed"]
    first, second = embed[:2]
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    [said_by_slurm] = (folder / "results/logs/slurm").rglob(f"{first['JobId']}.log")
    assert "exceeded memory limit" in said_by_slurm.read_text()
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("40M", "640M")
    assert "Trying to restart job" in told

    # The orphans: some were still there, all of those were cancelled, and nothing else.
    said = re.search(r"cancelling \d+ Slurm job\(s\) of an earlier run: ([\d ]+)", told)
    assert said
    cancelled = {int(number) for number in said[1].split()}
    assert cancelled
    assert cancelled <= set(orphans)
    ended = {number for number, job in seen.items() if job["JobState"] == "CANCELLED"}
    assert ended == cancelled
    assert all(seen[number]["JobState"] == "RUNNING" for number in theirs)

    # Where each job went.
    for number, job in seen.items():
        if number in theirs:
            continue
        on_gpu = rule(job) in GPU_RULES
        assert job["Partition"] == ("gpu" if on_gpu else "cpu")
        assert job.get("TresPerJob") == ("gres:gpu:1" if on_gpu else None)
        assert job["NumCPUs"] == ("8" if rule(job) == "extract" else "1")

    # The end is that of a run on one machine.
    assert results(folder) == results(finished)
