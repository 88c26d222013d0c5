"""Gathering makes one table of all shards, and refuses other media and losing too much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avca_pipeline.artifacts import feature_shards, features, fetched
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import NOTES, Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.hdf5 import STRINGS_AT_ONCE, write_strings
from avca_pipeline.artifacts.stored_features import StoredFeatures
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.requests import GatherRequest
from avca_pipeline.stages import gather

SHARDS = ("00000-of-00002", "00001-of-00002")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Two shards of four clips each: two with features, one rejected by each of two stages."""
    for name in SHARDS:
        made = [f"{name} {number}" for number in range(2)]
        features.write(
            tmp_path / f"c3d/{name}.h5",
            Features(
                clip_ids=made,
                features=np.ones((2, 3), np.float32),
                num_windows=np.ones(2, np.int64),
                is_padded=np.zeros(2, bool),
                rejected={f"{name} 2": "no video stream"},
                media=[f"sum of {clip}" for clip in made],
            ),
        )
        rows = [
            FetchedClip(f"{name} {n}", OK, sha256=f"sum of {name} {n}", size=1) for n in range(3)
        ]
        rows.append(FetchedClip(f"{name} 3", REJECTED, "missing file: it is not there"))
        fetched.write(tmp_path / f"fetched/{name}.csv", rows)
    return tmp_path


def run(world: Path, max_missing: float) -> Features:
    shards = [world / f"c3d/{name}.h5" for name in SHARDS]
    tables = [world / f"fetched/{name}.csv" for name in SHARDS]
    request = GatherRequest(features="c3d", num_shards=len(SHARDS))
    gather.run(request, shards, world / "c3d.h5", tables, max_missing)
    return features.read(world / "c3d.h5")


def test_every_clip_keeps_the_file_it_was_made_from(world: Path) -> None:
    found = run(world, 0.5)
    assert list(found.media) == [f"sum of {clip}" for clip in found.clip_ids]
    assert len(found.clip_ids) == 4


def test_more_is_lost_than_allowed(world: Path) -> None:
    with pytest.raises(PipelineError) as error:
        run(world, 0.49)
    assert "4 of 8 clips have no features; datasets.*.max_missing allows 49%" in str(error.value)
    assert "missing file 2" in str(error.value)
    assert "no video stream 2" in str(error.value)
    assert not (world / "c3d.h5").exists()


@pytest.mark.parametrize("reason", ["no audio stream", "no video stream"])
def test_nothing_usable_is_never_enough(world: Path, reason: str) -> None:
    nothing = np.zeros(0, np.int64)
    for name in SHARDS:
        rejected = {f"{name} {number}": reason for number in range(3)}
        features.write(
            world / f"c3d/{name}.h5",
            Features([], np.zeros((0, 0), np.float32), nothing, nothing > 0, rejected=rejected),
        )
    with pytest.raises(PipelineError, match="8 of 8 clips have no features") as error:
        run(world, 1.0)
    is_silent = reason == "no audio stream"
    assert ("leave audio out of feature_sets" in str(error.value)) == is_silent
    assert not (world / "c3d.h5").exists()


def test_features_of_another_version_of_a_clip(world: Path) -> None:
    table = world / f"fetched/{SHARDS[1]}.csv"
    rows = fetched.read(table)
    fetched.write(table, [FetchedClip(rows[0].clip_id, OK, sha256="another", size=1), *rows[1:]])
    with pytest.raises(PipelineError, match=f"clip '{SHARDS[1]} 0' were made from another file"):
        run(world, 1.0)
    assert not (world / "c3d.h5").exists()


def test_features_of_a_clip_that_was_not_fetched(world: Path) -> None:
    """Also where another clip is of the same file."""
    first, last = (world / f"fetched/{name}.csv" for name in SHARDS)
    of_file, *others = fetched.read(first)
    fetched.write(first, others)
    fetched.write(last, [*fetched.read(last), replace(of_file, clip_id="another")])
    with pytest.raises(PipelineError, match=f"clip '{SHARDS[0]} 0' were made from another file"):
        run(world, 1.0)


def test_features_without_a_file_of_a_clip_that_is_lost(world: Path) -> None:
    shard, table = world / f"c3d/{SHARDS[0]}.h5", world / f"fetched/{SHARDS[0]}.csv"
    made, rows = features.read(shard), fetched.read(table)
    features.write(shard, replace(made, media=["", *made.media[1:]]))
    fetched.write(table, [FetchedClip(rows[0].clip_id, REJECTED, "away"), *rows[1:]])
    with pytest.raises(PipelineError, match=f"clip '{SHARDS[0]} 0' were made from another file"):
        run(world, 1.0)


def test_where_nothing_is_known_of_media_they_are_not_compared(world: Path) -> None:
    for name in SHARDS:
        table = world / f"fetched/{name}.csv"
        rows = [FetchedClip(row.clip_id, REJECTED, "away") for row in fetched.read(table)]
        fetched.write(table, rows)
    assert len(run(world, 1.0).media) == 4
    for name in SHARDS:
        made = features.read(world / f"c3d/{name}.h5")
        features.write(world / f"c3d/{name}.h5", replace(made, media=()))
        rows = [FetchedClip(row.clip_id, OK, sha256="another", size=1) for row in rows]
        fetched.write(world / f"fetched/{name}.csv", rows)
    assert len(run(world, 1.0).media) == 0


