"""Vectors of class names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avca_pipeline import registry
from avca_pipeline.artifacts import labels, manifest
from avca_pipeline.errors import PipelineError
from avca_pipeline.requests import EmbedRequest
from avca_pipeline.stages import embed
from avca_pipeline.text_embeddings import hashed, precomputed, transformers_text
from tests.conftest import shared_folder
from tests.packaging import install

SECRET = "https://user:hunter2@host.example/o/n"
SPEAKS = '''"""Vectors from an address, which the plugin says as it is."""

import numpy as np

from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """An address."""

    model: str
    """The address."""


def inputs(settings):
    return []


def describe(settings):
    return f"at {settings.model}"


def vectors(settings, class_names):
    return np.ones((len(class_names), 2), "f4")
'''


def test_shared_words_make_classes_similar() -> None:
    names = ["red fox, running", "RedFox walking", "blue whale"]
    vectors = hashed.vectors(hashed.Settings(), names)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] == pytest.approx(2 / 3, abs=0.15)
    assert abs(cosines[0, 2]) < 0.25
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    signs = hashed.vectors(hashed.Settings(), ["!?", "?!", "!?"])
    np.testing.assert_array_equal(signs[0], signs[2])
    assert abs(signs[0] @ signs[1]) < 0.25


def test_another_seed_gives_other_vectors_and_the_same_seed_the_same() -> None:
    names = ["red fox", "blue whale"]
    first, second, again = (
        hashed.vectors(hashed.Settings(dim=50, seed=seed), names) for seed in (1, 2, 1)
    )
    assert first.shape == (2, 50)
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.diag(first @ second.T)).max() < 0.6
    for settings in (hashed.Settings(dim=50, seed=1), hashed.Settings(dim=7)):
        words = hashed.describe(settings)
        assert f"{settings.dim}-d, seed {settings.seed}" in words


def test_names_are_found_loosely_but_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    table = {"hand stand pushups": np.ones(3), "a b": np.zeros(3), "A-B": np.full(3, 2.0)}
    np.save(path, np.array(table, dtype=object), allow_pickle=True)
    settings = precomputed.Settings(path=path)
    np.testing.assert_array_equal(precomputed.vectors(settings, ["HandstandPushups"]), [[1, 1, 1]])
    np.testing.assert_array_equal(precomputed.vectors(settings, ["a b", "A-B"])[:, 0], [0, 2])
    for name, message in (("ab", "several vectors"), ("fox", "no vector")):
        with pytest.raises(PipelineError, match=message):
            precomputed.vectors(settings, [name])


def test_official_pairing_sorts_both_spellings(tmp_path: Path) -> None:
    table = {"Apply": np.zeros(1), "Lifting": np.ones(1), "Biking": np.full(1, 2.0)}
    np.save(tmp_path / "v.npy", np.array(table, dtype=object), allow_pickle=True)
    names = tmp_path / "names.csv"
    names.write_text("original,manual\nClean,Lifting\nApply,Apply\nBiking,Biking\n")
    paths = {"path": tmp_path / "v.npy", "names": names}
    asked = ["Clean", "Biking", "Apply"]
    by_name = precomputed.vectors(precomputed.Settings(**paths), asked)
    np.testing.assert_array_equal(by_name[:, 0], [1, 2, 0])
    names.write_text("original,manual\nClean,A Lifting\nApply,Apply\nBiking,Biking\n")
    table["A Lifting"] = table.pop("Lifting")
    np.save(tmp_path / "v.npy", np.array(table, dtype=object), allow_pickle=True)
    settings = precomputed.Settings(**paths, pairing="official")
    np.testing.assert_array_equal(precomputed.vectors(settings, asked)[:, 0], [2, 0, 1])
    assert "3 of 3 classes" in precomputed.describe(settings)


def test_official_pairing_needs_both_spellings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs names"):
        precomputed.Settings(path=tmp_path / "v.npy", pairing="official")
    names = tmp_path / "names.csv"
    for rows, message in (
        ("a,x\nA,y\n", "original name 'a' stands there 2 times"),
        ("a,x\nb\n", "line 3 does not have the header's 2 cells"),
        ("a,x\nb,\n", "in every row"),
        ("", "in every row"),
    ):
        names.write_text(f"original,manual\n{rows}")
        with pytest.raises(PipelineError, match=rf"names\.csv: .*{message}"):
            precomputed.read_names(names)


def test_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["class_name"], file["vectors"] = ["b", "a"], np.array([[1.0, 2], [3, 4]])
    found = precomputed.vectors(precomputed.Settings(path=tmp_path / "v.h5"), ["a", "b"])
    np.testing.assert_array_equal(found, [[3, 4], [1, 2]])


class Hostile:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "content_with",
    [
        lambda hostile: {"a": hostile},
        lambda _: [1, 2],
        lambda _: np.zeros(3),
        lambda hostile: hostile,
    ],
    ids=["dict of an object", "list", "array", "object"],
)
def test_anything_but_a_dict_of_arrays_is_refused(
    tmp_path: Path, content_with: Callable[[Hostile], object]
) -> None:
    path, trace = tmp_path / "vectors.npy", tmp_path / "must-not-exist"
    content = content_with(Hostile(trace))
    is_array = isinstance(content, np.ndarray)
    np.save(path, content if is_array else np.array(content, dtype=object), allow_pickle=True)
    with pytest.raises(PipelineError, match=r"vectors\.npy"):
        precomputed.vectors(precomputed.Settings(path=path), ["a"])
    assert not trace.exists()


@pytest.mark.parametrize(
    ("dataset", "vectors", "names"),
    [
        ("UCF", "word_embeddings_ucf_normed.npy", "ucf_w2v_class_names.csv"),
        ("ActivityNet", "word_embeddings_activity_normed.npy", "activitynet_w2v_class_names.csv"),
        ("VGGSound", "word_embeddings_vggsound_normed.npy", "vggsound_w2v_class_names.csv"),
    ],
)
def test_published_vectors_are_paired_by_name(dataset: str, vectors: str, names: str) -> None:
    folder = shared_folder("official", "avgzsl_benchmark_datasets", dataset, "class-split")
    settings = precomputed.Settings(
        path=shared_folder("official", "w2v_features", vectors), names=folder / names
    )
    listed = [line.strip() for line in (folder / "all_class.txt").read_text().splitlines()]
    found = precomputed.vectors(settings, [name for name in listed if name])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-4)
    assert len(np.unique(found.round(6), axis=0)) == len(found)


def test_no_password_of_an_address_is_written_with_the_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin of another package may say its whole address; the stage takes the password out."""
    install(tmp_path, "speaking", {"plugin": SPEAKS}, {"text_embeddings": {"speaks": "plugin"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._registered.cache_clear()
    clip = manifest.Clip("v1", "s1", "fox", "v1.mp4")
    manifest.write(tmp_path / "clips.csv", [clip])
    request = EmbedRequest(plugin="speaks", settings={"model": SECRET})
    try:
        with caplog.at_level("INFO"):
            embed.run(request, tmp_path / "clips.csv", tmp_path / "v.h5", cache=tmp_path)
    finally:
        registry._registered.cache_clear()
    assert labels.read(tmp_path / "v.h5").text_embedding == "at https://host.example/o/n"
    assert "hunter2" not in caplog.text
    tower = transformers_text.describe(transformers_text.Settings(model=SECRET))
    assert tower.startswith("text tower of https://host.example/o/n, ")


def test_a_tower_says_its_model_revision_head_and_wording() -> None:
    described = {
        "text tower of o/n, 'so {}'": {"model": "o/n"},
        "text tower of o/n at v1, head for audio, 'so {}'": {
            "model": "o/n", "revision": "v1", "head": "audio",
        },
        "text tower of tiny, 'so {}'": {"model": "/models/tiny"},
    }  # fmt: skip
    for words, settings in described.items():
        chosen = transformers_text.Settings(templates="so {}", **settings)
        assert transformers_text.describe(chosen) == words


def test_vectors_stand_with_the_settings_and_the_files_they_were_made_from(tmp_path: Path) -> None:
    path, names = tmp_path / "vectors.npy", tmp_path / "names.csv"
    np.save(path, np.array({"a fox": np.ones(3), "an owl": np.zeros(3)}, dtype=object))
    names.write_text("original,manual\nFox,a fox\nOwl,an owl\n")
    rows = [("v1", "Owl"), ("v2", "Fox"), ("v3", "Owl")]
    clips = [manifest.Clip(clip, clip, name, "x.mp4") for clip, name in rows]
    manifest.write(tmp_path / "clips.csv", clips)
    settings = {"path": str(path), "names": str(names)}
    request = EmbedRequest(plugin="precomputed", settings=settings)
    embed.run(request, tmp_path / "clips.csv", tmp_path / "v.h5", cache=tmp_path)
    found = labels.read(tmp_path / "v.h5")
    assert list(found.class_names) == ["Fox", "Owl"]
    np.testing.assert_array_equal(found.vectors, [[1, 1, 1], [0, 0, 0]])
    assert found.attributes["plugin"] == "precomputed"
    assert json.loads(found.attributes["settings"]) == settings | {"pairing": "by-name"}
    assert json.loads(found.attributes["files"]) == [
        [file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in (names, path)
    ]
