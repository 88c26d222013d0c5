"""Trains a fastText model that is small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def train(path: Path) -> Any:
    """Writes a model in fastText's own format and returns it."""
    from gensim.models.fasttext import FastText, save_facebook_model

    sentences = [["red", "fox", "jumps"], ["blue", "whale", "swims"], ["red", "whale", "jumps"]]
    model = FastText(
        sentences * 20, vector_size=8, min_count=1, bucket=500, epochs=2, seed=1, workers=1
    )
    save_facebook_model(model, str(path))
    return model
