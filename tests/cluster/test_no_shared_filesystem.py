"""The tiny workflow on machines that share no disk, only a storage that files are sent to.

What Kubernetes does with object storage, `machines.py` does with folders.
"""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline.artifacts import answers, fetched, manifest, predictions
from avca_pipeline.datasets import demo
from tests.cluster import machines
from tests.conftest import REPOSITORY, program
from tests.workflow.driving import results, tiny

# Jobs wait for a machine that is busy with other tests.
pytestmark = pytest.mark.timeout(1800)

RUN = "results/tiny/runs/built/both/hashed/avca/seed0"
# What jobs leave on their own disk, by rule: downloads, the state of an interrupted training, and
# the arguments of the report's command.
SCRATCH = {
    "fetch": r"results/tiny/raw/.*",
    "train_stage1": r"results/tiny/runs/.*/resume/.*",
    "train_stage2": r"results/tiny/runs/.*/resume/.*",
    "report": r"results/logs/report\.arguments",
}


@dataclass(frozen=True)
class Cluster:
    """A finished run, and the means to start another."""

    checkout: Path
    storage: Path
    jobs: Path
    environment: dict[str, str]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        submit = f"{sys.executable} {machines.__file__} submit {self.jobs}"
        return subprocess.run(
            [
                sys.executable, "-m", "snakemake", "--executor", "cluster-generic", "--jobs", "4",
                "--cluster-generic-submit-cmd", submit,
                "--cluster-generic-status-cmd", f"sh {self.jobs.parent / 'status'}",
                "--shared-fs-usage", "none", "--job-deploy-sources",
                "--default-storage-provider", "fs",
                "--default-storage-prefix", str(self.storage),
                "--set-threads", "extract=2", "split=1", "--seconds-between-status-checks", "1",
                *arguments,
            ],
            cwd=self.checkout, env=self.environment, capture_output=True, text=True, check=False,
            timeout=1500,
        )  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A table of clips whose media a server here has."""
    folder = tmp_path_factory.mktemp("media")
    settings = demo.Settings(num_classes=6, sources_per_class=3)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        clips = []
        for clip in demo.clips(settings):
            path = demo.locate(settings, clip, folder)
            clips.append(dataclasses.replace(clip, path_or_url=f"{address}/{path.name}"))
        manifest.write(folder / "clips.csv", clips)
        yield folder / "clips.csv"
        server.shutdown()


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The tiny config for that table, which lies beside the config and nowhere else."""
    return tiny(
        datasets={"tiny": {"plugin": "table", "path": "clips.csv"}},
        apply={"again": {"dataset": "tiny", "run": RUN}},
    )


