"""Every name that a file or a class can have works, as far as it can be written down."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import features, fetched, labels, manifest, split
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.cli import main
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage.pretraining import pretrained_on
from avca_pipeline.published import export, lists
from avca_pipeline.published.class_names import class_key
from avca_pipeline.text_embeddings import hashed, precomputed
from tests.unit.test_media import write_video

NFC, NFD = (lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD"))

NAMES = [
    "plain",
    "Screen Recording 2024-05-01 at 9.41.00\u202fAM",
    "Sn\u00edmek obrazovky v\u00a013.05",
    "\u3000ideographic\u3000space",
    " space first and last ",
    "two  spaces",
    "tab\there",
    "bell\x07",
    "\x1b[31mred",
    "line\u2028separator",
    "paragraph\u2029separator",
    "next\x85line",
    "form\x0cfeed",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001f469\u200d\U0001f680",
    "\U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f468",
    "right-to-left \u202e mark",
    "\u200eleft\u200f",
    "\u2066isolate\u2069",
    "soft\u00adhyphen",
    "zero\u200bwidth",
    "\ufeffmark",
    NFC("caf\u00e9"),
    NFD("cafe\u0301 in parts"),
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0e01\u0e32\u0e23\u0e40\u0e15\u0e49\u0e19",
    "{dataset}",
    "a{b}c{{d}}",
    "x <t> <{y}>",
    "*?[a-z]",
    "$(touch x)`touch y`;&|",
    "quotes ' \" \u201c",
    "back\\slash\\n",
    "percent %s %d",
    "-dash",
    "--out",
    "~tilde",
    "=1+1",
    "a,b;c",
    "#hash",
    "nan",
    "NA",
    "None",
    "1e5",
    "007",
    "true",
    "C#",
    "!!!",
    "...",
    "[brackets] [12345678]",
    "\U0001f1e9\U0001f1ea",
    "private \ue000",
    "unassigned \u0378",
    "k" * 251,
    "\u00e9" * 125,
]
UNSTORABLE = [b"latin \xe9", b"\xff\xfe", b"line\nbreak", b"carriage\rreturn", b"cut \xf0\x9f\x98"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    write_video(path, [n / 25 for n in range(10)])
    return path


def listed(place: Path, media: Path) -> tuple[int, list[Clip], list[fetched.FetchedClip]]:
    """Lists and fetches a folder of clips through the commands."""
    settings = {"plugin": "folder", "settings": {"path": str(media)}}
    table, shard = place / "manifest.csv", place / "shards/00000-of-00001.csv"
    code = main(["manifest", "--settings", json.dumps(settings | {"num_shards": 1}),
                 "--out", str(table), "--shards", str(shard.parent)])  # fmt: skip
    if code:
        return code, [], []
    asked_for = settings | {"shard": shard.stem, "max_bytes": 10**9}
    code = main(["fetch", "--settings", json.dumps(asked_for), "--clips", str(shard),
                 "--raw", str(place / "raw"), "--out", str(place / "fetched.csv"),
                 "--log", str(place / "log")])  # fmt: skip
    return code, manifest.read(table), fetched.read(place / "fetched.csv")


def test_every_legal_name_of_a_file_is_a_clip(tmp_path: Path, video: Path) -> None:
    (tmp_path / "media/a").mkdir(parents=True)
    files = [f"{name}.mp4" for name in NAMES if not name.startswith(".")]
    for name in files:
        os.link(video, tmp_path / "media/a" / name)
    code, clips, rows = listed(tmp_path, tmp_path / "media")
    assert code == 0
    assert {clip.path_or_url for clip in clips} == {f"a/{name}" for name in files}
    assert [(row.clip_id, row.status) for row in rows] == [(clip.clip_id, "ok") for clip in clips]


def test_every_legal_name_of_a_class_goes_through_all_tables(tmp_path: Path, video: Path) -> None:
    names = [name for name in NAMES if not name.startswith(".")]
    for name in names:
        (tmp_path / "media" / name).mkdir(parents=True)
        os.link(video, tmp_path / "media" / name / "clip.mp4")
    code, clips, rows = listed(tmp_path, tmp_path / "media")
    assert code == 0
    assert {clip.class_name for clip in clips} == set(names)
    assert [row.status for row in rows] == ["ok"] * len(names)
    words = json.dumps({"plugin": "hashed", "settings": {"dim": 8}})
    code = main(["embed", "--settings", words, "--clips", str(tmp_path / "manifest.csv"),
                 "--out", str(tmp_path / "l.h5"), "--cache", str(tmp_path)])  # fmt: skip
    assert code == 0
    vectors = labels.read(tmp_path / "l.h5")
    assert list(vectors.class_names) == sorted(names)
    found = Features(
        [clip.clip_id for clip in clips], np.ones((len(clips), 2), np.float32),
        np.ones(len(clips), np.int64), np.zeros(len(clips), bool),
    )  # fmt: skip
    features.write(tmp_path / "f.h5", found)
    assert list(features.read(tmp_path / "f.h5").clip_ids) == list(found.clip_ids)
    placed = [
        split.SplitClip(clip.clip_id, clip.class_name, clip.source_id, "train") for clip in clips
    ]
    split.write(tmp_path / "s.csv", placed)
    assert split.read(tmp_path / "s.csv") == sorted(placed, key=lambda row: row.clip_id)
    short = [row for row in placed if len(row.class_name.encode()) <= 200]
    once = list({class_key(row.class_name): row for row in short}.values())
    both = {"video": found, "audio": found}
    export.write(tmp_path / "out", export.Export("Mine", "main", once, both, vectors))
    written = lists.class_names(tmp_path / "out", "Mine")
    assert sorted(written.values()) == sorted({row.class_name.strip() for row in once})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("is_class", [False, True], ids=["file", "class"])
@pytest.mark.parametrize("name", UNSTORABLE)
def test_a_name_that_cannot_be_written_down_is_a_row_with_a_reason(
    tmp_path: Path, video: Path, name: bytes, is_class: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    media = os.fsencode(tmp_path / "media")
    folder = media + b"/" + name if is_class else media + b"/a"
    (tmp_path / "media/a").mkdir(parents=True)
    shutil.copy(video, tmp_path / "media/a/good.mp4")
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - a Path has no bytes
    for number in range(2):
        clip = b"c%d.mp4" % number if is_class else name + b"%d.mp4" % number
        shutil.copy(video, folder + b"/" + clip)
    code, clips, rows = listed(tmp_path, tmp_path / "media")
    assert code == 0
    assert "manifest: 2 clips cannot be used: unusable name: " in capsys.readouterr().err
    assert [clip.clip_id for clip in clips if not clip.reason] == ["a:good.mp4"]
    assert sum(row.status == "ok" for row in rows) == 1
    refused = [row for row in rows if row.status != "ok"]
    assert [row.reason.partition(":")[0] for row in refused] == ["unusable name"] * 2
    assert all(row.clip_id.isprintable() for row in refused)
    assert manifest.read(tmp_path / "manifest.csv") == clips


def test_a_name_like_what_is_written_for_another_is_its_own(tmp_path: Path, video: Path) -> None:
    folder = tmp_path / "media/a"
    folder.mkdir(parents=True)
    shutil.copy(video, folder / "x\ny.mp4")
    _, (written, *_), _ = listed(tmp_path, tmp_path / "media")
    shutil.copy(video, folder / "x\\ny.mp4")
    shutil.copy(video, folder / "x\r\ny.mp4")
    code, clips, rows = listed(tmp_path, tmp_path / "media")
    assert code == 0
    assert len({clip.clip_id for clip in clips}) == 3
    assert written.clip_id in {clip.clip_id for clip in clips}
    assert sorted(row.status for row in rows) == ["ok", "rejected", "rejected"]


def test_what_a_table_cannot_hold_is_a_row_too(tmp_path: Path, video: Path) -> None:
    media = tmp_path / "t.csv"
    shutil.copy(video, tmp_path / "v.mp4")
    media.write_text(
        "clip_id,source_id,class_name,path_or_url,start_s,end_s\n"
        'one,a,x,v.mp4,,\n"two\nlines",b,x,v.mp4,,\nthree\0,c,x,v.mp4,,\nfour,d,"y\n",v.mp4,,\n'
    )
    settings = {"plugin": "table", "settings": {"path": str(media)}, "num_shards": 1}
    assert main(["manifest", "--settings", json.dumps(settings), "--out", str(tmp_path / "m.csv"),
                 "--shards", str(tmp_path / "s")]) == 0  # fmt: skip
    clips = manifest.read(tmp_path / "m.csv")
    assert [clip.clip_id for clip in clips if not clip.reason] == ["one"]
    assert len(clips) == 4


def test_other_columns_of_a_table_are_nobodys(tmp_path: Path) -> None:
    """Whatever they are called: a note of a user rejects no clip."""
    header = "clip_id,source_id,class_name,path_or_url,start_s,end_s,reason,status\n"
    (tmp_path / "t.csv").write_text(f"{header}a,s,k,v.mp4,,,because,rejected\n")
    assert manifest.read(tmp_path / "t.csv") == [Clip("a", "s", "k", "v.mp4")]


def test_a_name_that_is_missing_is_a_mistake() -> None:
    good = {"clip_id": "c", "source_id": "s", "class_name": "k", "path_or_url": "p"}
    for name in good:
        with pytest.raises(PipelineError, match=f"table: clip .* has no {name}"):
            manifest.check([Clip(**(good | {name: ""}))], "table")
    with pytest.raises(PipelineError, match="clip_id 'c' occurs twice"):
        manifest.check([Clip(**good), Clip(**good)], "table")
    for start_s, end_s in ((2.0, 2.0), (3.0, 2.0), (None, 0.0)):
        with pytest.raises(PipelineError, match="not after its start"):
            manifest.check([Clip(**good, start_s=start_s, end_s=end_s)], "table")
    manifest.check([Clip(**good, start_s=1.0), Clip("d", "s", "k", "p", 1.0, 1.5)], "table")


WORDS = [
    "caf\u00e9",
    "\u00c5ngstr\u00f6m",
    "na\u00efve d\u00e9j\u00e0 vu",
    "\u1e69",
    "\uac00\ub098",
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0e01\u0e32\u0e23\u0e40\u0e15\u0e49\u0e19",
    "\u0423\u0301\u0442\u0440\u043e",
    "\u03ac\u03bb\u03c6\u03b1",
]
UNLIKE = [
    ("caf\u00e9", "cafe"),
    ("r\u00e9sum\u00e9", "resume"),
    ("\u0915\u093f", "\u0915\u0940"),
    ("\u0915\u093f", "\u0915"),
    ("\u0e01\u0e34\u0e19", "\u0e01\u0e31\u0e19"),
    ("\u0e01\u0e34\u0e19", "\u0e01\u0e19"),
    ("\u0439", "\u0438"),
    ("\U0001f680", "\U0001f681"),
    ("\u2764\ufe0f", "\u263a\ufe0f"),
    ("!!!", "???"),
    ("\u05d1\u05bc", "\u05d1"),
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", [NFC, NFD], ids=["NFC", "NFD"])
def test_accents_and_vowel_signs_belong_to_a_class_in_every_form(
    tmp_path: Path, word: str, form: Callable[[str], str]
) -> None:
    bare = "".join(c for c in NFD(word) if unicodedata.category(c)[0] != "M")
    table = {bare: np.zeros(2), NFC(word): np.ones(2)}
    if NFC(bare) == NFC(word):  # syllables of letters, without a mark
        del table[bare]
        table[NFC(word)] = np.ones(2)
    for key in (NFC, NFD):
        path = tmp_path / "v.npy"
        named = {key(name): vector for name, vector in table.items()}
        np.save(path, np.array(named, dtype=object), allow_pickle=True)
        for name in (form(word), form(word).upper(), f"{form(word)}!"):
            if class_key(name) == class_key(word):  # not all letters have one counterpart
                found = precomputed.vectors(precomputed.Settings(path=path), [name])
                np.testing.assert_array_equal(found, [[1, 1]])
    assert class_key(form(word)) == class_key(word)
    assert pretrained_on([form(word)], {"one": [NFC(word)]}, {}) == {form(word): ["one"]}
    np.testing.assert_array_equal(
        hashed.vectors(hashed.Settings(dim=8), [form(word)]),
        hashed.vectors(hashed.Settings(dim=8), [NFC(word)]),
    )


@pytest.mark.parametrize("pair", UNLIKE, ids=ascii)
def test_other_words_are_other_classes(pair: tuple[str, str]) -> None:
    for form in (NFC, NFD):
        one, other = map(form, pair)
        assert class_key(one) != class_key(other)
        vectors = hashed.vectors(hashed.Settings(dim=8), [one, other])
        assert not np.allclose(vectors[0], vectors[1])
        assert pretrained_on([one], {"some": [other]}, {}) == {}
