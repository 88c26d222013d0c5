"""``fetched/<shard>.csv``: one row for each clip of a shard, usable or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.atomic import write_csv
from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError

OK, REJECTED = "ok", "rejected"


@dataclass(frozen=True)
class FetchedClip:
    """What became of one clip: its media on this machine, or the reason why there is none."""

    clip_id: str
    status: str
    reason: str = ""
    path: str = ""
    duration_s: float | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    has_video: bool = False
    has_audio: bool = False
    sample_rate_hz: int | None = None
    sha256: str = ""

    @property
    def name(self) -> str:
        """What its media is called in an archive, on whatever machine that is unpacked."""
        return self.sha256 + Path(self.path).suffix


COLUMNS = tuple(field.name for field in fields(FetchedClip))


def write(path: Path, rows: Iterable[FetchedClip]) -> None:
    """Writes the table, one row for each clip in the order given."""
    write_csv(path, COLUMNS, ([_cell(getattr(row, name)) for name in COLUMNS] for row in rows))


def read(path: Path) -> list[FetchedClip]:
    """Reads the table.

    Raises:
        FormatError: a column is missing or a status is unknown.
    """
    rows = []
    for row in read_csv(path, COLUMNS):
        if row["status"] not in (OK, REJECTED):
            raise FormatError(
                f"{path}: clip {row['clip_id']!r} has status {row['status']!r}; "
                "delete the file and run again to rebuild it"
            )
        rows.append(
            FetchedClip(
                clip_id=row["clip_id"],
                status=row["status"],
                reason=row["reason"],
                path=row["path"],
                duration_s=float(row["duration_s"]) if row["duration_s"] else None,
                fps=float(row["fps"]) if row["fps"] else None,
                width=int(row["width"]) if row["width"] else None,
                height=int(row["height"]) if row["height"] else None,
                has_video=row["has_video"] == "true",
                has_audio=row["has_audio"] == "true",
                sample_rate_hz=int(row["sample_rate_hz"]) if row["sample_rate_hz"] else None,
                sha256=row["sha256"],
            )
        )
    return rows


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
