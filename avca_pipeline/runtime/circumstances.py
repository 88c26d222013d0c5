"""When, where, by what and at what cost something was made: for people, and decides nothing."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import avca_pipeline
from avca_pipeline.runtime.addresses import redacted

STARTED_BY = "AVCA_STARTED_BY"
"""Environment variable in which jobs find the command and the config of their run, as JSON."""

TOLD = ("command", "config", "kept_config")


class Stopwatch:
    """Measures a command from the moment it is made."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def read(self) -> dict[str, Any]:
        """Returns what is known about the command so far; what is not known is missing.

        Memory is that of the largest process, in MB.
        """
        usage = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        now = datetime.datetime.now(datetime.UTC)
        known = {
            "at": now.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.started, 2),
            "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in usage), 2),
            "memory_mb": round(max(one.ru_maxrss for one in usage) / 1024),
            "host": platform.node(),
            "cpu": cpu(),
            "gpu": gpu(),
            "version": avca_pipeline.__version__,
            "commit": commit(),
            **started_by(),
        }
        return {key: value for key, value in known.items() if value != ""}


def started_by() -> dict[str, str]:
    """Returns the command and the config of the run that this job belongs to, without secrets."""
    with contextlib.suppress(ValueError, AttributeError):
        told = json.loads(os.environ.get(STARTED_BY, "{}")).items()
        return {key: redacted(str(value)) for key, value in told if key in TOLD}
    return {}


def cpu() -> str:
    """Returns the name of this machine's processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def gpu() -> str:
    """Returns the name of the GPU that this process has used; an empty text if it has used none."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return ""
    return str(torch.cuda.get_device_name())


def commit() -> str:
    """Returns the commit of this program, where it runs from a checkout."""
    top = Path(avca_pipeline.__file__).parents[1]
    if not (top / ".git").exists():
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(top), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, check=True, timeout=5,
        )  # fmt: skip
        return done.stdout.strip()
    return ""
