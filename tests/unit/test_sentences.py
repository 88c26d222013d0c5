"""What is said of classes, and what becomes of it: templates, descriptions, parts side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from avca_pipeline.errors import PipelineError
from avca_pipeline.text_embeddings import concatenated, hashed, transformers_text, wordllama
from avca_pipeline.text_embeddings._sentences import Wording, class_vectors, list_names
from tests.conftest import shared_folder


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", "clipclap_text.npz")) as file:
        return dict(file)


@pytest.mark.parametrize(
    ("dataset", "templates"),
    [("ucf", "ucf101"), ("vggsound", "vggsound"), ("activitynet", "ucf101")],
)
def test_class_vectors_are_those_of_the_published_scripts(
    golden: dict[str, np.ndarray], dataset: str, templates: str, tmp_path: Path
) -> None:
    """The published scripts spell class names in their own way, which a file of names says."""
    names = [str(name) for name in golden[f"{dataset}/class_names_in_order_of_embedding"]]
    lines = "".join(f'"c{number}","{name}"\n' for number, name in enumerate(names))
    (tmp_path / "names.csv").write_text(f"original,manual\n{lines}")
    wording = Wording(templates=f"{templates}_video", names=tmp_path / "names.csv")
    sentences = wording.sentences([f"c{number}" for number in range(len(names))])
    assert sentences[0] == [str(s) for s in golden[f"{dataset}/clip_sentences_class0"]]
    raw = {
        sentence: row
        for said, rows in zip(sentences, golden[f"{dataset}/clip_raw"], strict=True)
        for sentence, row in zip(said, rows, strict=True)
    }
    found = class_vectors(sentences, lambda texts: np.stack([raw[text] for text in texts]))
    np.testing.assert_allclose(found, golden[f"{dataset}/clip_class_vector"], rtol=0, atol=1e-6)
    audio = Wording(templates=f"{templates}_audio", names=tmp_path / "names.csv")
    expected = [str(sentence) for sentence in golden[f"{dataset}/wavcaps_sentences_class0"]]
    assert audio.sentences(["c0"]) == [expected]


def test_a_template_is_a_sentence_a_list_or_a_file(tmp_path: Path) -> None:
    assert Wording(templates="so {} here").sentences(["YoYo"]) == [["so yo yo here"]]
    assert list_names() == ["ucf101_audio", "ucf101_video", "vggsound_audio", "vggsound_video"]
    assert len(Wording(templates="ucf101_video").template_list()) == 48
    path = tmp_path / "mine.txt"
    path.write_text("a {}\n\n the {} \n", encoding="utf-8")
    wording = Wording(templates=str(path))
    assert wording.sentences(["a_b"]) == [["a a b", "the a b"]]
    assert wording.sentence_files() == [path]
    assert Wording().sentences(["a_b"]) == [["a b"]]
    described = [Wording(templates=t).wording() for t in ("so {}", "ucf101_video", str(path))]
    assert described == ["'so {}'", "templates ucf101_video", "templates mine.txt"]


@pytest.mark.parametrize("templates", ["a video", "ucf101_vide", ""])
def test_a_template_without_a_place_for_the_name_is_refused_with_the_config(templates: str) -> None:
    with pytest.raises(ValidationError, match=r"a template without \{\}") as caught:
        transformers_text.Settings(model="a/b", templates=templates)
    assert ("did you mean 'ucf101_video'" in str(caught.value)) == (templates == "ucf101_vide")


def test_a_bad_file_of_templates_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    for content, message in (
        (b"a {}\na video\n", "'a video' has no {} for the class name"),
        (b"\n", "has no template in it"),
        (b"\xff\xfe{}", "cannot be read as UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(PipelineError, match=message):
            Wording(templates=str(path)).sentences(["a"])
    with pytest.raises(PipelineError, match="cannot be read as UTF-8"):
        Wording(templates=str(tmp_path / "absent.txt")).sentences(["a"])


def test_descriptions_take_the_place_of_templates(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text(
        "name,description\nYo Yo,a toy on a string\nsurfing,riding a wave\nyoyo,it goes up\nx,\n"
    )
    wording = Wording(descriptions=path)
    assert wording.sentences(["surfing", "YoYo"]) == [
        ["riding a wave"],
        ["a toy on a string", "it goes up"],
    ]
    with pytest.raises(PipelineError, match="has no description of class 'x'"):
        wording.sentences(["x"])
    with pytest.raises(ValidationError, match="leave one of them out"):
        Wording(descriptions=path, templates="a {}")
    settings = wordllama.Settings(descriptions=path)
    found = wordllama.vectors(settings, ["surfing", "YoYo"])
    plain = wordllama.vectors(
        wordllama.Settings(), ["riding a wave", "a toy on a string", "it goes up"]
    )
    np.testing.assert_allclose(found[0], plain[0], atol=1e-6)
    mean = plain[1] + plain[2]
    np.testing.assert_allclose(found[1], mean / np.linalg.norm(mean), atol=1e-6)
    assert wordllama.inputs(settings)[0] == path
    assert "descriptions from said.csv" in wordllama.describe(settings)


def test_a_class_without_a_direction_is_named() -> None:
    with pytest.raises(PipelineError, match="no vector for 'a'"):
        class_vectors([["a"], ["b"]], lambda texts: np.array([[0.0, 0.0], [1.0, 0.0]]))
    with pytest.raises(PipelineError, match="no vector for 'a'"):
        class_vectors([["a", "b"]], lambda texts: np.array([[-1.0, 0.0], [1.0, 0.0]]))


def test_parts_stand_side_by_side(tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("original,manual\na,b\n")
    parts = [
        {"plugin": "wordllama", "settings": {"names": str(names)}},
        {"plugin": "hashed", "settings": {"dim": 7}},
    ]
    settings = concatenated.Settings(parts=parts)
    found = concatenated.vectors(settings.with_files(tmp_path), ["a", "fox"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        found[:, :256], wordllama.vectors(wordllama.Settings(names=names), ["a", "fox"])
    )
    np.testing.assert_array_equal(
        found[:, 256:], hashed.vectors(hashed.Settings(dim=7), ["a", "fox"])
    )
    said = tmp_path / "said.csv"
    said.write_text("name,description\na,riding a wave\n")
    described = {"plugin": "wordllama", "settings": {"descriptions": str(said)}}
    with_files = concatenated.Settings(parts=[described, parts[1]]).with_files(tmp_path)
    assert concatenated.vectors(with_files, ["a"]).shape == (1, 263)
    assert concatenated.inputs(settings)[0] == names
    assert concatenated.describe(settings).count(" | ") == 1


def test_each_part_is_looked_up_and_has_its_inputs(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.npy", "two.npy", "names.csv")]
    first, second, names = map(str, paths)
    parts = [
        {"plugin": "precomputed", "settings": {"path": first}},
        {"plugin": "precomputed", "settings": {"path": second, "names": names}},
    ]
    assert concatenated.inputs(concatenated.Settings(parts=parts)) == paths
    absent = {"plugin": "transformers_text", "settings": {"model": str(tmp_path / "absent")}}
    for order in ([absent, parts[0]], [parts[0], absent]):
        with pytest.raises(PipelineError, match="absent"):
            concatenated.Settings(parts=order).look_up(tmp_path)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"plugin": "hash"}, "no plugin 'hash'; did you mean 'hashed'"),
        ({"plugin": "hashed", "settings": {"dim": 0}}, "greater than or equal to 1"),
        ({"plugin": "hashed", "settings": {"size": 3}}, "size"),
    ],
)
def test_a_wrong_part_is_refused_with_the_config(part: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        concatenated.Settings(parts=[part, {"plugin": "wordllama"}])
