"""``splits/<split>.csv``: which clip is in which of the five partitions.

A clip stands in the table once, so it cannot be in two partitions. What stage 2 trains on is
derived (`TRAINING_PARTITIONS`), never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.artifacts.atomic import write_csv
from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError

TRAIN, VAL_SEEN, VAL_UNSEEN = "train", "val_seen", "val_unseen"
TEST_SEEN, TEST_UNSEEN = "test_seen", "test_unseen"
PARTITIONS = (TRAIN, VAL_SEEN, VAL_UNSEEN, TEST_SEEN, TEST_UNSEEN)

TRAINING_PARTITIONS = {1: (TRAIN,), 2: (TRAIN, VAL_SEEN, VAL_UNSEEN)}
"""What each stage of the protocol trains on."""

COLUMNS = ("clip_id", "class_name", "source_id", "partition")


@dataclass(frozen=True)
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
    ordered = sorted(rows, key=lambda row: row.clip_id)
    write_csv(path, COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in ordered))


def read(path: Path) -> list[SplitClip]:
    """Reads the table.

    Raises:
        FormatError: a clip twice, an unknown partition, or an unseen test class with clips in a
            partition that is trained on.
    """
    rows = [SplitClip(*(row[name] for name in COLUMNS)) for row in read_csv(path, COLUMNS)]
    clip_ids: set[str] = set()
    for row in rows:
        if row.partition not in PARTITIONS:
            raise FormatError(
                f"{path}: clip {row.clip_id!r} is in partition {row.partition!r}; "
                f"there are: {', '.join(PARTITIONS)}"
            )
        if row.clip_id in clip_ids:
            raise FormatError(f"{path}: clip_id {row.clip_id!r} occurs twice")
        clip_ids.add(row.clip_id)
    unseen = {row.class_name for row in rows if row.partition == TEST_UNSEEN}
    for row in rows:
        if row.class_name in unseen and row.partition != TEST_UNSEEN:
            raise FormatError(
                f"{path}: class {row.class_name!r} is unseen but clip {row.clip_id!r} is in "
                f"{row.partition}"
            )
    return rows
