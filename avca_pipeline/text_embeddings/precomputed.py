"""Vectors from a file: a NumPy dict, as the benchmark publishes them, or HDF5."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from avca_pipeline.artifacts.hdf5 import read_strings
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.official.lists import class_key, read_names
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
        pairing: ``by-name`` gives each class the vector that stands beside its name.
            ``official`` reproduces the published loader, which sorts the vectors by their manual
            names, the classes by their original ones, and pairs the two in that order: wherever
            the two spellings sort differently, classes get each other's vectors (79 of UCF101's
            101). It needs ``names``.
    """

    path: Path
    names: Path | None = None
    pairing: Literal["by-name", "official"] = "by-name"

    @model_validator(mode="after")
    def _has_both_spellings(self) -> Settings:
        if self.pairing == "official" and self.names is None:
            raise ValueError("pairing official needs names, which it sorts by both spellings")
        return self


def inputs(settings: Settings) -> list[Path]:
    """Returns the files it reads."""
    return [settings.path] if settings.names is None else [settings.path, settings.names]


def describe(settings: Settings) -> str:
    """Returns where the vectors come from, and how they were paired with the classes."""
    source = f"precomputed vectors from {settings.path.name}"
    if settings.names is None or settings.pairing == "by-name":
        return f"{source}, paired by name"
    own, used = (_pairs(settings.names, kind) for kind in ("by-name", "official"))
    num_wrong = sum(used[name] != own[name] for name in own)
    return (
        f"{source}, paired as the published loader does, "
        f"which gives {num_wrong} of {len(own)} classes the vector of another class"
    )


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, dim)`` float32, found by name, or as the published loader finds them.

    Names match exactly or, where that is unambiguous, without regard to case and anything but
    letters and digits: ``HandStandPushups`` finds ``handstand pushups``.

    Raises:
        PipelineError: a class has no vector, or the file is not what it should be.
    """
    table = (
        _read_npy(settings.path) if settings.path.suffix == ".npy" else _read_hdf5(settings.path)
    )
    spelling = _pairs(settings.names, settings.pairing) if settings.names else {}
    loose: dict[str, list[str]] = {}
    for name in table:
        loose.setdefault(class_key(name), []).append(name)
    rows = []
    for class_name in class_names:
        name = spelling.get(class_key(class_name), class_name)
        found = [name] if name in table else loose.get(class_key(name), [])
        if len(found) != 1:
            what = "several vectors" if found else "no vector"
            raise PipelineError(
                f"{settings.path}: {what} for class {class_name!r} (looked for {name!r})"
            )
        rows.append(np.asarray(table[found[0]], np.float32).reshape(-1))
    if len({len(row) for row in rows}) > 1:
        raise FormatError(f"{settings.path}: vectors of different lengths")
    return np.stack(rows)


def _pairs(path: Path, pairing: str) -> dict[str, str]:
    """Returns the manual name whose vector each original name gets."""
    rows = read_names(path)
    if pairing == "official":
        originals, manuals = zip(*rows, strict=True)
        rows = list(zip(sorted(originals), sorted(manuals), strict=True))
    return {class_key(original): manual for original, manual in rows}


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
