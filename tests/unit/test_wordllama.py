"""Vectors of the words of class names that the package wordllama carries."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from avca_pipeline.errors import PipelineError
from avca_pipeline.text_embeddings import wordllama
from avca_pipeline.text_embeddings._names import spellings, tidy


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def cosine(first: str, second: str) -> float:
    vectors = wordllama.vectors(wordllama.Settings(), [first, second])
    assert vectors.shape == (2, 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    return float(vectors[0] @ vectors[1])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("surfing", "riding a wave", 0.39), ("playing guitar", "strumming a banjo", 0.29)],
)
def test_names_that_mean_the_same_are_close(first: str, second: str, expected: float) -> None:
    assert cosine(first, second) == pytest.approx(expected, abs=0.01)


def test_names_that_have_nothing_in_common_are_nearly_orthogonal() -> None:
    unrelated = ["surfing", "knitting", "church bell", "mixing batter"]
    vectors = wordllama.vectors(wordllama.Settings(), unrelated)
    others = (vectors @ vectors.T)[np.triu_indices(len(unrelated), 1)]
    assert np.abs(others).max() < 0.2
    assert abs(others.mean()) < 0.1


def test_the_packages_own_code_is_not_run() -> None:
    wordllama.vectors(wordllama.Settings(), ["surfing"])
    assert "wordllama" not in sys.modules


def test_the_spelling_of_a_dataset_does_not_matter() -> None:
    assert cosine("ApplyEyeMakeup", "apply_eye makeup") == pytest.approx(1, abs=1e-6)
    assert cosine("Surfing", "surfing") == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("class_name", "expected"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("playing_guitar", "playing guitar"),
        ("Tai chi", "tai chi"),
        ("BMX", "BMX"),
        ("PlayingTVGames", "playing TV games"),
        ("people  whistling", "people whistling"),
        ("!?", "!?"),
        ("_", "_"),
        ("grün", "grün"),
        ("gru\u0308n", "gr\u00fcn"),
    ],
)
def test_tidy_names(class_name: str, expected: str) -> None:
    assert tidy(class_name) == expected


def test_a_file_of_names_has_the_last_word(tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("original,manual\nYoYo,playing with a yo-yo\n")
    assert spellings(["Yo Yo", "TaiChi"], names) == ["playing with a yo-yo", "tai chi"]
    assert wordllama.inputs(wordllama.Settings(names=names))[0] == names
    with_file, plain = (
        wordllama.vectors(wordllama.Settings(names=path), ["YoYo"]) for path in (names, None)
    )
    expected = wordllama.vectors(wordllama.Settings(), ["playing with a yo-yo"])
    np.testing.assert_array_equal(with_file, expected)
    assert not np.allclose(with_file, plain)


def test_the_files_of_the_package_are_inputs() -> None:
    """Vectors are made again where another version of the package has other files."""
    paths = wordllama.inputs(wordllama.Settings())
    assert {path.name for path in paths} == {
        "l2_supercat_256.safetensors", "l2_supercat_tokenizer_config.json",
    }  # fmt: skip
    assert all(path.is_file() for path in paths)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordllama, "PACKAGE", "no-such-package")
    with pytest.raises(PipelineError, match="pip install no-such-package"):
        wordllama.vectors(wordllama.Settings(), ["surfing"])


def test_another_version_of_the_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordllama, "VECTORS", "wordllama/weights/other.safetensors")
    with pytest.raises(PipelineError, match=r"other\.safetensors: no such file in wordllama"):
        wordllama.vectors(wordllama.Settings(), ["surfing"])
