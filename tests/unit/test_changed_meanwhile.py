"""A job whose inputs change while it runs has no result: nobody knows what it has read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from avca_pipeline import cli, registry, text_embeddings
from avca_pipeline.artifacts import manifest, records
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.records import Expected
from avca_pipeline.stages import VERSIONS

# While vectors are made, another job touches the list of clips, or makes it anew.
MEDDLER = '''"""Vectors of ones, while somebody is at work on the list of clips."""

import os
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts.records import Expected
from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """What happens."""

    clips: Path
    text: str


def inputs(settings):
    return []


def describe(settings):
    return "ones"


def vectors(settings, class_names):
    settings.clips.write_text(settings.clips.read_text() + settings.text)
    os.utime(settings.clips, (2e9, 2e9))
    results = settings.clips.parent
    Expected(results, "", {}).write([settings.clips], {})
    return np.ones((len(class_names), 2), np.float32)
'''


@pytest.fixture(autouse=True)
def meddler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/meddler.py").write_text(MEDDLER)
    places = [*text_embeddings.__path__, str(tmp_path / "plugins")]
    monkeypatch.setattr(text_embeddings, "__path__", places)
    registry._own_names.cache_clear()
    yield
    registry._own_names.cache_clear()


@pytest.mark.parametrize(("text", "code"), [("", 0), ("b,s,k,b.mp4,,\n", 1)], ids=["same", "other"])
def test_a_list_that_is_written_while_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    clips, out = tmp_path / "clips.csv", tmp_path / "labels.h5"
    manifest.write(clips, [Clip("a", "s", "k", "a.mp4")])
    Expected(tmp_path, "", {}).write([clips], {})
    settings = {"clips": str(clips), "text": text}
    request = {"version": VERSIONS["embed"], "plugin": "meddler", "settings": settings}
    made = Expected(tmp_path, "recipe", {"clips": records.recipe_of_list(clips)}).to_json()
    words = ["embed", "--settings", json.dumps(request), "--clips", str(clips), "--out", str(out)]
    assert cli.main([*words, "--cache", str(tmp_path), "--made", made]) == code
    line = f"avca embed: error: {clips}: it was made with other settings or from other clips"
    assert (line in capsys.readouterr().err) == bool(code)
    assert (records.read(tmp_path, out) is None) == bool(code)
