"""Killed, full or damaged: it is said, and the same command ends in the same results."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.driving import command, planned, results, snakemake, tiny
from tests.workflow.processes import stages_in

SHARD = "tiny/features/vggish/00001-of-00002.h5"


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts Snakemake in a process group of its own."""
    return subprocess.Popen(
        command(folder, *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], Any], running: subprocess.Popen[bytes]) -> Any:
    """Waits until ``condition`` holds while Snakemake runs, and returns what it returned."""
    deadline = time.monotonic() + 300
    while not (value := condition()):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def has_torch(pid: int) -> bool:
    """Says whether a stage has come so far that it has loaded torch."""
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
        return False


def write(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def end(running: subprocess.Popen[bytes]) -> None:
    """Ends Snakemake and everything it started."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def finishes_as(folder: Path, finished: Path, *arguments: str) -> None:
    """Runs the same command again: it ends, with the same results, and has nothing left to do."""
    again = snakemake(folder, None, *arguments)
    assert again.returncode == 0, again.stdout + again.stderr
    assert results(folder) == results(finished)
    assert planned(folder, None, *arguments) == {}


@pytest.mark.parametrize("stage", ["extract", "train"])
def test_everything_killed(finished: Path, folder: Path, stage: str) -> None:
    """`kill -9` of Snakemake and all its children in the middle of a stage."""
    for part in ("features", "audits", "runs") if stage == "extract" else ("runs",):
        shutil.rmtree(folder / "results/tiny" / part)
    (folder / "results/report.html").unlink()
    running = start(folder)
    wait_for(lambda: any(map(has_torch, stages_in(running.pid, stage))), running)
    end(running)
    assert not (folder / "results/report.html").exists()
    finishes_as(folder, finished)


def test_a_stage_killed(finished: Path, folder: Path) -> None:
    """`kill -9` of one job: Snakemake says so and ends, and nothing of the job is left."""
    shard = folder / "results" / SHARD
    shard.unlink()
    running = start(folder, "features")
    (job,) = wait_for(lambda: stages_in(running.pid, "extract"), running)
    os.kill(job, signal.SIGKILL)
    assert running.wait() == 1
    assert sorted(path.name for path in shard.parent.iterdir()) == ["00000-of-00002.h5"]
    finishes_as(folder, finished, "features")


def test_snakemake_killed_alone(finished: Path, folder: Path) -> None:
    """Its job goes on while the next run does the same job: both write whole files."""
    shard = folder / "results" / SHARD
    shard.unlink()
    running = start(folder, "features")
    (job,) = wait_for(lambda: stages_in(running.pid, "extract"), running)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert Path(f"/proc/{job}").exists()
    finishes_as(folder, finished, "features")


def test_two_runs_in_one_folder(folder: Path) -> None:
    """The second one is refused by a lock that no process of ours outlives."""
    config = tiny()
    config["models"]["avca"] |= {"epochs": 400}
    write(folder, config)
    first = start(folder)
    wait_for(lambda: stages_in(first.pid, "train"), first)
    second = snakemake(folder, None, "--forceall")
    assert first.poll() is None
    end(first)
    assert second.returncode == 1
    last = second.stderr.splitlines()[-1]
    assert last.startswith("avca: error: results: results: another run is at work there")


def test_two_runs_on_the_same_results(folder: Path, tmp_path: Path) -> None:
    """The second one, started elsewhere, says where the first one works."""
    config = tiny()
    config["models"]["avca"] |= {"epochs": 400}
    write(folder, config)
    first = start(folder)
    wait_for(lambda: stages_in(first.pid, "train"), first)
    second = snakemake(tmp_path / "elsewhere", tiny(results=str(folder / "results")), "--forceall")
    assert first.poll() is None
    end(first)
    assert second.returncode == 1
    assert "avca: error: results:" in second.stderr
    assert "another run is at work there" in second.stderr
    assert "Traceback" not in second.stderr


def mount(folder: Path, options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be made here: {done.stderr.strip()}")


@pytest.fixture
def disk(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder whose results, but one shard and all of its backbone, are on a disk of 20 MB.

    A file that is there and would have to be made anew Snakemake finds write-protected by itself.
    """
    folder = tmp_path / "run"
    no_results = shutil.ignore_patterns("results")
    shutil.copytree(finished, folder, symlinks=True, ignore=no_results)
    (folder / "results").mkdir()
    mount(folder / "results", "size=20m")
    shutil.copytree(finished / "results", folder / "results", symlinks=True, dirs_exist_ok=True)
    shard = folder / "results" / SHARD
    shard.unlink()
    shard.parent.with_suffix(".h5").unlink()
    yield folder
    subprocess.run(["umount", "--lazy", str(folder / "results")], check=True)


def test_a_full_disk(finished: Path, disk: Path) -> None:
    filler = disk / "results" / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(20 << 20))
    full = snakemake(disk, None, "features")
    assert full.returncode == 1
    assert re.search(r"^avca(?: extract)?: error: .*No space left on device", full.stderr, re.M)
    assert "Traceback" not in full.stderr
    shards = (disk / "results" / SHARD).parent
    assert sorted(path.name for path in shards.iterdir()) == ["00000-of-00002.h5"]
    filler.unlink()
    finishes_as(disk, finished, "features")


def test_results_that_cannot_be_written(disk: Path) -> None:
    mount(disk / "results", "remount,ro")
    done = snakemake(disk, None, "features")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("avca: error: results: results: cannot be written (Read-only")
    assert "Traceback" not in done.stderr


def test_a_shard_damaged_on_disk(finished: Path, folder: Path) -> None:
    """Found when it is read, named, and made anew once it is deleted and asked for."""
    shard = folder / "results" / SHARD
    content = bytearray(shard.read_bytes())
    times = shard.stat()
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    config = tiny()
    config["experiment"]["seeds"] = [0, 1]
    done = snakemake(folder, config)
    assert done.returncode == 1
    assert f"{shard.relative_to(folder)}: damaged" in done.stderr
    assert "delete the file and run again" in done.stderr
    shard.unlink()
    done = snakemake(folder, None, "all", "features")
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(folder)[SHARD] == results(finished)[SHARD]
