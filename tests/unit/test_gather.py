"""Gathering refuses features of other media than the fetched ones, and losing too much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import features, fetched
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.errors import PipelineError
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
