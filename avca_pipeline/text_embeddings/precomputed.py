"""Vectors from a file: a NumPy dict, as the benchmark publishes them, or HDF5.

The published files, ``word_embeddings_<dataset>_normed.npy``, are pickles of a dict from a class
name with spaces to 300 float32 numbers of length 1, made with fastText. They are read by an
unpickler that admits nothing but arrays of numbers. ``*_w2v_class_names.csv`` beside them says
which name each class has in the dict::

    original,manual
    CleanAndJerk,Weight Lifting

The published loader gives many classes the vector of another class, because it sorts the classes
by one spelling and the vectors by the other: 79 of UCF101's 101, 205 of VGGSound's 309 and 8 of
ActivityNet's 200. ``pairing: official`` reproduces that; the default pairs by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from avca_pipeline.artifacts import in_child, pickled_arrays
from avca_pipeline.artifacts.hdf5_members import numbers, strings
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.published.class_names import class_key
from avca_pipeline.published.lists import read_names
from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """Vectors from a file."""

    path: Path
    """A ``.npy`` file with a dict from class name to vector, or an ``.h5`` file with ``class_name``
    and ``vectors``.
    """
    names: Path | None = None
    """A CSV file with the columns ``original`` and ``manual``, for class names whose spelling in
    ``path`` (manual) differs from that of the dataset (original).
    """
    pairing: Literal["by-name", "official"] = "by-name"
    """How vectors are paired with classes. ``by-name`` gives each class the vector that stands
    beside its name. ``official`` reproduces the published loader: it sorts the vectors by their
    manual names and the classes by their original names, and pairs the two in that order. Wherever
    the two spellings sort differently, classes get each other's vectors (79 of the 101 of UCF101).
    It needs ``names``.
    """
    spaces: tuple[str, ...] = Field(default=(), exclude=True)
    """Names of the spaces that the vectors share with features, in the order of their parts. Say
    here what ``space`` of the imported features says, or the model of a text tower as
    ``https://host/owner/name@commit``. They matter to methods that compare features with vectors as
    they are, and change no vector.
    """

    @model_validator(mode="after")
    def _has_both_spellings(self) -> Settings:
        if self.pairing == "official" and self.names is None:
            raise ValueError("pairing official needs names, a CSV file of both spellings; add it")
        return self

    def shared_spaces(self, cache: Path) -> tuple[str | None, ...]:
        """Returns the spaces that the user names."""
        return self.spaces or (None,)

    def check_names(self, class_names: Sequence[str]) -> None:
        """Raises `PipelineError` unless the file has a vector of each class."""
        if class_names:
            vectors(self, class_names)


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
        pickled_arrays.read_npy(settings.path)
        if settings.path.suffix == ".npy"
        else in_child.read(settings.path, _read_hdf5)
    )
    spelling = _pairs(settings.names, settings.pairing) if settings.names else {}
    loose: dict[str, list[str]] = {}
    for name in table:
        loose.setdefault(class_key(name), []).append(name)
    rows = []
    for class_name in class_names:
        name = spelling.get(class_key(class_name), class_name)
        matches = [name] if name in table else loose.get(class_key(name), [])
        if len(matches) != 1:
            what = "several vectors" if matches else "no vector"
            raise PipelineError(
                f"{settings.path}: {what} for class {class_name!r} (looked for {name!r})"
            )
        row = table[matches[0]]
        if not len(row) or not np.isfinite(row).all():
            raise FormatError(f"{settings.path}: the vector of {name!r} is empty or not finite")
        rows.append(row)
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


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        names, vectors = strings(file, "class_name"), numbers(file, "vectors")
    if vectors.ndim < 2 or len(vectors) != len(names):
        raise FormatError(f"{path}: {len(names)} classes but vectors {vectors.shape}")
    if len(set(names)) < len(names):
        raise FormatError(f"{path}: a class is given twice")
    with np.errstate(over="ignore"):
        rows = np.asarray(vectors, np.float32).reshape(len(vectors), -1)
    return dict(zip(names, rows, strict=True))
