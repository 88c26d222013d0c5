"""How much memory a job may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

GROUPS = Path("/proc/self/cgroup")
LIMITS = Path("/sys/fs/cgroup")


def bytes_of_this_job(groups: Path = GROUPS, limits: Path = LIMITS) -> int:
    """Returns the memory of the machine, or less where a container or a cluster allows less.

    Args:
        groups: file that names the control groups of this process.
        limits: folder that their limits are in.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError):
        for line in groups.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            _, controllers, name = line.split(":", 2)
            is_v1 = "memory" in controllers.split(",")
            if controllers and not is_v1:
                continue
            top = limits / "memory" if is_v1 else limits
            own = top / name.lstrip("/")
            file = "memory.limit_in_bytes" if is_v1 else "memory.max"
            # Each group limits those below it; in a container the own one is seen as the top.
            for folder in (own, *own.parents):
                if folder == top or top in folder.parents:
                    with contextlib.suppress(OSError, ValueError):  # it may say "max"
                        found.append(int((folder / file).read_text()))
    return min(found)
