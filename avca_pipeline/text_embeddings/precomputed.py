"""Vectors from a file: a NumPy dict, as the benchmark publishes them, or HDF5."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts.hdf5 import read_strings
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.registry import PluginSettings

# All that a pickled dict of arrays refers to, under NumPy's old and new module names.
ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


class Settings(PluginSettings):
    """Vectors from a file.

    Attributes:
        path: ``.npy`` with a dict from class name to vector, or ``.h5`` with ``class_name`` and
            ``vectors``.
        names: a CSV with the columns ``original`` and ``manual``, where the names in ``path``
            (manual) are spelled differently from those of the dataset (original).
    """

    path: Path
    names: Path | None = None


def inputs(settings: Settings) -> list[Path]:
    """Returns the files it reads."""
    return [settings.path] if settings.names is None else [settings.path, settings.names]


def describe(settings: Settings) -> str:
    """Returns where the vectors come from."""
    return f"precomputed vectors from {settings.path.name}"


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, dim)`` float32, found by name.

    Names match exactly or, where that is unambiguous, without regard to case and anything but
    letters and digits: ``HandStandPushups`` finds ``handstand pushups``.

    Raises:
        PipelineError: a class has no vector, or the file is not what it should be.
    """
    table = (
        _read_npy(settings.path) if settings.path.suffix == ".npy" else _read_hdf5(settings.path)
    )
    spelling = _read_names(settings.names) if settings.names else {}
    loose: dict[str, list[str]] = {}
    for name in table:
        loose.setdefault(_loosely(name), []).append(name)
    rows = []
    for class_name in class_names:
        name = spelling.get(_loosely(class_name), class_name)
        found = [name] if name in table else loose.get(_loosely(name), [])
        if len(found) != 1:
            what = "several vectors" if found else "no vector"
            raise PipelineError(
                f"{settings.path}: {what} for class {class_name!r} (looked for {name!r})"
            )
        rows.append(np.asarray(table[found[0]], np.float32).reshape(-1))
    if len({len(row) for row in rows}) > 1:
        raise FormatError(f"{settings.path}: vectors of different lengths")
    return np.stack(rows)


def _loosely(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _read_names(path: Path) -> dict[str, str]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return {_loosely(row["original"]): row["manual"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise FormatError(
            f"{path}: needs a header with 'original' and 'manual' ({error!r})"
        ) from error


def _read_npy(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            is_first = np.lib.format.read_magic(file) == (1, 0)
            header = np.lib.format
            read = header.read_array_header_1_0 if is_first else header.read_array_header_2_0
            shape, _, dtype = read(file)
            if shape != () or not dtype.hasobject:
                raise FormatError(f"{path}: an array of shape {shape}, not a dict of vectors")
            value = _ArraysOnly(io.BytesIO(file.read())).load()
    except FormatError:
        raise
    except Exception as error:  # a hostile pickle can raise anything
        raise FormatError(f"{path}: cannot be read as a dict of arrays ({error})") from error
    value = value.item() if isinstance(value, np.ndarray) and value.shape == () else value
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise FormatError(f"{path}: holds no dict from class names to vectors")
    return value


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return dict(zip(read_strings(file, "class_name"), file["vectors"][()], strict=True))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: needs the datasets class_name and vectors ({error})") from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"refers to {module}.{name}, which arrays do not need")
        return super().find_class(module, name)
