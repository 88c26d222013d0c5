"""Jobs on a real Slurm: a retry, a killed controller, its orphans, the same end."""

from __future__ import annotations

import os
import re
import shutil
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

# What is made on Slurm. The rest is there: each job costs two starts of Snakemake more than its
# own time, and where jobs of its kind would go is asked without running them.
RUN = "results/tiny/runs/built/both/hashed/avca/seed0"
MADE = (
    "results/tiny/features", "results/tiny/labels", f"{RUN}/stage2.*", f"{RUN}/scores.json",
    f"{RUN}/embeddings.h5", f"{RUN}/predictions.csv", "results/report.html",
)  # fmt: skip
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


def start(folder: Path, plugins: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    with open(log, "ab") as file:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *COMMAND, *arguments],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path},
        )


def planned_resources(folder: Path, plugins: Path) -> dict[str, dict[str, str]]:
    """Returns what each rule would ask of Slurm, `apply` too, if all were made again."""
    config = tiny(apply={"again": {"dataset": "tiny", "run": RUN}})
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    log = folder / "planned"
    # A plan gives no job more cores than there are, and without a number there is one.
    words = ("--dry-run", "--forceall", "--cores", "64")
    assert start(folder, plugins, log, *words).wait(600) == 0, log.read_text()
    blocks = re.split(r"^(?:rule|checkpoint) (\w+):\n", log.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for name, block in zip(blocks[::2], blocks[1::2], strict=True):
        asked = dict(re.findall(r"^ +(threads|resources): (.*)$", block, re.MULTILINE))
        resources = dict(one.split("=", 1) for one in asked["resources"].split(", "))
        found[name] = {"threads": asked.get("threads", "1"), **resources}
    return found


def rule(job: dict[str, str]) -> str:
    """Returns the rule of a job of the workflow."""
    found = re.match(r"rule_(\w+?)(_wildcards_|$)", job["Comment"])
    assert found
    return found[1]


def check_places(jobs: list[dict[str, str]], planned: dict[str, dict[str, str]]) -> None:
    """Checks where each job went, and where those would go that were made before."""
    for job in jobs:
        on_gpu = rule(job) in GPU_RULES
        assert job["Partition"] == ("gpu" if on_gpu else "cpu")
        assert job.get("TresPerJob") == ("gres:gpu:1" if on_gpu else None)
        assert job["NumCPUs"] == ("8" if rule(job) == "extract" else "1")
    assert {"fetch", "gather", "train_stage1", *GPU_RULES} <= set(planned)
    for name, asked in planned.items():
        assert asked["slurm_partition"] == ("gpu" if name in GPU_RULES else "cpu"), name
        assert asked.get("gpu") == ("1" if name in GPU_RULES else None), name
        assert asked["threads"] == ("8" if name == "extract" else "1"), name


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
    shutil.copytree(finished, folder, symlinks=True)
    for path in [path for pattern in MADE for path in folder.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_profile(folder / "profile")
    with one_node.running(tmp_path / "cluster"):
        theirs = [
            submit(tmp_path / "elsewhere", f"avca_{uuid.uuid4()}"),
            submit(folder, "by_hand"),
        ]
        controller = start(folder, plugins, log)

        def by_state() -> dict[tuple[str, str], list[int]]:
            found: dict[tuple[str, str], list[int]] = {}
            for number, job in one_node.jobs().items():
                if number not in theirs:
                    found.setdefault((rule(job), job["JobState"]), []).append(number)
            return found

        waited_for = {("embed", "COMPLETED"), ("extract", "RUNNING"), ("extract", "PENDING")}
        deadline = time.monotonic() + 600
        while not waited_for <= by_state().keys():
            assert controller.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        controller.send_signal(signal.SIGKILL)
        controller.wait()
        left = by_state()
        orphans = [n for state in ("RUNNING", "PENDING") for n in left.get(("extract", state), [])]
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

    ours = {number: job for number, job in seen.items() if number not in theirs}
    check_places(list(ours.values()), planned_resources(folder, plugins))

    # The end is that of a run on one machine.
    assert results(folder) == results(finished)
