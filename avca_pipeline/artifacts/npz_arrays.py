"""Reads arrays of numbers out of ``.npz`` files, which could also hold pickles and zip bombs.

NumPy believes the header of an array and makes room for what it announces. Here an array's header
must agree with the bytes that are there, which are counted first.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from avca_pipeline.errors import FormatError

MAX_BYTES = 64 << 20


def read_npz(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Returns arrays of numbers by name.

    Args:
        path: of a file that ``numpy.savez`` wrote.
        names: of the arrays to read; others are not looked at.

    Raises:
        FormatError: the file cannot be read, lacks an array, or holds anything but numbers in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            missing = sorted(name for name in names if f"{name}.npy" not in members)
            if missing:
                raise FormatError(f"{path}: has no array {missing[0]}")
            return {name: _array(archive, f"{name}.npy") for name in names}
    except FormatError:
        raise
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # Damaged bytes make zipfile and NumPy raise whatever they meet.
        raise FormatError(f"{path}: not an .npz file of numbers ({error})") from error


def _array(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{member} has more than {MAX_BYTES} bytes")
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format
    read_header = (
        header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
    )
    shape, is_fortran, kind = read_header(stream)
    if kind.kind not in "fiu" or kind.hasobject:
        raise ValueError(f"{member} holds {kind} and no numbers")
    numbers = content[stream.tell() :]
    if math.prod(shape) * kind.itemsize != len(numbers):
        raise ValueError(f"{member} announces {shape} and has {len(numbers)} bytes")
    flat = np.frombuffer(numbers, kind).astype(kind.newbyteorder("="))
    return flat.reshape(shape, order="F" if is_fortran else "C")
