"""Which lines of squeue are jobs of ours, whatever folders and jobs are called."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime import slurm
from avca_pipeline.runtime.slurm import orphans

RUN = "avca_0b0f6e9e-3c1d-4a55-9a51-0123456789ab"
OTHER = "avca_ffffffff-3c1d-4a55-9a51-0123456789ab"


@pytest.mark.parametrize(
    "folder", ["/data/run", "/data/my run", "/data/a|b", "/data/two  spaces ", "/d/%j \\n 'x'"]
)
def test_jobs_of_this_folder_alone(folder: str) -> None:
    lines = [
        f"11 {RUN} {folder}",
        f"12 {RUN} {folder}/below",
        f"13 {RUN} {folder.rstrip()[:-1]}",
        f"14 {RUN} /elsewhere{folder}",
        f"15 {OTHER} {folder}",
        f"16 avca_by_hand {folder}",
        f"17 x{RUN} {folder}",
        f"18 {RUN}0 {folder}",
        f"19 {RUN.removeprefix('avca_')} {folder}",
        f"20 a job {RUN} {folder}",
    ]
    assert orphans("\n".join(lines) + "\n", "avca", folder) == ["11", "15"]


def test_an_empty_queue_has_none() -> None:
    assert orphans("", "avca", "/data") == []


def test_a_prefix_is_no_pattern() -> None:
    assert orphans(f"1 {RUN} /data", "a.ca", "/data") == []


class Queue:
    """Stands for Slurm: a job is listed for a while after it was cancelled."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, listed_after: int) -> None:
        self.folder = folder
        self.write(
            "squeue",
            "if [ -e cancelled ]; then echo . >> asked; fi",
            f'[ "$(cat asked 2>/dev/null | wc -l)" -gt {listed_after} ] || '
            f'echo "11 {RUN} /data/run"; echo "12 {RUN} /elsewhere"',
        )
        self.write("scancel", 'echo "$@" >> cancelled')
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(time, "sleep", lambda _: None)

    def write(self, name: str, *lines: str) -> None:
        path = self.folder / name
        path.write_text("\n".join(["#!/bin/sh", f"cd '{self.folder}'", *lines, ""]))
        path.chmod(0o755)

    def read(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def test_cancelling_waits_until_the_jobs_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled job goes on for a moment, in which it could still write."""
    queue = Queue(tmp_path, monkeypatch, listed_after=3)
    slurm.cancel_orphans("avca", "/data/run")
    assert queue.read("cancelled") == ["11"]
    assert len(queue.read("asked")) == 4


def test_a_job_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Queue(tmp_path, monkeypatch, listed_after=10**6)
    monkeypatch.setattr(slurm, "WAIT_S", 0)
    with pytest.raises(PipelineError, match=r"^Slurm job\(s\) 11 of an earlier run in /data/run "):
        slurm.cancel_orphans("avca", "/data/run")


def test_nothing_is_cancelled_where_nothing_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(tmp_path, monkeypatch, listed_after=0)
    slurm.cancel_orphans("avca", "/nobody's")
    assert queue.read("cancelled") == []
