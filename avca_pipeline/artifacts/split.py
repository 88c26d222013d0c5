"""``splits/<split>.csv``: which clip is in which of the five partitions.

A clip stands in the table once, so it cannot be in two partitions. What stage 2 trains on is
derived (`TRAINING_PARTITIONS`), never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.artifacts.atomic import write_csv
from avca_pipeline.artifacts.stored_rows import in_id_order, stored_if_in_order
from avca_pipeline.artifacts.text_files import stream_csv
from avca_pipeline.errors import FormatError

TRAIN, VAL_SEEN, VAL_UNSEEN = "train", "val_seen", "val_unseen"
TEST_SEEN, TEST_UNSEEN = "test_seen", "test_unseen"
PARTITIONS = (TRAIN, VAL_SEEN, VAL_UNSEEN, TEST_SEEN, TEST_UNSEEN)

TRAINING_PARTITIONS = {1: (TRAIN,), 2: (TRAIN, VAL_SEEN, VAL_UNSEEN)}
"""What each stage of the protocol trains on."""

COLUMNS = ("clip_id", "class_name", "source_id", "partition")


@dataclass(frozen=True, slots=True)
class SplitClip:
    """One row of the table."""

    clip_id: str
    class_name: str
    source_id: str
    partition: str


@dataclass(frozen=True)
class BuiltSplit:
    """A split, and what could not be part of it.

    Attributes:
        clips: every clip of a partition, sorted by id.
        excluded: clip id to reason, for clips of the manifest that are in no partition.
        listed_but_missing: clips that the split's lists name and the manifest does not have.
    """

    clips: Sequence[SplitClip]
    excluded: Mapping[str, str]
    listed_but_missing: Sequence[str] = ()


def write(path: Path, rows: Iterable[SplitClip]) -> None:
    """Writes the table in the order of the clip ids."""
    ordered = in_id_order(rows if isinstance(rows, Sequence) else list(rows))
    write_csv(
        path,
        COLUMNS,
        ((row.clip_id, row.class_name, row.source_id, row.partition) for row in ordered),
    )


def read(path: Path) -> list[SplitClip]:
    """Reads the table.

    Raises:
        FormatError: as `stream`, or a clip stands in the table twice.
    """
    rows = list(stream(path))
    clip_ids: set[str] = set()
    for row in rows:
        if row.clip_id in clip_ids:
            raise FormatError(f"{path}: clip_id {row.clip_id!r} occurs twice")
        clip_ids.add(row.clip_id)
    return rows


def opened(path: Path) -> Sequence[SplitClip]:
    """Checks the table as `read` does; its rows stay in the file.

    Only a table that is not in the order of its ids, so none of ours, is read into memory.
    """
    return stored_if_in_order(stream(path), lambda: _rows(path), lambda: read(path))


def stream(path: Path) -> Iterator[SplitClip]:
    """Yields the rows of the table one by one; whether a clip occurs twice is not checked.

    Raises:
        FormatError: an unknown partition, or an unseen test class with clips in a partition that
            is trained on; the latter when the last row has been read.
    """
    unseen: set[str] = set()
    first_elsewhere: dict[str, SplitClip] = {}
    for row in _rows(path):
        if row.partition not in PARTITIONS:
            raise FormatError(
                f"{path}: clip {row.clip_id!r} is in partition {row.partition!r}; "
                f"there are: {', '.join(PARTITIONS)}"
            )
        if row.partition == TEST_UNSEEN:
            unseen.add(row.class_name)
        else:
            first_elsewhere.setdefault(row.class_name, row)
        yield row
    for class_name, row in first_elsewhere.items():
        if class_name in unseen:
            raise FormatError(
                f"{path}: class {class_name!r} is unseen but clip {row.clip_id!r} is in "
                f"{row.partition}"
            )


def _rows(path: Path) -> Iterator[SplitClip]:
    for row in stream_csv(path, COLUMNS):
        yield SplitClip(row["clip_id"], row["class_name"], row["source_id"], row["partition"])
