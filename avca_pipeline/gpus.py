"""Which GPU a job works on: each has its own, unless the config lets several share one.

A job takes a place on a GPU by locking a file in the host's temporary folder. The lock goes with
the process, however that ends, and nothing has to hand out places: jobs of one run, of two runs
and of a batch system that shows every GPU to every job stay out of each other's way alike.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from avca_pipeline import locks
from avca_pipeline.errors import PipelineError
from avca_pipeline.progress import say

LISTED = re.compile(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)")
POLL_S = 1.0
RISK = "several jobs may choose the same GPU"


def visible(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the ids of the GPUs that a process may use, as the driver names them.

    ``CUDA_VISIBLE_DEVICES`` is honoured as CUDA does: numbers or beginnings of ids, up to the
    first that is neither. A GPU that is cut up (MIG) counts as its parts. Without NVIDIA's
    ``nvidia-smi`` there are none.
    """
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    parts: list[list[str]] = []  # of each GPU
    for name in LISTED.findall(listing):
        if name.startswith("GPU-"):
            parts.append([name])
        elif parts:
            whole = parts[-1][0].startswith("GPU-")
            parts[-1] = [name] if whole else [*parts[-1], name]
    everything = [name for gpu in parts for name in gpu]
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return everything
    found: list[str] = []
    for entry in filter(None, map(str.strip, chosen.split(","))):
        if entry.isdecimal():
            names = [gpu[0] for gpu in parts[int(entry) : int(entry) + 1]]
        else:
            names = [name for name in everything if name.startswith(entry)][:1]
        if not names:
            break
        found += names
    return list(dict.fromkeys(found))


def take(names: Sequence[str], jobs_per_gpu: int = 1, folder: Path | None = None) -> str:
    """Returns a GPU with a free place and keeps the place until this process ends.

    The least used one comes first. Waits where there is no place.

    Args:
        names: ids of GPUs.
        jobs_per_gpu: places on each.
        folder: where the locks are, the same for all jobs of this user on this host.

    Raises:
        PipelineError: the folder belongs to someone else or cannot be written to.
    """
    folder = folder or Path(tempfile.gettempdir(), f"avca-gpus-{os.getuid()}")
    has_waited = False
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise PipelineError(f"{folder}: belongs to someone else; remove it or set TMPDIR")
        while True:
            for place in range(jobs_per_gpu):
                for name in names:
                    if locks.hold(folder / f"{name}.{place}", RISK):
                        return name
            if not has_waited:
                say(f"all {len(names)} GPUs are in use by other jobs: waiting for a free place")
                has_waited = True
            time.sleep(POLL_S)
    except OSError as error:
        raise PipelineError(
            f"{folder}: cannot be written ({error.strerror}); set TMPDIR"
        ) from error
