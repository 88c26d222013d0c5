"""Published lists: downloaded from a real server on this machine and checked; malformed ones."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avca_pipeline.artifacts import manifest
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.commands import lists
from avca_pipeline.errors import PipelineError
from avca_pipeline.published import lists as official_lists
from avca_pipeline.splits import official
from avca_pipeline.stages import split as split_stage
from tests.builders import split_request
from tests.conftest import shared_folder

FILES = {"a/list.csv": b"one", "a/names.txt": b"two", "unknown.csv": b"three"}
KNOWN: dict[str, dict[str, str | None]] = {
    "Mine": {
        name: None if name == "unknown.csv" else hashlib.sha256(content).hexdigest()
        for name, content in FILES.items()
    }
}


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    for name, content in FILES.items():
        (tmp_path / "served" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "served" / name).write_bytes(content)
    handler = functools.partial(Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_lists_are_downloaded_checked_and_pinned(server: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lists.run("Mine", out, server, KNOWN)
    assert all((out / name).read_bytes() == content for name, content in FILES.items())
    shutil.rmtree(tmp_path / "served")
    lists.run("Mine", out, server, KNOWN)  # everything is there and right
    (out / "unknown.csv").write_bytes(b"changed")
    with pytest.raises(PipelineError, match="HTTP 404"):
        lists.run("Mine", out, server, KNOWN)
    with pytest.raises(PipelineError, match="no benchmark 'UFC'; did you mean 'UCF'"):
        lists.run("UFC", out)


def test_another_file_is_not_kept(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/a/names.txt").write_bytes(b"other")
    with pytest.raises(PipelineError, match=r"names\.txt: SHA-256 is .* not the pinned file"):
        lists.run("Mine", tmp_path / "out", server, KNOWN)
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {"list.csv"}


@pytest.mark.parametrize("benchmark", ["UCF", "ActivityNet", "VGGSound"])
def test_the_pinned_checksums_are_those_of_the_published_files(benchmark: str) -> None:
    folder = shared_folder("official")
    for name, sha256 in lists.known_checksums()[benchmark].items():
        if (folder / name).is_file():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name
        else:
            assert sha256 is None, name


STAGES = (*official_lists.STAGES.values(), official_lists.STAGE_2_TRAIN)
MEMBERS = dict(zip(STAGES, ("a", "a", "b", "ab", "c", "ab"), strict=True))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Small lists without a mistake: classes a, b and c."""
    folder = tmp_path / "avgzsl_benchmark_datasets/Mine/class-split"
    (folder / "main_split").mkdir(parents=True)
    (folder / "all_class.txt").write_text("a\nb\nc")
    for stage, classes in MEMBERS.items():
        (folder / "main_split" / f"{stage}.txt").write_text("\n".join(classes))
        rows = [f"{stage}-{name},{name},source {stage}-{name}" for name in classes]
        if stage == "stage_2_train":
            parts = ("stage_1_train-a", "stage_1_val_seen-a", "stage_1_val_unseen-b")
            rows = [f"{part},{part[-1]},source {part}" for part in parts]
        text = "\n".join(["filename,label,source_id", *rows]) + "\n"
        (folder / "main_split" / f"{stage}.csv").write_text(text)
    return tmp_path


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return edit


MISTAKES = {
    "unknown class in a CSV": (
        edited("main_split/stage_1_train.csv", ",a,", ",zebra,"),
        r"stage_1_train\.csv: line 2: class 'zebra' is not in all_class\.txt",
    ),
    "unknown class in a TXT": (
        edited("main_split/stage_2_test_unseen.txt", "c", "zebra"),
        r"stage_2_test_unseen\.txt: class 'zebra' is not in all_class\.txt",
    ),
    "class twice": (edited("all_class.txt", "b", "A"), r"all_class\.txt: class 'A' occurs twice"),
    "clip twice": (
        edited("main_split/stage_1_train.csv", "filename,label,source_id\n",
               "filename,label,source_id\nstage_1_train-a,a,x\n"),
        "line 3: clip 'stage_1_train-a' is listed twice",
    ),
    "clip in two lists": (
        edited("main_split/stage_2_test_seen.csv", "stage_2_test_seen-a", "stage_1_train-a"),
        r"clip 'stage_1_train-a' is in stage_1_train\.csv and in stage_2_test_seen\.csv",
    ),
    "no union": (
        edited("main_split/stage_2_train.csv", "stage_1_train-a", "another"),
        r"stage_2_train\.csv: is not the union",
    ),
    "a column is missing": (
        edited("main_split/stage_1_val_seen.csv", "label", "lable"), "column 'label' is missing"
    ),
    "a cell is missing": (
        edited("main_split/stage_1_val_seen.csv", ",a,", ","), "does not have the header's 3 cells"
    ),
    "not text": (
        lambda folder: (folder / "all_class.txt").write_bytes(b"\xff\xfe\x00"), "UTF-8 text"
    ),
    "a list is missing": (
        lambda folder: (folder / "main_split/stage_1_val_seen.csv").unlink(),
        r"stage_1_val_seen\.csv: no such file",
    ),
    "no sources": (
        edited("main_split/stage_1_train.csv", "source_id", "source"), "add a column source_id"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_malformed_list_is_one_line(published: Path, mistake: str) -> None:
    change, message = MISTAKES[mistake]
    change(published / "avgzsl_benchmark_datasets/Mine/class-split")
    clips = [Clip(f"{stage}-{name}", "s", name, "x") for stage in STAGES for name in MEMBERS[stage]]
    manifest.write(published / "manifest.csv", clips)
    settings = {
        "plugin": "official",
        "settings": {"path": str(published), "benchmark": "Mine"},
        "backbones": {},
    }
    out, audited = published / "split.csv", published / "split.audit.json"
    with pytest.raises(PipelineError, match=message) as caught:
        split_stage.run(split_request(**settings), published / "manifest.csv", out, audited)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert not audited.exists()


def test_lists_and_manifest_need_not_agree_but_it_is_said(published: Path) -> None:
    settings = official.Settings(path=published, benchmark="Mine")
    clips = [
        Clip(f"{stage}-{name}", f"source {stage}-{name}", name.upper() + "!", "x")
        for stage in STAGES[:-1]
        for name in MEMBERS[stage]
    ]
    built = official.build(settings, [*clips[1:], Clip("stranger", "s", "z", "x")])
    assert built.listed_but_missing == [clips[0].clip_id]
    assert built.excluded == {"stranger": "not in the published lists"}
    assert {row.class_name for row in built.clips} == {"A!", "B!", "C!"}
    with pytest.raises(PipelineError, match="of class 'z' in the manifest but of 'a'"):
        official.build(settings, [Clip(clips[0].clip_id, "s", "z", "x")])
    with pytest.raises(PipelineError, match=r"none of the .* clips in the lists of Mine"):
        official.build(settings, [Clip("stranger", "s", "z", "x")])


def test_without_its_own_list_train_is_what_is_left_of_stage_2(published: Path) -> None:
    settings = official.Settings(path=published, benchmark="Mine")
    folder = published / "avgzsl_benchmark_datasets/Mine/class-split/main_split"
    clips = [
        Clip(f"{stage}-{name}", f"source {stage}-{name}", name, "x")
        for stage in STAGES[:-1]
        for name in MEMBERS[stage]
    ]
    whole = official.build(settings, clips)
    (folder / "stage_1_train.csv").unlink()
    assert official.build(settings, clips) == whole
