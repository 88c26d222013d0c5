"""A run is published as a bundle that says nothing of this machine, and classifies elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from avca_pipeline.artifacts import bundle, scores
from avca_pipeline.inference import card
from avca_pipeline.publishing import runs
from avca_pipeline.publishing.places import in_text, without_places
from tests.builders import scores_of
from tests.unit.test_bundle import made


def test_no_path_of_this_machine_is_in_it(tmp_path: Path) -> None:
    original = made(tmp_path)
    described = original.description
    video = replace(
        described.backbones["video"],
        settings={"weights": "/home/me/my nets/c3d.pickle", "at": "https://me:pass@host/x?sig=1"},
    )
    text = replace(
        described.text,
        settings={"parts": [{"settings": {"path": "~/private/words.npy"}}]},
        files=(("/home/me/words.npy", "ab" * 32),),
    )
    value = scores_of(per_class=())
    stated = {**value.provenance.video, "preprocessing": '{"weights":"/home/me/c3d.pickle"}'}
    provenance = replace(
        value.provenance, video=stated, text_embedding="from /home/me/words.npy, 3-d"
    )
    scores.write(tmp_path / "scores.json", replace(value, provenance=provenance))
    original = replace(
        original,
        description=replace(
            described, backbones={**described.backbones, "video": video}, text=text
        ),
        scores=(tmp_path / "scores.json").read_text(),
    )
    public = runs.public(original, Path("/home/me/my nets"))
    packed = bundle.write(tmp_path / "out", public, card.text(public, "mit"))
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    for secret in (b"/home", b"my nets", b"private", b"pass@", b"sig=1", str(tmp_path).encode()):
        assert secret not in content, secret
        assert secret not in packed.read_bytes(), secret
    found = bundle.read(packed)
    assert found.description.backbones["video"].settings["weights"] == "c3d.pickle"
    assert found.description.text.files == (("words.npy", "ab" * 32),)
    assert found.predictions == original.predictions
    assert found.description.class_names == described.class_names
    provenance = found.typed_scores().provenance
    assert json.loads(provenance.video["preprocessing"]) == {"weights": "c3d.pickle"}
    assert provenance.text_embedding == "from words.npy, 3-d"
    assert (tmp_path / "out/README.md").read_text().startswith("---\nlicense: mit\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("damaged: /var/lib/x.mp4: 3/4 of it", "damaged: x.mp4: 3/4 of it"),
        ("cannot read '/data/a/b.mp4' (and/or c)", "cannot read 'b.mp4' (and/or c)"),
        ("at ~/videos/b.mp4", "at b.mp4"),
        ("see https://me:pass@host/a/b.mp4?x=1.", "see https://host/a/b.mp4."),
        ("in /my data/results/raw/x y.mp4: empty", "in x y.mp4: empty"),
        ("and in /my data", "and in my data"),
        ("m/0abc is 1 / 2", "m/0abc is 1 / 2"),
    ],
)
def test_folders_are_taken_out_of_a_text(text: str, expected: str) -> None:
    assert in_text(text, Path("/my data/results"), Path("/my data")) == expected


def test_settings_keep_their_shape() -> None:
    settings = {"a": ["/x/y.npy", 1, None, True], "b": {"c": 0.5}, "d": "/", "e": "[broken"}
    assert without_places(settings) == {
        "a": ["y.npy", 1, None, True], "b": {"c": 0.5}, "d": "", "e": "[broken"
    }  # fmt: skip
