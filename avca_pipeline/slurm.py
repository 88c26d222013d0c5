"""Slurm jobs that an earlier run left behind.

When the Snakemake that submitted them is killed, Slurm jobs go on, and the next run would submit
them once more. They are found by their name, which is the run's own: Snakemake's log has it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

from avca_pipeline.errors import PipelineError
from avca_pipeline.progress import say

RUN_ID = re.compile(r"SLURM run ID: (\S+)")
PATIENCE_S = 120.0


def cancel_orphans(logs: Path) -> None:
    """Cancels the Slurm jobs of earlier runs of this folder, and waits until they are gone.

    To be called when no run is alive in this folder.

    Args:
        logs: where Snakemake keeps its logs.

    Raises:
        PipelineError: some of them do not end.
    """
    if shutil.which("squeue") is None:
        return
    names = {
        name
        for log in logs.glob("*.snakemake.log")
        for name in RUN_ID.findall(log.read_text(encoding="utf-8", errors="replace"))
    }
    left = _queued(names)
    if not left:
        return
    say(f"{len(left)} Slurm jobs of an earlier run are still there: cancelling them")
    subprocess.run(["scancel", *left], check=False)
    deadline = time.monotonic() + PATIENCE_S
    while left := _queued(names):
        if time.monotonic() > deadline:
            raise PipelineError(
                f"Slurm jobs {' '.join(left)} of an earlier run do not end; "
                "run again when squeue no longer lists them"
            )
        time.sleep(1.0)


def _queued(names: set[str]) -> list[str]:
    """Returns the ids of the jobs of these names; none where no Slurm answers."""
    if not names:
        return []
    listed = subprocess.run(
        ["squeue", "--noheader", "--format=%i", f"--name={','.join(sorted(names))}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout.split()