@pytest.fixture(scope="module")
def cluster(
    config: dict[str, Any],
    table: Path,
    plugins: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Cluster:
    """The same run on machines that share nothing, in a git checkout as Snakemake wants it."""
    for name in ("git", "rsync"):
        program(name)
    folder = tmp_path_factory.mktemp("cluster")
    checkout, jobs, only = folder / "checkout", folder / "jobs", folder / "plugins"
    for part in ("workflow", "envs"):
        shutil.copytree(REPOSITORY / part, checkout / part)
    (checkout / "config.yaml").write_text(yaml.safe_dump(config))
    for command in (["git", "init", "--quiet"], ["git", "add", "."]):
        subprocess.run(command, cwd=checkout, check=True)
    shutil.copy(table, checkout)  # not part of the checkout: jobs do not get it
    jobs.mkdir()
    only.mkdir()
    (folder / "status").write_text(machines.STATUS)
    for path in plugins.iterdir():  # every plugin costs every job two imports
        if not path.name.startswith("snakemake_executor_plugin_slurm"):
            (only / path.name).symlink_to(path)
    paths = [str(only), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    made = Cluster(checkout, folder / "storage", jobs, environment)
    done = made.snakemake()
    logs = "".join(path.read_text() for path in jobs.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    return made


def of_no_shard(folder: Path) -> dict[str, Any]:
    """Returns the results that depend neither on the number of shards nor on where media were."""
    return {
        path: value
        for path, value in results(folder).items()
        if "-of-" not in path and not path.endswith("manifest.csv")
    }


def test_results_are_those_of_one_machine(finished: Path, cluster: Cluster) -> None:
    expected = of_no_shard(finished)
    assert {Path(path).name for path in expected} >= {"frames.h5", "vggish.h5", "scores.json"}
    assert of_no_shard(cluster.storage) == expected
    assert "<table" in (cluster.storage / "results/report.html").read_text()
    answered = answers.read(cluster.storage / "results/tiny/predictions/again.csv")
    of_clip = {answer.clip_id: answer for answer in answered}
    scored = predictions.read(finished / f"{RUN}/predictions.csv").clips
    assert {clip.clip_id: [near.distance for near in clip.top] for clip in scored} == {
        clip.clip_id: [near.distance for near in of_clip[clip.clip_id].ranking] for clip in scored
    }


def without_place(rows: list[fetched.FetchedClip]) -> list[fetched.FetchedClip]:
    placeless = [dataclasses.replace(row, path="") for row in rows]
    return sorted(placeless, key=lambda row: row.clip_id)


def test_media_travel_with_their_table(finished: Path, cluster: Cluster) -> None:
    """Its paths are of a disk that is gone; the archive has every file that was usable, once."""
    shard = "00000-of-00001"
    rows = fetched.read(cluster.storage / f"results/tiny/fetched/{shard}.csv")
    assert not any(Path(row.path).exists() for row in rows if row.path)
    tables = sorted((finished / "results/tiny/fetched").glob("*-of-*.csv"))
    expected = [row for table in tables for row in fetched.read(table)]
    assert without_place(rows) == without_place(expected)
    with tarfile.open(cluster.storage / f"results/tiny/media/{shard}.tar") as archive:
        names = archive.getnames()
    assert sorted(names) == sorted({row.name for row in rows if row.status == fetched.OK})
    assert not (finished / "results/tiny/media").exists()


def test_jobs_saw_only_what_they_declared(cluster: Cluster) -> None:
    sources = {
        str(path.relative_to(cluster.checkout))
        for path in cluster.checkout.rglob("*")
        if path.name != "clips.csv"
    }
    rules = []
    for ended in sorted(cluster.jobs.glob("*.json")):
        script = ended.with_suffix(".sh").read_text()
        job = json.loads(re.findall(r"^# properties = (.*)$", script, re.MULTILINE)[0])
        rules.append(job["rule"])
        declared = job["input"] + job["output"] + job["log"]
        for name in json.loads(ended.read_text())["files"]:
            is_declared = any(name == path or name.startswith(f"{path}/") for path in declared)
            is_housekeeping = name.startswith(".snakemake/") and "/results/" not in name
            is_benchmark = "/results/tiny/benchmarks/" in name or "/results/benchmarks/" in name
            is_scratch = re.fullmatch(SCRATCH.get(job["rule"], "(?!)"), name)
            assert (
                name in sources or is_declared or is_housekeeping or is_benchmark or is_scratch
            ), (job["rule"], name)
    # What reads the user's own files runs where they are.
    assert "manifest" not in rules
    assert set(rules) == {
        "fetch", "extract", "gather", "embed", "split", "audit", "train_stage1", "select",
        "train_stage2", "evaluate", "apply", "report",
    }  # fmt: skip
    assert not (cluster.checkout / "results").exists()


def test_a_second_run_does_nothing(cluster: Cluster) -> None:
    done = cluster.snakemake("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr


def test_kubernetes_profile_fits_the_rules(cluster: Cluster, tmp_path: Path) -> None:
    """All of it but the options of the executor's plugin, which is not among the test's."""
    profile = yaml.safe_load((REPOSITORY / "workflow/profiles/kubernetes/config.yaml").read_text())
    rest = {key: value for key, value in profile.items() if not key.startswith("kubernetes-")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(rest))
    done = cluster.snakemake("--dry-run", "--forceall", "--workflow-profile", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    block = r"^(?:rule|checkpoint|localrule) (\w+):\n(?: .*\n)*? +resources: (.*)$"
    planned = {
        rule: dict(one.split("=", 1) for one in text.split(", "))
        for rule, text in re.findall(block, done.stdout, re.MULTILINE)
    }
    assert {"manifest", "fetch", "extract", "train_stage1", "report"} <= set(planned)
    named = profile["set-resources"]
    assert set(named) | set(profile["set-threads"]) <= set(planned)
    # A pod that asks for a GPU must say whose, and is given none without limits.
    assert {rule for rule, given in planned.items() if "gpu" in given} == {
        rule for rule, given in named.items() if "gpu" in given
    }
    for rule, given in planned.items():
        assert (given["gpu_manufacturer"], given["scale"]) == ("nvidia", "0"), rule
        for name, amount in {**profile["default-resources"], **named.get(rule, {})}.items():
            if name in ("mem_mb", "disk_mb"):
                assert amount == f"attempt * {given[name]}", (rule, name)
