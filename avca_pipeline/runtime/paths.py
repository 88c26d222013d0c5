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


def shipped(name: str) -> Path:
    """Returns a file or folder of the repository that a wheel has a copy of.

    Args:
        name: its path in the repository, such as ``workflow/Snakefile``.
    """
    package = Path(__file__).parents[1]
    copy = package / "shipped" / name
    return copy if copy.exists() else package.parent / name
