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

from avca_pipeline.errors import PipelineError
from avca_pipeline.text_embeddings._sentences import Wording, class_vectors

CITATIONS = ("miller2024wordllama",)
PACKAGE = "wordllama"
VECTORS = "wordllama/weights/l2_supercat_256.safetensors"
TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"


class Settings(Wording):
    """Vectors of the package wordllama, 256 numbers each."""


def inputs(settings: Settings) -> list[Path]:
    """Returns the files that it reads, those of the package among them.

    Raises:
        PipelineError: the package or one of its files is missing.
    """
    return [*settings.sentence_files(), _file(VECTORS), _file(TOKENIZER)]


def describe(settings: Settings) -> str:
    """Returns where the vectors come from."""
    words = f"WordLlama {_package().version} (MIT): mean of static token vectors, 256-d"
    return words if settings == Settings() else f"{words}, {settings.wording()}"


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, 256)`` float32 of length 1.

    Raises:
        PipelineError: the package or one of its files is missing, or a class has no sentence.
    """
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_file(TOKENIZER)))
    (token_vectors,) = load_file(_file(VECTORS)).values()

    def embed(texts: list[str]) -> np.ndarray:
        # The token that begins every text says nothing about it.
        encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        return np.stack([token_vectors[ids].astype(np.float32).mean(axis=0) for ids in encoded])

    return class_vectors(settings.sentences(class_names), embed)


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
