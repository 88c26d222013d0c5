"""Sources whose numbers are known, and clips of them, for tests of the built split."""

from __future__ import annotations

import hashlib

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import BuiltSplit


def number(seed: int, kind: str, name: str) -> float:
    digest = hashlib.sha256(f"{seed}:{kind}:{name}".encode()).hexdigest()
    return int(digest[:12], 16) / 16**12


def clips_of(sources: dict[str, list[str]], per_source: int = 1) -> list[Clip]:
    """Returns clips of classes by the names of their sources."""
    return [
        Clip(f"{name}/{source}/{index}", source, name, "file.mp4")
        for name, of_class in sources.items()
        for source in of_class
        for index in range(per_source)
    ]


def partitions(built: BuiltSplit) -> dict[str, str]:
    """Returns the partition of each source."""
    found: dict[str, str] = {}
    for row in built.clips:
        assert found.setdefault(row.source_id, row.partition) == row.partition
    return found


def sources_at(*positions: tuple[float, float]) -> list[str]:
    """Returns a source for each range of numbers, found by trying names."""
    found = []
    for low, high in positions:
        tried = (f"source {n}" for n in range(100_000))
        found.append(
            next(s for s in tried if low <= number(0, "source", s) < high and s not in found)
        )
    return found
