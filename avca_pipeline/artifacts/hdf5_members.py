"""Reads datasets out of HDF5 files: what stands in the file itself, and no more than that.

A dataset of HDF5 may be a link into another file, be stored in another file, be made up of other
files, or announce terabytes that it does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MAX_RATIO = 32
MAX_SMALL_BYTES = 16 << 20
"""Compressed numbers of more bytes than this are at most `MAX_RATIO` times as large as the file."""


def member(group: Any, name: str) -> Any:
    """Returns a group or dataset that is a member of the file itself.

    Raises:
        ValueError: there is none, or it is a link.
    """
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        raise ValueError(f"it has no {name!r}")
    if not isinstance(link, h5py.HardLink):
        raise TypeError(f"{name!r} is a link to somewhere else")
    return group[name]


def numbers(group: Any, name: str) -> np.ndarray:
    """Reads a dataset of numbers or truth values.

    Raises:
        ValueError: there is none, or it is not stored in the file.
    """
    return np.asarray(table_of_numbers(group, name)[()])


def table_of_numbers(group: Any, name: str) -> Any:
    """Returns a dataset of numbers or truth values, to read parts of it.

    Raises:
        ValueError: there is none, or it is not stored in the file.
    """
    dataset = _dataset(group, name)
    if dataset.dtype.kind not in "biuf":
        raise TypeError(f"{name!r} holds no numbers but {dataset.dtype}")
    return dataset


def strings(group: Any, name: str) -> list[str]:
    """Reads a dataset of texts in UTF-8, whatever its shape, as a list.

    Raises:
        ValueError: there is none, or it is not stored in the file.
    """
    return decoded(table_of_strings(group, name)[()])


def table_of_strings(group: Any, name: str) -> Any:
    """Returns a dataset of texts, to read parts of it, which `decoded` turns into strings.

    Raises:
        ValueError: there is none, or it is not stored in the file.
    """
    import h5py

    dataset = _dataset(group, name)
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise TypeError(f"{name!r} holds no texts but {dataset.dtype}")
    return dataset


def decoded(part: Any) -> list[str]:
    """Returns texts in UTF-8 that were read from a dataset as strings."""
    return [value.decode("utf-8") for value in np.ravel(part).tolist()]


def read_everything(path: Path) -> None:
    """Reads everything in a file, so that later reading is known to end.

    Raises:
        ValueError: something in it is stored elsewhere, or is not there.
    """
    import h5py

    def read(name: str, member: Any) -> None:
        dict(member.attrs)
        if isinstance(member, h5py.Dataset):
            _dataset(member.parent, name.rpartition("/")[2])[()]

    with h5py.File(path, "r", locking=False) as file:
        dict(file.attrs)
        file.visititems(read)


def _dataset(group: Any, name: str) -> Any:
    import h5py

    dataset = member(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise TypeError(f"{name!r} is no dataset")
    if dataset.is_virtual or dataset.external:
        raise TypeError(f"{name!r} is stored in another file")
    size = dataset.size * dataset.dtype.itemsize
    limit = max(MAX_SMALL_BYTES, MAX_RATIO * dataset.file.id.get_filesize())
    if size > limit or (size and not dataset.id.get_storage_size()):
        raise ValueError(f"{name!r} announces {size} bytes that the file does not have")
    return dataset
