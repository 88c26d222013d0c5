"""``labels/<text embedding>.h5``: a vector for each class name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts.hdf5 import atomic_write_hdf5, reading_hdf5, write_strings
from avca_pipeline.artifacts.hdf5_members import numbers, strings
from avca_pipeline.errors import FormatError

FORMAT_VERSION = 1
KIND = "labels"


@dataclass(frozen=True)
class Labels:
    """Text embeddings of classes.

    Attributes:
        class_names: C of them, sorted.
        vectors: ``(classes, dim)`` float32.
        text_embedding: where the vectors come from, in words.
        attributes: ``plugin``, its ``settings``, the ``files`` that it read, which are pairs of
            name and SHA-256, and ``weights``, which are ``name``, ``revision`` (the commit) and
            ``sha256`` of each model; all but the first as JSON. Older files have none.
    """

    class_names: Sequence[str]
    vectors: np.ndarray
    text_embedding: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def rows(self, class_names: Sequence[str]) -> np.ndarray:
        """Returns ``(classes, dim)``, each class with the vector that stands beside its name.

        Raises:
            FormatError: a class has no vector.
        """
        row = {name: index for index, name in enumerate(self.class_names)}
        missing = [name for name in class_names if name not in row]
        if missing:
            raise FormatError(f"class {missing[0]!r} has no text embedding ({self.text_embedding})")
        return self.vectors[[row[name] for name in class_names]]


def write(path: Path, value: Labels) -> None:
    """Writes the vectors; `read` gives back the same."""
    with atomic_write_hdf5(path, KIND, FORMAT_VERSION) as file:
        for name, text in sorted(value.attributes.items()):
            file.attrs[name] = text
        file.attrs["text_embedding"] = value.text_embedding
        write_strings(file, "class_name", value.class_names)
        file["vectors"] = value.vectors.astype(np.float32)


def read(path: Path) -> Labels:
    """Reads the vectors.

    Raises:
        FormatError: not a whole labels file of this version, or not one finite vector a class.
    """
    with reading_hdf5(path, KIND, FORMAT_VERSION) as file:
        own = ("kind", "format_version", "text_embedding")
        value = Labels(
            class_names=strings(file, "class_name"),
            vectors=numbers(file, "vectors"),
            text_embedding=str(file.attrs.get("text_embedding", "")),
            attributes={k: str(v) for k, v in file.attrs.items() if k not in own},
        )
    if value.vectors.ndim != 2 or len(value.vectors) != len(value.class_names):
        raise FormatError(
            f"{path}: {len(value.class_names)} classes but vectors {value.vectors.shape}"
        )
    if not np.isfinite(value.vectors).all():
        raise FormatError(f"{path}: has vectors that are not finite")
    return value
