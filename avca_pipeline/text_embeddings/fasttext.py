"""fastText: the vector of a whole class name, made from the character n-grams of its words.

============  ====================================================================================
Paper         Bojanowski, Grave, Joulin, Mikolov: Enriching Word Vectors with Subword Information.
              TACL 2017, arXiv 1607.04606
Size          300 numbers for each class
Where from    https://dl.fbaipublicfiles.com/fasttext/vectors-wiki/wiki.en.zip has ``wiki.en.bin``
============  ====================================================================================

The benchmark's published vectors were made in this way from ``wiki.en.bin``: the model is asked for
the whole name, with its spaces. Such a name is no word of the model, so that its vector is the mean
of those of its character n-grams. Vectors are scaled to length 1.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import in_child
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.published.class_names import class_key
from avca_pipeline.published.lists import read_names
from avca_pipeline.settings import PluginSettings

CITATIONS = ("bojanowski2017fasttext",)


class Settings(PluginSettings):
    """A fastText model. Needs the extra ``fasttext``."""

    path: Path
    """The model file as fastText writes it, ``.bin``."""
    names: Path | None = None
    """A CSV file with the columns ``original`` and ``manual``, for class names whose spelling in
    the model (manual) differs from that of the dataset (original).
    """


def inputs(settings: Settings) -> list[Path]:
    """Returns the files it reads."""
    return [settings.path] if settings.names is None else [settings.path, settings.names]


def describe(settings: Settings) -> str:
    """Returns where the vectors come from."""
    return f"fastText vectors of whole class names from {settings.path.name}"


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, dim)`` float32 of length 1.

    Raises:
        PipelineError: gensim is missing, the file is no model, or a name has no vector in it.
    """
    _load_gensim()
    names = read_names(settings.names) if settings.names else []
    spelled = {class_key(original): manual for original, manual in names}
    asked = [spelled.get(class_key(class_name), class_name) for class_name in class_names]
    # gensim's reader never ends if the file is damaged within a word; a child process can be ended.
    table = in_child.read(settings.path, functools.partial(_vectors, asked))
    rows = []
    for class_name, name, row in zip(class_names, asked, table, strict=True):
        length = float(np.linalg.norm(row))
        if not 0 < length < np.inf:
            raise PipelineError(f"{settings.path}: no vector for class {class_name!r} ({name!r})")
        rows.append((row / length).astype(np.float32))
    return np.stack(rows)


def _load_gensim() -> Any:
    try:
        from gensim.models.fasttext import load_facebook_vectors
    except ImportError as error:
        raise PipelineError(
            "the text embedding fasttext needs the package gensim (pip install gensim)"
        ) from error
    return load_facebook_vectors


def _vectors(names: Sequence[str], path: Path) -> np.ndarray:
    """Returns ``(names, dim)`` float64."""
    try:
        model = _load_gensim()(str(path))
        # The model was trained on composed characters (NFC); file names of macOS are decomposed.
        rows = [model.get_vector(unicodedata.normalize("NFC", name)) for name in names]
        return np.asarray(rows, np.float64).reshape(len(names), -1)
    except Exception as error:  # a wrong offset makes gensim raise errors of any type
        raise FormatError(f"{path}: not a model of fastText ({error!r})") from error
