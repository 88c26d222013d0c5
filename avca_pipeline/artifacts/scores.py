"""``scores.json``, ``history.json``, ``selection.json``, and the embeddings behind the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts.atomic import write_json
from avca_pipeline.artifacts.hdf5 import atomic_write_hdf5, reading_hdf5, write_strings
from avca_pipeline.artifacts.hdf5_members import numbers, strings
from avca_pipeline.artifacts.text_files import read_json

FORMAT_VERSION = 1


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes scores, a history of epochs, or a selection."""
    write_json(path, {"format_version": FORMAT_VERSION, **content})


def read(path: Path) -> dict[str, Any]:
    """Reads what `write` wrote."""
    return read_json(path, FORMAT_VERSION)


@dataclass(frozen=True)
class Embeddings:
    """Test clips and all classes in the space in which they are compared.

    Attributes:
        clip_ids: N test clips.
        class_of_clip: their true classes.
        clips: ``(clips, dim)`` float32.
        class_names: C classes, the seen ones and the unseen ones.
        is_unseen: ``(classes,)``.
        classes: ``(classes, dim)`` float32.
    """

    clip_ids: Sequence[str]
    class_of_clip: Sequence[str]
    clips: np.ndarray
    class_names: Sequence[str]
    is_unseen: np.ndarray
    classes: np.ndarray


def write_embeddings(path: Path, value: Embeddings) -> None:
    """Writes embeddings; `read_embeddings` gives back the same."""
    with atomic_write_hdf5(path, "embeddings", FORMAT_VERSION) as file:
        write_strings(file, "clip_id", value.clip_ids)
        write_strings(file, "class_of_clip", value.class_of_clip)
        file["clips"] = value.clips.astype(np.float32)
        write_strings(file, "class_name", value.class_names)
        file["is_unseen"] = value.is_unseen.astype(bool)
        file["classes"] = value.classes.astype(np.float32)


def read_embeddings(path: Path) -> Embeddings:
    """Reads embeddings.

    Raises:
        FormatError: not a whole file of this version.
    """
    with reading_hdf5(path, "embeddings", FORMAT_VERSION) as file:
        return Embeddings(
            clip_ids=strings(file, "clip_id"),
            class_of_clip=strings(file, "class_of_clip"),
            clips=numbers(file, "clips"),
            class_names=strings(file, "class_name"),
            is_unseen=numbers(file, "is_unseen"),
            classes=numbers(file, "classes"),
        )
