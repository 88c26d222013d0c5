"""The processes of a running workflow, as the system lists them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process that lives.

    Attributes:
        pid: its number.
        parent: number of its parent.
        group: number of its process group.
        arguments: its command line.
    """

    pid: int
    parent: int
    group: int
    arguments: list[str]

    def runs(self, stage: str) -> bool:
        """Says whether it runs a stage; the workers of one do so too."""
        pairs = itertools.pairwise(self.arguments)
        return any(command.endswith("/avca") and name == stage for command, name in pairs)


def in_group(group: int) -> list[Process]:
    """Returns the living processes of a process group."""
    # Not from `ps`, which cuts its lines where the environment says how wide a terminal is.
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            state, parent, its_group = fields[:3]
            if int(its_group) != group or state in "ZX":
                continue
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
            continue
        found.append(Process(int(folder.name), int(parent), group, arguments))
    return found


def stages_in(group: int, name: str) -> list[int]:
    """Returns the processes of a process group that run a stage, itself and not its workers."""
    return _running(name, in_group(group))


def stages_at_work(group: int, names: Iterable[str]) -> list[str]:
    """Returns which of these stages a process group runs; it is looked at once for all of them."""
    members = in_group(group)
    return [name for name in names if _running(name, members)]


def _running(name: str, members: Iterable[Process]) -> list[int]:
    parents = {each.pid: each.parent for each in members if each.runs(name)}
    return [pid for pid, parent in parents.items() if parent not in parents]
