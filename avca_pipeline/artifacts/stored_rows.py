"""Rows of a table that stay in their file: each loop reads them anew, and none is kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, overload


class WithId(Protocol):
    """A row of a table of clips."""

    @property
    def clip_id(self) -> str:
        """The id of its clip."""


RowT = TypeVar("RowT", bound=WithId)


class StoredRows(Sequence[RowT]):
    """Rows in the order of their clip ids, as many as one likes in no memory.

    To loop over them is as fast as the file is read. To pick one of them reads all rows before it.

    Args:
        loop: begins to read the rows from the first one on.
        length: how many there are.
    """

    def __init__(self, loop: Callable[[], Iterator[RowT]], length: int) -> None:
        self._loop = loop
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[RowT]:
        return self._loop()

    @overload
    def __getitem__(self, index: int) -> RowT: ...
    @overload
    def __getitem__(self, index: slice) -> list[RowT]: ...
    def __getitem__(self, index: int | slice) -> RowT | list[RowT]:
        if isinstance(index, slice):
            numbers = range(*index.indices(self._length))
            lowest, past = min(numbers, default=0), max(numbers, default=-1) + 1
            rows = list(itertools.islice(self._loop(), lowest, past))
            return [rows[number - lowest] for number in numbers]
        number = range(self._length)[index]
        return next(itertools.islice(self._loop(), number, None))


def in_id_order(rows: Sequence[RowT]) -> Sequence[RowT]:
    """Returns rows in the order of their clip ids; those that are stored have it already."""
    return rows if isinstance(rows, StoredRows) else sorted(rows, key=lambda row: row.clip_id)
