"""A file for libraries that cannot bear a write that fails.

HDF5 cannot close a file on a full disk: it dies of a segmentation fault at the end of the process.
torch raises an error of its own without a reason. So they write to a `Sink`, which reports every
write as a success. The error of the first failed write is raised after they have closed the file.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# After a failed write, smaller pieces are remembered: HDF5 reads its own structure again, but
# never the numbers of a table.
REMEMBERED_BYTES = 1 << 20


class Sink(io.RawIOBase):
    """A binary file whose first failed write is in `error`; the others do nothing."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None
        self.position = self.end = 0
        self.remembered: dict[int, bytes] = {}

    def write(self, data: ReadableBuffer) -> int:
        """Writes at the position; returns the number of bytes, written or not."""
        view = memoryview(data).cast("B")
        start, self.position = self.position, self.position + len(view)
        self.end = max(self.end, self.position)
        if self.error is None:
            with self._failing():
                _write_whole(self.file.fileno(), view, start)
        if self.error is not None and len(view) <= REMEMBERED_BYTES:
            self.remembered.pop(start, None)
            self.remembered[start] = bytes(view)
        return len(view)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Reads at the position; what was neither written nor remembered is zeros."""
        view = memoryview(buffer).cast("B")
        start, self.position = self.position, self.position + len(view)
        view[:] = bytes(len(view))
        content = os.pread(self.file.fileno(), len(view), start)
        view[: len(content)] = content
        for place, piece in self.remembered.items():
            begin, end = max(start, place), min(start + len(view), place + len(piece))
            if begin < end:
                view[begin - start : end - start] = piece[begin - place : end - place]
        return len(view)

    def readable(self) -> bool:
        """Returns true: HDF5 reads what it has written."""
        return True

    def writable(self) -> bool:
        """Returns true."""
        return True

    def seekable(self) -> bool:
        """Returns true."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the position."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.end}
        self.position = origin[whence] + offset
        return self.position

    def tell(self) -> int:
        """Returns the position."""
        return self.position

    def truncate(self, size: int | None = None) -> int:
        """Sets the size of the file."""
        size = self.position if size is None else size
        self.end = size
        if self.error is None:
            with self._failing():
                self.file.truncate(size)
        return size

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error


@contextlib.contextmanager
def sink(path: Path) -> Iterator[Sink]:
    """Yields a `Sink` that writes a file that there is.

    Raises:
        OSError: a write failed.
    """
    with open(path, "r+b", buffering=0) as file:
        writer = Sink(file)
        try:
            yield writer
        finally:
            if writer.error is not None:
                raise writer.error


def _write_whole(descriptor: int, view: memoryview, start: int) -> None:
    """Writes all of it; a disk that fills takes a part before it fails."""
    written = 0
    while written < len(view):
        written += os.pwrite(descriptor, view[written:], start + written)
