"""fastText vectors, from a small model that is trained here."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import in_child
from avca_pipeline.errors import PipelineError
from avca_pipeline.text_embeddings import fasttext
from tests.fasttext_model import train


def n_gram_hash(text: str) -> int:
    """Returns fastText's hash of a character n-gram: FNV-1a over signed bytes, 32 bits."""
    value = 2166136261
    for byte in text.encode():
        signed = byte - 256 if byte > 127 else byte
        value = ((value ^ (signed & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return value


def test_a_name_with_spaces_is_one_word_of_n_grams(tmp_path: Path) -> None:
    """Against the definition, from the n-grams' own vectors."""
    path = tmp_path / "model.bin"
    model = train(path)
    name = "red föx jumping"
    marked = f"<{name}>"
    grams = [
        marked[start : start + length]
        for length in range(model.wv.min_n, model.wv.max_n + 1)
        for start in range(len(marked) - length + 1)
    ]
    rows = [model.wv.vectors_ngrams[n_gram_hash(gram) % model.wv.bucket] for gram in grams]
    mean = np.mean(np.array(rows, np.float64), axis=0)
    found = fasttext.vectors(fasttext.Settings(path=path), [name, "whale"])
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-6)
    whale = model.wv["whale"]  # a word of the model: its own vector is part of the mean
    np.testing.assert_allclose(found[1], whale / np.linalg.norm(whale), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_names_are_spelled_as_the_table_says(tmp_path: Path) -> None:
    train(tmp_path / "model.bin")
    (tmp_path / "names.csv").write_text("original,manual\nRedFox,red fox\n")
    plain = fasttext.Settings(path=tmp_path / "model.bin")
    spelled = fasttext.Settings(path=tmp_path / "model.bin", names=tmp_path / "names.csv")
    np.testing.assert_array_equal(
        fasttext.vectors(spelled, ["REDFOX"]), fasttext.vectors(plain, ["red fox"])
    )


@pytest.mark.parametrize("content", [b"", b"no model", b"\xba\x16\x4f\x2f" + bytes(60)])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(PipelineError, match=r"model\.bin: not a model of fastText") as caught:
        fasttext.vectors(fasttext.Settings(path=tmp_path / "model.bin"), ["a"])
    assert "\n" not in str(caught.value)


def test_an_accent_is_the_same_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    train(path)
    composed, apart = (unicodedata.normalize(form, "caf\u00e9 fox") for form in ("NFC", "NFD"))
    found = fasttext.vectors(fasttext.Settings(path=path), [composed, apart, "cafe fox"])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_a_model_that_ends_within_a_word_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader waits for the end of the word for ever."""
    monkeypatch.setattr(in_child, "CPU_S", 3)
    path = tmp_path / "model.bin"
    train(path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"jumps\0") + 3])
    with pytest.raises(PipelineError, match=r"model\.bin: damaged: takes too long"):
        fasttext.vectors(fasttext.Settings(path=path), ["red"])
