"""Features of clips that stay in their file: rows of it are read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.errors import FormatError

BLOCK_ROWS = 4096


def _unchanged(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True)
class StoredFeatures:
    """Some rows of a table of float32 in a file, read by the system's plain calls.

    Pages of a mapped file would count as memory of this process; what is read here does not.

    Attributes:
        path: of the file.
        start: of the table in it, in bytes.
        dim: numbers of a row.
        rows: ``(clips,)``, which rows of the table these are.
        scale: what is done to ``(rows, dim)`` after reading; works on each row by itself.
    """

    path: Path
    start: int
    dim: int
    rows: np.ndarray
    scale: Callable[[np.ndarray], np.ndarray] = _unchanged

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of numbers of a row."""
        return len(self.rows), self.dim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, numbers: np.ndarray) -> StoredFeatures:
        """Returns the rows with these numbers, not read yet."""
        return replace(self, rows=self.rows[numbers])

    def scaled(self, scale: Callable[[np.ndarray], np.ndarray]) -> StoredFeatures:
        """Returns the same rows, not read yet, of which a function is made."""
        return replace(self, scale=scale)

    def read(self) -> np.ndarray:
        """Reads all rows, ``(clips, dim)`` float32.

        Raises:
            FormatError: the file cannot be read.
        """
        values = np.empty(self.shape, "<f4")
        if values.size:
            try:
                self._read_into(values)
            except OSError as error:
                raise FormatError(f"{self.path}: cannot be read ({error.strerror})") from error
        return self.scale(values)

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[np.ndarray]:
        """Reads so many rows at a time."""
        for first in range(0, len(self.rows), size):
            yield self[np.arange(first, min(first + size, len(self.rows)))].read()

    def _read_into(self, values: np.ndarray) -> None:
        """Reads rows that follow each other in the file together."""
        ends = [*np.flatnonzero(np.diff(self.rows) != 1) + 1, len(self.rows)]
        descriptor, first = os.open(self.path, os.O_RDONLY), 0
        try:
            for end in ends:
                wanted = values[first:end].data.cast("B")
                place = self.start + int(self.rows[first]) * self.dim * values.itemsize
                while wanted:
                    number = os.preadv(descriptor, [wanted], place)
                    if not number:
                        raise FormatError(f"{self.path}: ends too early; run again to rebuild it")
                    wanted, place = wanted[number:], place + number
                first = end
        finally:
            os.close(descriptor)


def of_dataset(path: Path, dataset: Any) -> StoredFeatures | None:
    """Returns a table of an HDF5 file, or nothing if it does not stand there row after row.

    Args:
        path: of the file.
        dataset: of HDF5.
    """
    start = dataset.id.get_offset()
    if dataset.ndim != 2 or dataset.dtype != np.dtype("<f4") or start is None:
        return None
    return StoredFeatures(path, start, dataset.shape[1], np.arange(len(dataset)))


def moments(features: StoredFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the standard deviation of each column, ``(dim,)`` float64 each.

    NumPy adds the rows of a table up in their order, and so does this: to the same bits.
    """
    mean = _sum(features, lambda block: block) / len(features)
    squares = _sum(features, lambda block: np.square(block - mean))
    return mean, np.sqrt(squares / len(features))


def _sum(features: StoredFeatures, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    total = np.zeros((0, features.dim))
    for block in features.blocks():
        values = np.concatenate([total, of(block.astype(np.float64))])
        total = np.add.reduce(values, axis=0, keepdims=True)
    sums: np.ndarray = total[0]
    return sums
