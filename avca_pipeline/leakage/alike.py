"""Finds features that are alike among more than fit into memory: blocks of them at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from avca_pipeline.artifacts.split import PARTITIONS
from avca_pipeline.leakage.checks import TRAINED_BEFORE
from avca_pipeline.leakage.feature_digests import release, rows_of
from avca_pipeline.leakage.split_columns import columns_of

SEARCH_DIM = 8
NUM_NEIGHBOURS = 16
BLOCK_CLIPS = 16_384
"""How many clips are read together."""
QUERY_CLIPS = 2048
"""How many clips are compared together, each with up to 16 others from anywhere on the disk."""


class Directions:
    """Unit vectors from the mean of some fingerprints, or zero for what is the mean itself.

    Args:
        table: ``(all clips, 64)``, fingerprints, which may lie on the disk.
        rows: ``(clips,)`` int32, which of them, at least one.
    """

    def __init__(self, table: np.ndarray, rows: np.ndarray) -> None:
        self._table, self._rows = table, rows
        total = np.zeros((1, table.shape[1]))
        for block in self._blocks():
            # One row after the other, as if all rows were summed up at once.
            total = np.add.reduce(np.concatenate([total, block]), axis=0, keepdims=True)
        self._mean = total[0] / len(rows)
        self._floor = 0.0
        longest = max(float(self._length(block - self._mean).max()) for block in self._blocks())
        self._floor = 1e-6 * max(longest, 1e-30)

    def write_short(self, numbers: np.ndarray, out: np.ndarray) -> None:
        """Writes the first coordinates of some clips' directions into ``out``, ``(clips, 8)``."""
        for begin in range(0, len(numbers), BLOCK_CLIPS):
            block = rows_of(self._table, self._rows[numbers[begin : begin + BLOCK_CLIPS]])
            out[begin : begin + len(block)] = self._of(block)[:, :SEARCH_DIM]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Returns ``(some clips, 64)`` float32, the directions of some of the clips."""
        return self._of(self._table[self._rows[numbers]].astype(np.float64))

    def release(self) -> None:
        """Gives back the memory that `of` has read a table on the disk into."""
        release(self._table)

    def _blocks(self) -> Iterator[np.ndarray]:
        for begin in range(0, len(self._rows), BLOCK_CLIPS):
            yield rows_of(self._table, self._rows[begin : begin + BLOCK_CLIPS])

    def _of(self, block: np.ndarray) -> np.ndarray:
        from_mean = block - self._mean
        length = self._length(from_mean)
        unit = np.where(length > self._floor, from_mean / np.maximum(length, self._floor), 0.0)
        return unit.astype(np.float32)

    def _length(self, from_mean: np.ndarray) -> np.ndarray:
        length: np.ndarray = np.linalg.norm(from_mean, axis=1, keepdims=True)
        return length


def alike(
    tables: Sequence[Directions], source: np.ndarray, partition: np.ndarray, cosine: float
) -> dict[str, np.ndarray]:
    """Returns the evaluated clips that are like a clip of another source that was trained on.

    Args:
        tables: directions of the clips, one for each backbone.
        source: ``(clips,)``, number of each clip's source.
        partition: ``(clips,)``, index of its partition in `PARTITIONS`.
        cosine: from which on directions are alike; they must be so in all tables.

    Returns:
        Evaluated partition to ``(found, 2)``: a clip, and the nearest of those that it is like.
    """
    from scipy.spatial import cKDTree

    # Directions of a cosine of at least c are no farther apart than sqrt(2 - 2 c), in any of
    # their coordinates too: few of those find the candidates.
    reach = float(np.sqrt(len(tables) * (2 - 2 * cosine))) + 1e-6
    found = {}
    for before in dict.fromkeys(TRAINED_BEFORE.values()):
        trained = np.flatnonzero(np.isin(partition, columns_of(before))).astype(np.int32)
        # Of float64, the tree takes the coordinates as they are, without a copy of its own.
        tree: Any = cKDTree(_short(tables, trained)) if len(trained) else None
        for name in (name for name, others in TRAINED_BEFORE.items() if others == before):
            pairs = [np.zeros((0, 2), np.int64)]
            evaluated = np.flatnonzero(partition == PARTITIONS.index(name))
            for begin in range(0, len(evaluated) if len(trained) else 0, QUERY_CLIPS):
                block = evaluated[begin : begin + QUERY_CLIPS]
                near = tree.query(
                    _short(tables, block), k=NUM_NEIGHBOURS, distance_upper_bound=reach
                )[1]
                pairs.append(_alike_of(block, near, trained, tables, source, cosine))
            found[name] = np.concatenate(pairs)
    return {name: found[name] for name in TRAINED_BEFORE}


def _short(tables: Sequence[Directions], numbers: np.ndarray) -> np.ndarray:
    """Returns ``(some clips, 8 x tables)`` float64, what is searched for clips that are alike."""
    short = np.empty((len(numbers), SEARCH_DIM * len(tables)))
    for position, table in enumerate(tables):
        table.write_short(numbers, short[:, SEARCH_DIM * position : SEARCH_DIM * (position + 1)])
    return short


def _alike_of(
    block: np.ndarray,
    near: np.ndarray,
    trained: np.ndarray,
    tables: Sequence[Directions],
    source: np.ndarray,
    cosine: float,
) -> np.ndarray:
    """Returns ``(found, 2)``, the clips of a block that are alike among those that are near.

    Args:
        block: ``(clips,)``, the evaluated clips.
        near: ``(clips, 16)``, rows in ``trained`` by distance; its length where there is none.
        trained: the clips that were trained on.
        tables: directions of the clips.
        source: of all clips.
        cosine: from which on directions are alike.
    """
    pairs = []
    for number in np.flatnonzero((near < len(trained)).any(axis=1)):
        row = block[number]
        others = trained[near[number][near[number] < len(trained)]]
        others = others[source[others] != source[row]]
        for table in tables:
            if len(others):
                directions = table.of(np.append(others, row))
                others = others[directions[:-1] @ directions[-1] >= cosine]
        if len(others):
            pairs.append((row, others[0]))
    for table in tables:
        table.release()
    return np.array(pairs, np.int64).reshape(-1, 2)


def num_like_the_middle(table: np.ndarray, rounding: float, enough: float) -> int:
    """Returns how many fingerprints are their median; if most are equal, the median is those.

    Args:
        table: ``(clips, 64)``, at least one, which may lie on the disk.
        rounding: share of the median's largest number by which numbers may differ from it.
        enough: so many clips matter; what is returned may be too high if it is not above that.
    """
    num_clips, dim = table.shape
    blocks = [slice(begin, begin + BLOCK_CLIPS) for begin in range(0, num_clips, BLOCK_CLIPS)]
    largest = max(float(np.abs(rows_of(table, rows)).max()) for rows in blocks)
    first = _columns(table, blocks, slice(0, 1))[:, 0]
    # The median is within these bounds, and reading one column tells for most tables.
    at_most = int((np.abs(first - np.median(first)) <= rounding * largest).sum())
    if at_most <= enough:
        return at_most
    middle = np.concatenate(
        [np.median(_columns(table, blocks, slice(n, n + 1)), axis=0) for n in range(dim)]
    )
    limit = rounding * np.abs(middle).max()
    return sum(
        int((np.abs(rows_of(table, rows) - middle).max(axis=1) <= limit).sum()) for rows in blocks
    )


def _columns(table: np.ndarray, blocks: Sequence[slice], columns: slice) -> np.ndarray:
    """Returns ``(clips, columns)`` float64, some columns of a table."""
    found = []
    for rows in blocks:
        found.append(np.array(table[rows, columns], np.float64))
        release(table)
    return np.concatenate(found)
