"""Slurm jobs that a killed Snakemake left behind."""

from __future__ import annotations

import logging
import re
import subprocess
import time

from avca_pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

WAIT_S = 120
# The folder comes last: it alone may contain spaces, pipes and whatever else.
FORMAT = "%A %j %Z"
RUN_ID = r"_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def cancel_orphans(prefix: str, folder: str) -> None:
    """Cancels what an earlier run in this folder left in Slurm, and waits until it has ended.

    A resumed run would submit the same jobs again, and two of each would write the same files.
    Only for a caller that knows that no other run is alive in this folder.

    Raises:
        PipelineError: Slurm does not answer, or a job does not end.
    """
    job_ids = orphans(_call("squeue", "--me", "--noheader", f"--format={FORMAT}"), prefix, folder)
    if not job_ids:
        return
    logger.warning(
        f"avca: cancelling {len(job_ids)} Slurm job(s) of an earlier run: {' '.join(job_ids)}"
    )
    _call("scancel", *job_ids)
    deadline = time.monotonic() + WAIT_S
    while left := orphans(
        _call("squeue", "--me", "--noheader", f"--format={FORMAT}"), prefix, folder
    ):
        if time.monotonic() > deadline:
            raise PipelineError(
                f"Slurm job(s) {' '.join(left)} of an earlier run in {folder} were cancelled and "
                f"have not ended within {WAIT_S} s; run again once `squeue --me` lists none of them"
            )
        time.sleep(1)


def orphans(listing: str, prefix: str, folder: str) -> list[str]:
    """Returns the ids of the jobs that runs with this job-name prefix submitted in this folder."""
    name = re.compile(re.escape(prefix) + RUN_ID)
    job_ids = []
    for line in listing.splitlines():
        fields = line.split(" ", 2)
        if len(fields) == 3 and name.fullmatch(fields[1]) and fields[2] == folder:
            job_ids.append(fields[0])
    return job_ids


def _call(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().replace("\n", "; ")
        raise PipelineError(f"{command[0]}: {said}; run again when Slurm answers") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PipelineError(f"{command[0]}: {error}; run again when Slurm answers") from error
    return done.stdout
