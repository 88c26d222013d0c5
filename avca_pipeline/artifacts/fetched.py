"""``fetched/<shard>.csv``: one row for each clip of a shard, usable or not."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from avca_pipeline.artifacts.atomic import file_sha256, write_csv
from avca_pipeline.artifacts.text_files import stream_csv
from avca_pipeline.errors import FormatError, PipelineError

OK, REJECTED = "ok", "rejected"
PASSING = ("download failed", "cannot be read")
"""Beginnings of the reasons that may no longer hold at the next run."""
TRIES_SUFFIX = ".tries"
"""Suffix of the file beside a table that counts the runs in which clips were rejected for such a
reason."""


@dataclass(frozen=True, slots=True)
class FetchedClip:
    """What became of one clip: its media on this machine, or the reason why there is none.

    ``path``, ``sha256``, ``size`` and ``modified_ns`` describe the file that was examined, even if
    the clip is rejected. Rows that differ in the date alone are equal.
    """

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
    size: int | None = None
    modified_ns: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Name of its media in an archive, the same on every machine that unpacks the archive."""
        return self.sha256 + PurePosixPath(self.path).suffix[:10]


COLUMNS = tuple(column.name for column in fields(FetchedClip))


def write(path: Path, rows: Iterable[FetchedClip]) -> None:
    """Writes the table, one row for each clip in the order given."""
    write_csv(path, COLUMNS, ([_cell(getattr(row, name)) for name in COLUMNS] for row in rows))


def tries(path: Path, of_clips: str = "") -> int:
    """Returns the number of runs that a file counts; 0 if it is about another list of clips."""
    try:
        count, _, counted_for = path.read_text(encoding="utf-8").strip().partition(" ")
        return int(count) if of_clips in ("", counted_for) else 0
    except (OSError, ValueError):
        return 0


def read(path: Path) -> list[FetchedClip]:
    """Reads the table.

    Raises:
        FormatError: as `stream`.
    """
    return list(stream(path))


def stream(path: Path) -> Iterator[FetchedClip]:
    """Yields the rows of the table one by one.

    Raises:
        FormatError: a column is missing or a status is unknown.
    """
    for row in stream_csv(path, COLUMNS):
        if row["status"] not in (OK, REJECTED):
            raise FormatError(
                f"{path}: clip {row['clip_id']!r} has status {row['status']!r}; "
                "delete the file and run again to rebuild it"
            )
        yield FetchedClip(
            clip_id=row["clip_id"],
            status=row["status"],
            reason=row["reason"],
            path=row["path"],
            duration_s=_number(path, row, "duration_s", float),
            fps=_number(path, row, "fps", float),
            width=_number(path, row, "width", int),
            height=_number(path, row, "height", int),
            has_video=row["has_video"] == "true",
            has_audio=row["has_audio"] == "true",
            sample_rate_hz=_number(path, row, "sample_rate_hz", int),
            sha256=row["sha256"],
            size=_number(path, row, "size", int),
            modified_ns=_number(path, row, "modified_ns", int),
        )


def _number(path: Path, row: Mapping[str, str], name: str, kind: Callable[[str], Any]) -> Any:
    """Returns a cell as a number; ``None`` for an empty one."""
    try:
        return kind(row[name]) if row[name] else None
    except ValueError as error:
        raise FormatError(
            f"{path}: clip {row['clip_id']!r}: {name} is {row[name]!r}, which is no number; "
            "delete the file and run again to rebuild it"
        ) from error


def away(rows: Sequence[FetchedClip]) -> dict[str, str]:
    """Returns the clips whose file is not there now, each with the path of its file.

    Raises:
        PipelineError: not one of the files is there, or one has another content than when it was
            fetched.
    """
    path_of_clip = {}
    for row in rows:
        try:
            is_same = is_unchanged(row)
        except OSError as error:
            path_of_clip[row.clip_id] = row.path
            if len(path_of_clip) == len(rows):
                raise PipelineError(
                    f"{row.path}: this file was there when it was fetched, and cannot be read now "
                    f"({error.strerror}), nor can any other of its shard; mount the disk, and run "
                    "the same command again"
                ) from error
            continue
        if not is_same:
            raise PipelineError(
                f"{row.path}: this file has another content than when it was fetched; run the "
                "same command again, which takes the new file in"
            )
    return path_of_clip


def is_unchanged(row: FetchedClip, digest: Callable[[Path], str] = file_sha256) -> bool:
    """Returns whether a file still has the size and date of its row, or else the SHA-256.

    Args:
        row: of the clip.
        digest: returns the SHA-256 of a file.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    status = Path(row.path).stat()
    if (row.size, row.modified_ns) == (status.st_size, status.st_mtime_ns):
        return True
    return row.size == status.st_size and row.sha256 == digest(Path(row.path))


def is_one(path: Path) -> bool:
    """Returns whether a CSV has the header of a table of fetched clips."""
    with open(path, "rb") as file:
        return file.readline(1024).strip() == ",".join(COLUMNS).encode()


def without_dates(path: Path) -> str:
    """Returns what a table says but for the dates of the media, which change with each copy."""
    with open(path, newline="", encoding="utf-8") as file:
        return "\n".join(",".join(row[:-1]) for row in csv.reader(file))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