def drawn_clips(seed: int, *, has_windows: bool) -> list[dict[str, Any]]:
    """Returns what a shard says of each of 60 clips, whose ids are short and long."""
    drawn = np.random.default_rng(seed)
    clips = []
    for number in range(60):
        words = drawn.choice(["a", "Ü", "字", "/", "a rather long word"], drawn.integers(1, 20))
        count = int(drawn.integers(1, 5))
        clips.append({
            "clip_id": "".join(words) + str(number),
            "features": drawn.random(3, np.float32),
            "num_windows": count,
            "is_padded": bool(drawn.integers(2)),
            "notes": drawn.random(len(NOTES)),
            "media": drawn.bytes(32).hex(),
            "windows": drawn.random((count, 3), np.float32) if has_windows else None,
            "starts_s": drawn.random(count),
        })  # fmt: skip
    return clips


def table_of(clips: list[dict[str, Any]], lost: dict[str, str], *, has_media: bool) -> Features:
    """Returns clips as they stand in a file, in their order."""
    windows = None
    if clips and clips[0]["windows"] is not None:
        windows = FeatureWindows(
            np.concatenate([clip["windows"] for clip in clips]),
            np.concatenate([clip["starts_s"] for clip in clips]),
        )
    return Features(
        clip_ids=[clip["clip_id"] for clip in clips],
        features=np.array([clip["features"] for clip in clips], np.float32).reshape(-1, 3),
        num_windows=np.array([clip["num_windows"] for clip in clips], np.int64),
        is_padded=np.array([clip["is_padded"] for clip in clips], bool),
        notes={
            name: np.array([clip["notes"][number] for clip in clips], np.float64)
            for number, name in enumerate(NOTES)
        },
        rejected=lost,
        attributes={"backbone": "drawn", "weights": "random:0"},
        media=[clip["media"] for clip in clips] if has_media else (),
        window_s=1.5,
        hop_s=0.5,
        windows=windows,
    )


@pytest.mark.parametrize("has_media", [True, False])
@pytest.mark.parametrize("has_windows", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_shards_are_copied_in_blocks_into_the_file_that_is_written_at_once(
    seed: int, has_windows: bool, has_media: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte; clips are in no order, some are rejected, and the last shard is empty."""
    clips = drawn_clips(seed, has_windows=has_windows)
    order = np.random.default_rng(seed).permutation(len(clips))
    parts = [[clips[number] for number in part] for part in (*np.split(order, [5, 6, 31]), [])]
    lost = [{f"lost {n}": "no sound", f"also {n}": "away"} for n in range(len(parts))]
    whole = sorted(clips, key=lambda clip: str(clip["clip_id"]))
    all_lost = {clip: reason for of in lost for clip, reason in sorted(of.items())}
    features.write(tmp_path / "at once.h5", table_of(whole, all_lost, has_media=has_media))
    paths = [tmp_path / f"{number}.h5" for number in range(len(parts))]
    for path, part, of_part in zip(paths, parts, lost, strict=True):
        shard = table_of(part, of_part, has_media=has_media)
        if has_windows and not part:
            nothing = FeatureWindows(np.zeros((0, 3), np.float32), np.zeros(0))
            shard = replace(shard, windows=nothing)
        features.write(path, shard)
    monkeypatch.setattr(feature_shards, "BLOCK_BYTES", 7 * 3 * 4)
    feature_shards.write(tmp_path / "all.h5", feature_shards.read(paths))
    assert (tmp_path / "all.h5").read_bytes() == (tmp_path / "at once.h5").read_bytes()
    stored = features.read(tmp_path / "all.h5", most_bytes=0).features
    assert isinstance(stored, StoredFeatures)


def test_many_names_are_written_in_parts_as_at_once(tmp_path: Path) -> None:
    """To the byte: HDF5 converts as many at once by itself."""
    names = [f"clip {number}" for number in range(2 * STRINGS_AT_ONCE + 3)]
    with h5py.File(tmp_path / "parts.h5", "w") as file:
        write_strings(file, "clip_id", names)
    with h5py.File(tmp_path / "at once.h5", "w") as file:
        file.create_dataset("clip_id", data=names, dtype=h5py.string_dtype())
        assert len(file["clip_id"]) == len(names)
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "at once.h5").read_bytes()


def test_a_shard_that_is_lost_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    clips = drawn_clips(0, has_windows=True)
    paths = [tmp_path / f"shards/{number}.h5" for number in range(2)]
    for path, part in zip(paths, (clips[::2], clips[1::2]), strict=True):
        features.write(path, table_of(part, {}, has_media=True))
    whole = feature_shards.read(paths)
    paths[1].unlink()
    with pytest.raises(FormatError, match=r"1\.h5: cannot be read"):
        feature_shards.write(tmp_path / "all.h5", whole)
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
