"""Many texts in one piece of memory: a list of them takes twice as much."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np


class PackedTexts(Sequence[str]):
    """Texts that are put behind each other, and may be asked for in another order."""

    def __init__(self) -> None:
        self._content, self._ends = bytearray(), array("q", [0])
        self._order: np.ndarray | None = None

    def extend(self, texts: Iterable[str]) -> None:
        """Puts texts behind those that are there."""
        for text in texts:
            self._content += text.encode()
            self._ends.append(len(self._content))

    def in_order(self, order: np.ndarray) -> PackedTexts:
        """Returns the texts with these numbers, in the same memory."""
        ordered = PackedTexts()
        ordered._content, ordered._ends, ordered._order = self._content, self._ends, order
        return ordered

    def __len__(self) -> int:
        return len(self._ends) - 1 if self._order is None else len(self._order)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._text(numbers)
        return [self._text(number) for number in numbers]

    def _text(self, number: int) -> str:
        row = number if self._order is None else int(self._order[number])
        return self._content[self._ends[row] : self._ends[row + 1]].decode()
