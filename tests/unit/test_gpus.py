"""Each job has a GPU of its own; more on one only where that is wanted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from avca_pipeline import gpus
from avca_pipeline.errors import PipelineError

TWO = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-2)
"""
CUT_UP = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd-4)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
"""
HOLD = """
import sys
from pathlib import Path
from avca_pipeline import gpus
print(gpus.take(sys.argv[3:], int(sys.argv[2]), Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("listing", "chosen", "expected"),
    [
        (TWO, None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        (TWO, "", []),
        (TWO, "1", ["GPU-bbbb-2"]),
        (TWO, "1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        (TWO, "GPU-bbbb", ["GPU-bbbb-2"]),
        (TWO, "0,7,1", ["GPU-aaaa-1"]),
        (TWO, "-1", []),
        (CUT_UP, None, ["MIG-cccc-3", "MIG-dddd-4", "GPU-bbbb-2"]),
        (CUT_UP, "MIG-dddd-4", ["MIG-dddd-4"]),
        (CUT_UP, "0,1", ["MIG-cccc-3", "GPU-bbbb-2"]),
        ("No devices found.\n", None, []),
    ],
)
def test_what_is_visible(
    listing: str,
    chosen: str | None,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert gpus.visible({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}) == expected


def test_without_a_driver_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible({}) == []


def holder(folder: Path, jobs_per_gpu: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(jobs_per_gpu), "GPU-a", "GPU-b"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_places_are_shared_out_and_freed_by_any_end(tmp_path: Path, jobs_per_gpu: int) -> None:
    jobs = [holder(tmp_path / "locks", jobs_per_gpu) for _ in range(2 * jobs_per_gpu)]
    got = [job.stdout.readline().strip() for job in jobs]
    assert Counter(got) == {"GPU-a": jobs_per_gpu, "GPU-b": jobs_per_gpu}
    late = holder(tmp_path / "locks", jobs_per_gpu)
    assert "waiting for a free place" in late.stderr.readline()
    os.kill(jobs[-1].pid, signal.SIGKILL)
    assert late.stdout.readline().strip() == got[-1]
    for job in (*jobs, late):
        job.communicate()


def test_the_least_used_is_taken_first(tmp_path: Path) -> None:
    jobs = [holder(tmp_path / "locks", 2) for _ in range(2)]
    assert {job.stdout.readline().strip() for job in jobs} == {"GPU-a", "GPU-b"}
    for job in jobs:
        job.communicate()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(PipelineError, match="locks: cannot be written"):
        gpus.take(["GPU-a"], folder=tmp_path / "locks")
