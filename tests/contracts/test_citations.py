"""Each method, dataset with a paper, and backbone says what to cite, in BibTeX that can be read."""

from __future__ import annotations

import re

import pytest

from avca_pipeline import registry
from avca_pipeline.published import citations

WITHOUT_PAPER = {("datasets", name) for name in ("demo", "folder", "table")}
PLUGINS = [
    (kind, name)
    for kind in ("models", "datasets", "backbones")
    for name in registry.names(kind)
    if (kind, name) not in WITHOUT_PAPER
]
# They name libraries, or papers of many models.
WITHOUT_TITLE = {"torchvision_video", "zero_shot", "official"}


def fields(entry: str) -> dict[str, str]:
    """Returns the fields of an entry, whose braces are balanced."""
    depth, is_open = 0, False
    for char in entry:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0, entry
        assert not (is_open and depth == 0 and char == "@"), entry
        is_open = depth > 0
    assert depth == 0, entry
    return dict(re.findall(r"^\s+(\w+)\s+= \{(.*)\},$", entry, re.MULTILINE))


def letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_plugin_says_what_to_cite(kind: registry.Kind, name: str) -> None:
    found = citations.entries_of(kind, name, {})
    assert found
    module = registry.load(kind, name)
    assert list(found) == list(module.CITATIONS)
    titles = []
    for key, entry in found.items():
        assert re.match(rf"@(article|inproceedings|misc)\{{{key},\n", entry)
        parts = fields(entry)
        assert {"title", "author", "year"} <= parts.keys()
        assert re.fullmatch(r"(19|20)\d\d", parts["year"])
        assert parts["year"] in key
        titles.append(letters(parts["title"]))
    if name not in WITHOUT_TITLE and not name.startswith("transformers_"):
        assert any(title in letters(module.__doc__ or "") for title in titles)


def test_every_reference_is_of_something() -> None:
    named = {
        key
        for kind in registry.KINDS
        for name in registry.names(kind)
        for key in getattr(registry.load(kind, name), "CITATIONS", ())
    }
    named |= {*citations.OF_BENCHMARK.values(), *citations.OF_MODEL.values()}
    assert named == set(citations.references())


def test_settings_add_papers_of_a_benchmark_and_of_a_model() -> None:
    found = citations.entries_of("datasets", "official", {"benchmark": "VGGSound"})
    assert list(found) == ["mercea2022avca", "chen2020vggsound"]
    found = citations.entries_of("backbones", "transformers_audio", {"model": "laion/clap-htsat"})
    assert list(found) == ["wolf2020transformers", "wu2023clap"]
    parts = [{"plugin": "transformers_text", "settings": {"model": "openai/clip-vit-base-patch32"}}]
    found = citations.entries_of("text_embeddings", "concatenated", {"parts": parts})
    assert list(found) == ["wolf2020transformers", "radford2021clip"]
    assert citations.entries_of("backbones", "imported", {}) == {}


def test_a_bibtex_file_has_each_entry_once() -> None:
    avca = citations.entries_of("models", "avca", {})
    c3d = citations.entries_of("backbones", "c3d", {})
    text = citations.bibtex([c3d, avca, avca])
    assert list(citations.parse(text)) == ["mercea2022avca", "tran2015c3d"]
    assert text.count("@") == 2
