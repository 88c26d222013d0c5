"""What a list of clips says, as a digest that clips can be added to one by one, in any order.

The digest of a list is the sum of the digests of its rows. So the lists of all shards of a dataset
are known after one pass over its clips, none of which is kept.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from avca_pipeline.artifacts.manifest import COLUMNS, shard_names

BLOCK_CLIPS = 256
"""How many clips are looked at together. With more than 500, Python's garbage collector goes
through them again and again, which doubles the time."""
HEADER = ",".join(COLUMNS).encode()

Item = TypeVar("Item")


class ShardDigests:
    """The digests of the lists of all shards, while clips are added to them.

    Args:
        num_shards: how many there are.

    Attributes:
        sums: ``(shards, 2)`` uint64, what the digests of the rows of each shard add up to.
    """

    def __init__(self, num_shards: int) -> None:
        self.sums = np.zeros((num_shards, 2), np.uint64)

    def add(self, clip_ids: Iterable[str], rows: Iterable[Iterable[str]]) -> np.ndarray:
        """Adds clips to the lists of their shards.

        Args:
            clip_ids: one of each clip.
            rows: the cells of each clip, see `manifest.cells`.

        Returns:
            ``(clips,)`` uint64, a digest of each clip's id.
        """
        of_ids = b"".join([hashlib.sha256(name.encode()).digest()[:8] for name in clip_ids])
        numbers = np.frombuffer(of_ids, ">u8").astype(np.uint64)
        # As `manifest.shard_of` has it, for all clips at once.
        shards = (numbers % np.uint64(len(self.sums))).astype(np.intp)
        np.add.at(self.sums, shards, _digests(rows))
        return numbers

    def by_name(self) -> dict[str, str]:
        """Returns the name of each shard with the digest of its list."""
        return dict(zip(shard_names(len(self.sums)), map(_text, self.sums), strict=True))

    def of_all(self) -> str:
        """Returns the digest of the list of all clips."""
        return _text(self.sums.sum(axis=0, dtype=np.uint64))


def is_one(path: Path) -> bool:
    """Returns whether a file is a list of clips."""
    with open(path, "rb") as file:
        return file.read(len(HEADER)) == HEADER


def of_file(path: Path) -> str:
    """Returns the digest of a list that this package has written."""
    total = np.zeros(2, np.uint64)
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        has_reasons = len(next(reader)) > len(COLUMNS)
        rows = (row if has_reasons else [*row, ""] for row in reader)
        for block in blocks(rows):
            total += _digests(block).sum(axis=0, dtype=np.uint64)
    return _text(total)


def blocks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yields items in lists of `BLOCK_CLIPS`; the last one may be shorter."""
    remaining = iter(items)
    while block := list(islice(remaining, BLOCK_CLIPS)):
        yield block


def _digests(rows: Iterable[Iterable[str]]) -> np.ndarray:
    """Returns ``(rows, 2)`` uint64, the digest of each row."""
    # No cell has a NUL in it: see `manifest.storable`.
    texts = map("\0".join, rows)
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)


def _text(numbers: np.ndarray) -> str:
    return numbers.astype("<u8").tobytes().hex()
