"""Rows of a table that stay in their file: each loop reads them anew, and none is kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Protocol, TypeVar, overload


class Row(Protocol):
    """A row of a table of clips."""

    @property
    def clip_id(self) -> str:
        """The id of its clip."""

    @property
    def class_name(self) -> str:
        """The class of its clip."""


RowT = TypeVar("RowT", bound=Row)


class StoredRows(Sequence[RowT]):
    """Rows in the order of their clip ids, as many as one likes in no memory.

    To loop over them is as fast as the file is read. To pick one of them reads all rows before it.

    Args:
        loop: begins to read the rows from the first one on.
        length: how many there are.
        class_names: which classes they have.

    Attributes:
        class_names: see above.
    """

    def __init__(
        self, loop: Callable[[], Iterator[RowT]], length: int, class_names: Set[str]
    ) -> None:
        self._loop = loop
        self._length = length
        self.class_names = class_names

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


def stored_if_in_order(
    checked: Iterator[RowT], loop: Callable[[], Iterator[RowT]], read: Callable[[], Sequence[RowT]]
) -> Sequence[RowT]:
    """Returns rows that stay in their file, or all of them if ids are out of order there or twice.

    Args:
        checked: the rows, each checked as it is yielded.
        loop: see `StoredRows`.
        read: reads all rows into memory.
    """
    number, before, names = 0, "", set()
    for row in checked:
        if row.clip_id <= before:
            return read()
        number, before = number + 1, row.clip_id
        names.add(row.class_name)
    return StoredRows(loop, number, names)


def class_names(rows: Sequence[RowT]) -> Set[str]:
    """Returns which classes rows have; of those that are stored, it is known."""
    return rows.class_names if isinstance(rows, StoredRows) else {row.class_name for row in rows}


def in_id_order(rows: Sequence[RowT]) -> Sequence[RowT]:
    """Returns rows in the order of their clip ids; those that are stored have it already."""
    return rows if isinstance(rows, StoredRows) else sorted(rows, key=lambda row: row.clip_id)
