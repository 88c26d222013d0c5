"""Word vectors made from the words' hashes: no model, no download, no meaning.

Words that differ are nearly orthogonal and the same word is the same vector everywhere, so
classes that share words are close to each other and nothing else is. That suits class names
composed of attribute words, as in the demo, and tests. It knows nothing about language: "cat" is
as far from "kitten" as from "lawnmower".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from avca_pipeline.published.class_names import words
from avca_pipeline.settings import PluginSettings, Seed

NO_LANGUAGE = "word identity only, no language model"
"""What the report looks for in the description of a text embedding, to warn of it."""


class Settings(PluginSettings):
    """Hashed words."""

    dim: int = Field(default=300, ge=1, le=100_000)
    """Length of the vectors."""
    seed: Seed = 0
    """Seed of the vectors. Another seed gives other vectors."""


def inputs(settings: Settings) -> list[Path]:
    """Returns the files it reads: none."""
    return []


def describe(settings: Settings) -> str:
    """Returns where the vectors come from."""
    which = f"{settings.dim}-d, seed {settings.seed}"
    return f"hashed words ({which}): {NO_LANGUAGE}"


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, dim)`` float32 of unit length: the mean over the words of each name.

    A name without a letter or a digit, such as one of symbols, is a word of its own.
    """
    rows = []
    for name in class_names:
        parts = words_of(name) or [unicodedata.normalize("NFC", name)]
        mean = np.mean([_word_vector(word, settings) for word in parts], axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.array(rows, np.float32).reshape(len(rows), settings.dim)


def words_of(name: str) -> list[str]:
    """Returns the lower-case words of a class name: ``"ApplyLipstick, red"`` has three."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    return [word.lower() for word in words(spaced)]


def _word_vector(word: str, settings: Settings) -> np.ndarray:
    digest = hashlib.sha256(f"{settings.seed}:{word}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    return generator.standard_normal(settings.dim)
