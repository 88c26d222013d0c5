"""The lists of clips as planning foresees them, against those that the stage writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.artifacts import clip_lists, manifest
from avca_pipeline.artifacts.manifest import shard_of
from avca_pipeline.config import Config, parse
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.listing import listing
from avca_pipeline.planning.table_rows import UnusualTableError, table_rows
from avca_pipeline.stages import manifest as stage
from tests.builders import manifest_request

HEADER = "clip_id,source_id,class_name,path_or_url,start_s,end_s"
ROWS = [f"clip{n:02d},s{n // 2},class {n % 3},{n}.mp4,," for n in range(40)]
NUM_SHARDS = 3


def config(folder: Path, **more: Any) -> Config:
    entry = {"plugin": "table", "path": str(folder / "t.csv"), "num_shards": NUM_SHARDS, **more}
    return parse({"datasets": {"mine": entry}, "backbones": {"c3d": {}}})


def written(folder: Path, rows: list[str], header: str = HEADER, **more: Any) -> dict[str, str]:
    """Writes a table; returns what planning foresees of it."""
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return listing(config(folder, **more), "mine")


def made(folder: Path, **more: Any) -> dict[str, str]:
    """Runs the stage; returns what it has written."""
    settings = {"path": str(folder / "t.csv"), **more}
    request = manifest_request("table", settings, num_shards=NUM_SHARDS)
    out = folder / "results/mine"
    stage.run(request, out / "manifest.csv", out / "shards")
    paths = [out / "manifest.csv", *sorted((out / "shards").iterdir())]
    return {path.relative_to(out.parent).as_posix(): clip_lists.of_file(path) for path in paths}


UNLABELLED: dict[str, Any] = {"labelled": False}
TABLES: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "plain": (ROWS, HEADER, {}),
    "times": ([f"{row[:-1]}0{n}.50,1e2" for n, row in enumerate(ROWS)], HEADER, {}),
    "quotes": ([*ROWS, 'a,s,"dogs, ""barking""",a.mp4,,'], HEADER, {}),
    "other script": ([*ROWS, "ж\u00a0,s,Ünïcode\u200b,a.mp4,,"], HEADER, {}),
    "other columns": ([f"{row},x,no sound" for row in ROWS], f"{HEADER},x,no_media_because", {}),
    "no classes": ([f"c{n},c{n}.mp4,," for n in range(9)], "clip_id,path_or_url,start_s,end_s",
                   UNLABELLED),
    "some sources": ([f"c{n},{'s' * (n % 2)},c{n}.mp4,," for n in range(9)],
                     "clip_id,source_id,path_or_url,start_s,end_s", UNLABELLED),
    "blank line": ([*ROWS[:5], "", *ROWS[5:]], HEADER, {}),
    "spaces for no time": ([*ROWS, "a,s,c,a.mp4, ,"], HEADER, {}),
    "unstorable": ([*ROWS, 'a,s,"two\nlines",a.mp4,,'], HEADER, {}),
}  # fmt: skip
READ_BY_CLIP = ("blank line", "spaces for no time", "unstorable")


@pytest.mark.parametrize("name", TABLES)
def test_what_is_foreseen_is_written(tmp_path: Path, name: str) -> None:
    rows, header, more = TABLES[name]
    assert written(tmp_path, rows, header, **more) == made(tmp_path, **more)
    read = table_rows(tmp_path / "t.csv", labelled=not more)
    if name in READ_BY_CLIP:
        with pytest.raises(UnusualTableError):
            list(read)
    else:
        assert sum(len(clip_ids) for clip_ids, _ in read) == len(rows)


def test_other_datasets_are_foreseen_too(tmp_path: Path) -> None:
    (tmp_path / "clips/a").mkdir(parents=True)
    for name in ("1.mp4", "2.mp4"):
        (tmp_path / "clips/a" / name).touch()
    entry = {"plugin": "folder", "path": str(tmp_path / "clips"), "num_shards": 2}
    found = listing(parse({"datasets": {"mine": entry}, "backbones": {"c3d": {}}}), "mine")
    clips = [manifest.Clip(f"a:{n}.mp4", f"a:{n}.mp4", "a", f"a/{n}.mp4") for n in (2, 1)]
    for path, digest in found.items():
        manifest.write(
            tmp_path / "list.csv",
            [clip for clip in clips if Path(path).stem in ("manifest", shard_of(clip.clip_id, 2))],
        )
        assert clip_lists.of_file(tmp_path / "list.csv") == digest


def test_the_order_of_a_table_does_not_count(tmp_path: Path) -> None:
    assert written(tmp_path, ROWS) == written(tmp_path, ROWS[::-1])


def test_new_clips_change_their_shards_alone(tmp_path: Path) -> None:
    before = written(tmp_path, ROWS)
    after = written(tmp_path, [*ROWS, "new,s,class 1,new.mp4,,"])
    changed = {path for path in before if after[path] != before[path]}
    assert changed == {"mine/manifest.csv", f"mine/shards/{shard_of('new', NUM_SHARDS)}.csv"}


@pytest.mark.parametrize(
    "change",
    [
        *({column: "0.5"} for column in range(6)),
        {1: "s0c", 2: "lass 0"},
    ],
)
def test_every_cell_counts(tmp_path: Path, change: dict[int, str]) -> None:
    cells = ROWS[0].split(",")
    for column, text in change.items():
        cells[column] = text
    before = written(tmp_path, ROWS)["mine/manifest.csv"]
    assert written(tmp_path, [",".join(cells), *ROWS[1:]])["mine/manifest.csv"] != before


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROWS[7], "clip_id 'clip07' occurs twice"),
        ("a,,c,a.mp4,,", "clip 'a' has no source_id"),
        ("a,s,c,a.mp4,2,1", "clip 'a' ends at 1.0 s"),
        ("a,s,c,a.mp4,-1,", "start_s is '-1'"),
        ("a,s,c,a.mp4,inf,", "start_s is 'inf'"),
        ("a,s,c,a.mp4,nan,", "start_s is 'nan'"),
        ("a,s,c", "line 42 does not have the header's 6 cells"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        written(tmp_path, [*ROWS, row])
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}: ")


def test_a_table_is_read_again_only_if_it_was_touched(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("one")
    memory = tmp_path / "memory.json"
    digests = Digests(memory)
    assert digests.of_listing("lists", [table], lambda: {"a": "1"}) == {"a": "1"}
    digests.save()
    assert Digests(memory).of_listing("lists", [table], lambda: {"a": "2"}) == {"a": "1"}
    assert Digests(memory).of_listing("other", [table], lambda: {"a": "2"}) == {"a": "2"}
    os.utime(table, (2e9, 2e9))
    assert Digests(memory).of_listing("lists", [table], lambda: {"a": "2"}) == {"a": "2"}
    for files in ([], [tmp_path], [table, tmp_path]):
        for value in ({"a": "3"}, {"a": "4"}):
            assert digests.of_listing("folders", files, lambda value=value: value) == value
