"""Tables that stay on the disk say the same as tables in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import features, manifest, manifest_tables, split
from avca_pipeline.artifacts.atomic import scratch_folder
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.name_digests import digests, find
from avca_pipeline.artifacts.stored_rows import StoredRows
from avca_pipeline.datasets import table
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.leakage.alike import num_like_the_middle
from avca_pipeline.leakage.data_checks import SplitData, audit_data
from avca_pipeline.leakage.feature_digests import digest_features
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.splits import built
from avca_pipeline.splits._sources import ClassSources, ClipNumbers, fill_empty

HARD = [
    'q"uo,te',
    "semi;colon",
    " space ",
    "Ünï-字",
    "-",
    "line\nbreak",
    "carriage\rreturn",
    "nul\0",
]
NUM_SHARDS = 17


def clips(num_each: int = 4) -> list[Clip]:
    """Returns clips of hard names, in no order; one of six has a reason to be unusable."""
    found = [
        Clip(
            f"{name}/{number}", f"source {name}/{number // 2}", f"class {number % 5}",
            f"{name}.mp4", None if number % 2 else 0.1 * number, None if number % 3 else 9e9,
            "nested folder: move it" if (number, name[0]) == (1, "q") else "",
        )
        for name in HARD
        for number in range(num_each)
    ]  # fmt: skip
    random.Random(0).shuffle(found)
    return found


def written(folder: Path, of: Iterator[Clip], rows_in_memory: int) -> None:
    manifest_tables.write(
        of, folder / "manifest.csv", folder / "shards", NUM_SHARDS, "clips.csv", labelled=True,
        rows_in_memory=rows_in_memory,
    )  # fmt: skip


@pytest.mark.parametrize("rows_in_memory", [1, 5, len(HARD) * 4, 1000])
def test_clips_that_pass_by_are_written_as_those_in_memory(
    tmp_path: Path, rows_in_memory: int
) -> None:
    storable = [manifest.storable(clip) for clip in clips()]
    written(tmp_path, iter(clips()), rows_in_memory)
    expected = {"manifest.csv": manifest.content(storable)} | {
        f"shards/{name}.csv": manifest.content(
            clip for clip in storable if manifest.shard_of(clip.clip_id, NUM_SHARDS) == name
        )
        for name in manifest.shard_names(NUM_SHARDS)
    }
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)) for path in files} == set(expected)
    for name, content in expected.items():
        assert (tmp_path / name).read_bytes().decode() == content, name
    assert list(manifest.opened(tmp_path / "manifest.csv")) == sorted(
        storable, key=lambda clip: clip.clip_id
    )


@pytest.mark.parametrize("rows_in_memory", [2, 1000])
def test_an_id_that_occurs_twice_leaves_no_file(tmp_path: Path, rows_in_memory: int) -> None:
    """Also where the two clips are sorted in different parts."""
    again = replace(clips()[0], source_id="another")
    with pytest.raises(FormatError) as error:
        written(tmp_path, iter([*clips(), again]), rows_in_memory)
    assert (
        str(error.value) == f"clips.csv: clip_id {again.clip_id!r} occurs twice; ids must be unique"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_table_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    header = "clip_id,source_id,class_name,path_or_url,start_s,end_s\n"
    path.write_text(header + "a,s,k,v.mp4,,\nb,s,k,v.mp4,late,\n")
    rows = table.clips(table.Settings(path=path))
    assert next(rows).clip_id == "a"
    with pytest.raises(FormatError, match="line 3: start_s is 'late'"):
        next(rows)


def test_stored_rows_are_a_sequence(tmp_path: Path) -> None:
    written(tmp_path, iter(clips()), 1000)
    stored = manifest.opened(tmp_path / "manifest.csv")
    rows = manifest.read(tmp_path / "manifest.csv")
    assert isinstance(stored, StoredRows)
    assert list(stored) == list(stored) == rows
    assert len(stored) == len(rows)
    assert [stored[0], stored[3], stored[-1]] == [rows[0], rows[3], rows[-1]]
    assert stored[2:9:3] == rows[2:9:3]
    assert stored[::-1] == rows[::-1]
    assert stored[5:5] == []
    with pytest.raises(IndexError):
        stored[len(rows)]


def test_a_table_in_another_order_is_read_all_the_same(tmp_path: Path) -> None:
    """And a clip that occurs twice is an error, beside itself or not."""
    path = tmp_path / "table.csv"
    for module, header, row in (
        (manifest, "clip_id,source_id,class_name,path_or_url,start_s,end_s", "{},s,k,v.mp4,,"),
        (split, "clip_id,class_name,source_id,partition", "{},k,s,train"),
    ):
        for ids in ("cab", "abb", "aba"):
            path.write_text("\n".join([header, *(row.format(name) for name in ids), ""]))
            if ids == "cab":
                assert [clip.clip_id for clip in module.opened(path)] == list(ids)
                continue
            with pytest.raises(FormatError, match=f"clip_id '{ids[2]}' occurs twice"):
                module.opened(path)


def test_a_split_is_the_same_from_the_disk_and_from_memory_in_any_order(tmp_path: Path) -> None:
    """With sources that classes share, so that clips are excluded, and classes to be filled up."""
    drawn = random.Random(1)
    many = [
        Clip(f"c{n:03d}", f"s{drawn.randrange(150)}", f"class {n % 8}", "v.mp4") for n in range(600)
    ]
    manifest.write(tmp_path / "manifest.csv", many)
    drawn.shuffle(many)
    chosen = built.Settings(seed=3, val_seen_sources=0.05, test_seen_sources=0.05)
    in_memory = built.build(chosen, many)
    stored = built.build(chosen, manifest.opened(tmp_path / "manifest.csv"))
    assert isinstance(stored.clips, StoredRows)
    assert list(stored.clips) == list(in_memory.clips)
    assert len(stored.clips) == len(in_memory.clips)
    assert stored.excluded == in_memory.excluded
    assert in_memory.excluded
    for name, of in (("memory", in_memory), ("disk", stored)):
        split.write(tmp_path / f"{name}.csv", of.clips)
    assert (tmp_path / "memory.csv").read_bytes() == (tmp_path / "disk.csv").read_bytes()
    assert list(split.opened(tmp_path / "disk.csv")) == split.read(tmp_path / "memory.csv")
    audited = [audit_split(SplitUnderAudit(many, of)) for of in (in_memory, stored)]
    assert audited[0] == audited[1]
    assert audited[0].passed


def test_of_two_sources_as_near_the_first_name_moves() -> None:
    clips_of_a_class = [Clip(f"{n}", name, "class", "v.mp4") for n, name in enumerate("dbca")]
    for order in ("dbca", "abcd", "cdab"):
        by_name = sorted(clips_of_a_class, key=lambda clip: order.index(clip.source_id))
        numbers = ClipNumbers.of(by_name, ["class"], lambda _: 0.5)
        members = ClassSources(numbers.label, numbers.source, 1, 4)
        partition = np.zeros(4, np.int8)
        intervals = [{"train": (0.25, 1.0), "val_seen": (0.0, 0.25)}]
        fill_empty(["class"], intervals, by_name, numbers, members, partition)
        moved = [by_name[numbers.first[n]].source_id for n in np.flatnonzero(partition)]
        assert moved == ["a"]


def test_names_are_found_by_their_digests() -> None:
    names = [f"name {n}" for n in range(50)]
    assert find(digests(names), digests(["name 7", "none", "name 0"])).tolist() == [7, -1, 0]
    assert find(digests([]), digests(["a"])).tolist() == [-1]
    assert find(digests(names), digests([])).tolist() == []


def test_fingerprints_on_the_disk_are_audited_as_those_in_memory(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    rows = [
        split.SplitClip(f"{name} {n}", name, f"source of {name} {n}", name)
        for name in split.PARTITIONS
        for n in range(40)
    ]
    values = drawn.standard_normal((len(rows), 20)).astype(np.float32)
    values[45] = values[3]  # A clip of val_seen with the feature of one that is trained on.
    ones = np.ones(len(rows), int)
    path = tmp_path / "features.h5"
    features.write(path, Features([row.clip_id for row in rows], values, ones, ones > 1))
    found = []
    for out in (None, tmp_path / "prints"):
        digest = digest_features([path], out)
        fetched = [FetchedClip(row.clip_id, OK, sha256=row.clip_id) for row in rows]
        audit = audit_data(SplitData(rows, fetched, {"one": digest}, {}, 0.999, 0.1, {}))
        found.append(audit)
    assert found[0] == found[1]
    (failed,) = [check for check in found[0].checks if not check.passed]
    assert failed.examples == ["val_seen 5 (like train 3)"]


def test_so_many_fingerprints_are_the_same() -> None:
    rows = np.random.default_rng(0).standard_normal((100, 64))
    rows[:90] = rows[0]
    assert num_like_the_middle(rows, 1e-5, enough=89) == 90
    assert num_like_the_middle(rows, 1e-5, enough=90) == 90
    rows[:, 0] = 1.0  # The first column alone would say that all are the same.
    assert num_like_the_middle(rows, 1e-5, enough=95) == 90


def test_a_manifest_by_hand_has_the_names_that_are_checked(tmp_path: Path) -> None:
    by_hand = tmp_path / "manifest.csv"
    by_hand.write_text('clip_id,source_id,class_name,path_or_url,start_s,end_s\na,s,"k\n0",m,,\n')
    assert list(manifest.opened(by_hand)) == manifest.read(by_hand)


def test_a_reason_with_a_carriage_return_is_read_back(tmp_path: Path) -> None:
    given = [replace(clip, reason="gone\rfor good") for clip in clips()[:3]]
    written(tmp_path, iter(given), 2)
    assert {clip.reason for clip in manifest.read(tmp_path / "manifest.csv")} <= {
        "gone\rfor good",
        "unusable name: a line break, a NUL or bytes that are no UTF-8; rename it",
    }


def test_clips_that_cannot_be_read_are_no_fault_of_the_manifest(tmp_path: Path) -> None:
    def torn() -> Iterator[Clip]:
        yield Clip("a", "s", "k", "m")
        (tmp_path / "second list").read_text()

    with pytest.raises(PipelineError, match=r"clips\.csv: cannot be read .*second list"):
        written(tmp_path, torn(), 2)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_says_what_cannot_be_written_and_blames_no_features(tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    whole = Features(["a"], np.ones((1, 4), np.float32), np.ones(1, int), np.ones(1, bool))
    features.write(path, whole)
    with pytest.raises(PipelineError, match=r"/dev/full: cannot be written .No space left"):
        digest_features([path], Path("/dev/full"))


def test_a_folder_for_a_while_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "audits").write_text("a file")
    with (
        pytest.raises(PipelineError, match="cannot be written"),
        scratch_folder(tmp_path / "audits/built.json"),
    ):
        pass
