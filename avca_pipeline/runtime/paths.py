"""Paths as users write them."""

from __future__ import annotations

import contextlib
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Returns a path with a home folder for its ``~``; it stays as it is where nobody has one.

    A shell leaves ``~nobody`` alone, too.
    """
    with contextlib.suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def is_there(path: Path) -> bool:
    """Returns whether something has this path; false, too, where nobody may look."""
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False
