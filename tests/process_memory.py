"""How much memory a running process uses, as Linux says."""

from __future__ import annotations

from pathlib import Path


def peak_mib(pid: int) -> float:
    """Returns the most memory that a running process has used."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def own_mib(pid: int) -> float:
    """Returns the memory that a running process shares with no other; workers keep theirs."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Private_"))
