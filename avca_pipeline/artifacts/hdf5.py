"""Opens HDF5 files of ours: whole, of the right kind and version, or not at all.

A file's SHA-256 stands in its user block, the room that HDF5 leaves at the beginning: the library
does not notice a flipped bit in numbers, and may crash on one in the structure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import in_child
from avca_pipeline.artifacts.atomic import atomic_write, check_version, file_sha256
from avca_pipeline.artifacts.hdf5_members import read_everything
from avca_pipeline.artifacts.sink import sink
from avca_pipeline.errors import FormatError, PipelineError

USER_BLOCK_BYTES = 512  # the least that HDF5 allows
MARK = b"avca sha256 "
SIGNATURE = b"\x89HDF\r\n\x1a\n"
STRINGS_AT_ONCE = 65_536
"""HDF5 converts so many at once by itself, so that parts of this size change no byte of a file."""


@contextlib.contextmanager
def atomic_write_hdf5(path: Path, kind: str, format_version: int) -> Iterator[Any]:
    """Yields an `h5py.File` to fill; ``path`` appears once the block has succeeded."""
    with atomic_write(path) as temporary:
        with filling(temporary, userblock_size=USER_BLOCK_BYTES) as file:
            file.attrs["kind"] = kind
            file.attrs["format_version"] = format_version
            yield file
        mark = _mark(temporary)
        with open(temporary, "r+b") as begin:
            begin.write(mark)


@contextlib.contextmanager
def filling(path: Path, **options: Any) -> Iterator[Any]:
    """Yields an `h5py.File` in the place of a file that there is; a full disk is an `OSError`."""
    import h5py

    with sink(path) as raw, h5py.File(raw, "w", **options) as file:
        yield file


@contextlib.contextmanager
def reading_hdf5(path: Path, kind: str, format_version: int) -> Iterator[Any]:
    """Yields an `h5py.File` to read, after comparing the whole file with its SHA-256.

    Raises:
        FormatError: missing, damaged, of another kind or another version; what the block finds
            missing or damaged is reported in the same way.
    """
    import h5py

    if not path.is_file():
        raise FormatError(f"{path}: no such file")
    try:
        with open(path, "rb") as raw:
            header = raw.read(USER_BLOCK_BYTES)
        if header.startswith(SIGNATURE):
            # Release 0.1.0 wrote it, or another program, and nothing says whether it is whole.
            in_child.read(path, read_everything)
        elif not header.startswith(MARK) or not header.startswith(_mark(path)):
            raise OSError("its content is not what was written")
        with h5py.File(path, "r", locking=False) as file:
            kind_of_file = file.attrs.get("kind")
            if kind_of_file != kind:
                raise FormatError(
                    f"{path}: not a file of {kind} but of {kind_of_file or 'something else'}"
                )
            check_version(path, int(file.attrs.get("format_version", -1)), format_version)
            yield file
    except PipelineError:
        raise
    except Exception as error:  # h5py raises errors of any type for a damaged structure.
        raise FormatError(
            f"{path}: damaged ({error}); delete the file and run again to rebuild it"
        ) from error


def _mark(path: Path) -> bytes:
    """Returns what the user block says of all that follows it."""
    return MARK + file_sha256(path, USER_BLOCK_BYTES).encode() + b"\n"


def write_strings(group: Any, name: str, values: Sequence[str]) -> None:
    """Writes a 1-d dataset of UTF-8 strings, a part at a time; an empty one too."""
    import h5py

    dataset = group.create_dataset(name, (len(values),), h5py.string_dtype())
    for first in range(0, len(values), STRINGS_AT_ONCE):
        part = list(values[first : first + STRINGS_AT_ONCE])
        dataset[first : first + len(part)] = part
