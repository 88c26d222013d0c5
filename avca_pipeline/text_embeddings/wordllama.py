"""WordLlama: vectors that hold language and need no download.

The package carries a vector for each of the 32,000 tokens of a large language model, and the
tokenizer. A name's vector is the mean of those of its tokens, scaled to length 1. Names that mean
the same are close ("surfing" and "riding a wave" have a cosine of 0.39), unrelated ones nearly
orthogonal.

Only the two files are read. The package's own code looks for the tokenizer in a folder where it is
not, and asks the network for it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.settings import PluginSettings
from avca_pipeline.text_embeddings._names import spellings

PACKAGE = "wordllama"
VECTORS = "wordllama/weights/l2_supercat_256.safetensors"
TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"


class Settings(PluginSettings):
    """Vectors of the package wordllama, 256 numbers each."""

    names: Path | None = None
    """A CSV file with the columns ``original`` and ``manual``, for class names that are written
    differently (manual) from those of the dataset (original) before their vectors are computed.
    """


def inputs(settings: Settings) -> list[Path]:
    """Returns the files that it reads, without those of the package."""
    return [] if settings.names is None else [settings.names]


def describe(settings: Settings) -> str:
    """Returns where the vectors come from."""
    return f"WordLlama {_package().version}: mean of static token vectors, 256-d"


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, 256)`` float32 of length 1.

    Raises:
        PipelineError: the package or one of its files is missing, or a name has no vector.
    """
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_file(TOKENIZER)))
    (token_vectors,) = load_file(_file(VECTORS)).values()
    rows = []
    for class_name, spelling in zip(
        class_names, spellings(class_names, settings.names), strict=True
    ):
        # The token that begins every text says nothing about it.
        tokens = tokenizer.encode(spelling, add_special_tokens=False).ids
        mean = token_vectors[tokens].astype(np.float32).sum(axis=0) / max(1, len(tokens))
        length = float(np.linalg.norm(mean))
        if not length:
            raise FormatError(f"text_embeddings.wordllama: no vector for class {class_name!r}")
        rows.append(mean / length)
    return np.stack(rows)


def _package() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise PipelineError(
            f"text_embeddings.wordllama: the package {PACKAGE} is missing, which is ready-made for "
            f"Linux on x86-64 alone; elsewhere it needs a C compiler: pip install {PACKAGE}"
        ) from error


def _file(name: str) -> Path:
    path = Path(str(_package().locate_file(name)))
    if not path.is_file():
        raise PipelineError(
            f"text_embeddings.wordllama: {path}: no such file in {PACKAGE} "
            f"{_package().version}; install version 0.4.0"
        )
    return path
