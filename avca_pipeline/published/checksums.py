"""SHA-256 of the files that the benchmark's authors publish."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

FILE = "checksums.json"


@cache
def known_checksums() -> dict[str, dict[str, str | None]]:
    """Returns for each benchmark its files and their SHA-256, ``None`` where it is not known."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    checksums: dict[str, dict[str, str | None]] = json.loads(text)
    return checksums
