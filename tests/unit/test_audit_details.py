"""The audit of files, features and text embeddings, clip by clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.leakage.data_checks import SplitData, audit_data
from avca_pipeline.leakage.feature_digests import FeatureDigest, digest_features

DIM = 200
NAMES = {"train": "a", "val_seen": "a", "test_seen": "a", "val_unseen": "b", "test_unseen": "c"}
ROWS = [
    SplitClip(f"{partition} {n}", name, f"source of {partition} {n}", partition)
    for partition, name in NAMES.items()
    for n in range(4)
]


def table(seed: int = 0) -> dict[str, np.ndarray]:
    """Returns features of all clips, none like another."""
    drawn = np.random.default_rng(seed).standard_normal((len(ROWS), DIM)).astype(np.float32)
    return {row.clip_id: vector for row, vector in zip(ROWS, drawn, strict=True)}


def shard(path: Path, of: dict[str, np.ndarray], rejected: dict[str, str], backbone: str) -> Path:
    rows = np.stack(list(of.values())) if of else np.zeros((0, DIM), np.float32)
    one = np.ones(len(of), np.int64)
    value = Features(
        list(of), rows, one, one > 1, rejected=rejected, attributes={"backbone": backbone}
    )
    features.write(path, value)
    return path


def data(**changes: Any) -> SplitData:
    """Returns an audit's data without a fault."""
    labels = Labels(["a", "b", "c"], np.eye(3, dtype=np.float32), "drawn")
    fetched = [FetchedClip(row.clip_id, OK, sha256=f"of {row.clip_id}") for row in ROWS]
    given = {
        "rows": ROWS, "fetched": fetched, "digests": {"one": FeatureDigest(table())},
        "labels": {"words": labels}, "like_features": 0.999, "max_missing": 0.1,
        "feature_sets": {"set": ["one"]},
    } | changes  # fmt: skip
    return SplitData(**given)


def failed(of: SplitData) -> dict[str, dict[str, Any]]:
    checks = audit_data(of).checks
    return {check.name: check for check in checks if not check.passed}


def test_without_a_fault() -> None:
    assert failed(data()) == {}


def test_all_shards_are_seen_and_each_time_alike(tmp_path: Path) -> None:
    clips = list(table().items())
    paths = [
        shard(tmp_path / "0.h5", {}, {"lost 0": "no video stream"}, "some"),
        shard(tmp_path / "1.h5", dict(clips[:7]), {}, "some"),
        shard(tmp_path / "2.h5", {}, {}, "some"),
        shard(tmp_path / "3.h5", dict(clips[7:]), {"lost 1": "no video stream"}, "some"),
    ]
    first, again = digest_features(paths), digest_features(paths)
    assert first.rejected == {"lost 0": "no video stream", "lost 1": "no video stream"}
    assert list(first.fingerprints) == [row.clip_id for row in ROWS]
    for clip, fingerprint in first.fingerprints.items():
        np.testing.assert_array_equal(fingerprint, again.fingerprints[clip])
    assert not first.is_imported
    whole = digest_features([shard(tmp_path / "whole.h5", table(), {}, "some")])
    for clip, fingerprint in first.fingerprints.items():
        np.testing.assert_allclose(fingerprint, whole.fingerprints[clip], rtol=1e-4, atol=1e-4)
    assert digest_features(
        [shard(tmp_path / "imported.h5", table(), {}, features.IMPORTED)]
    ).is_imported


def test_a_fingerprint_keeps_what_is_alike_and_what_is_not(tmp_path: Path) -> None:
    """Also across shards, whose clips are all cast on the same directions."""
    clips = table()
    noise = np.random.default_rng(1).standard_normal(DIM).astype(np.float32)
    clips["test_seen 2"] = clips["train 3"] + 1e-3 * noise
    halves = [dict(list(clips.items())[:10]), dict(list(clips.items())[10:])]
    paths = [shard(tmp_path / f"{n}.h5", half, {}, "some") for n, half in enumerate(halves)]
    found = failed(data(digests={"one": digest_features(paths)}))
    assert set(found) == {"features_not_trained_on"}
    assert found["features_not_trained_on"].examples == ["test_seen 2 (like train 3)"]


def test_a_class_without_a_vector_hides_no_other() -> None:
    """Classes are looked at in the order of their names."""
    words = Labels(["b", "c"], np.ones((2, 5), np.float32), "drawn")
    more = Labels(["c", "a", "b"], np.array([[1, 2], [3, 4], [1, 2]], np.float32), "drawn")
    found = failed(data(labels={"words": words, "more": more}))
    assert set(found) == {"classes_have_own_vectors"}
    assert found["classes_have_own_vectors"].examples == [
        "c (more: as b)", "a (words: none)", "c (words: as b)"
    ]  # fmt: skip
    assert found["classes_have_own_vectors"].found == 3


def test_lost_clips_are_counted_with_their_first_reason() -> None:
    lost = {"train 0": "removed: by its owner", "test_seen 1": "private: video"}
    fetched = [
        FetchedClip(row.clip_id, REJECTED, reason=lost[row.clip_id])
        if row.clip_id in lost
        else FetchedClip(row.clip_id, OK, sha256=f"of {row.clip_id}")
        for row in ROWS
    ]
    rejected = {"train 1": "no video stream", "train 2": "damaged : at 3 s", "train 0": "damaged"}
    kept = {clip: v for clip, v in table().items() if clip not in lost | rejected}
    digests = {"one": FeatureDigest(kept, rejected)}
    found = data(fetched=fetched, digests=digests, max_missing=0.2)
    assert failed(found) == {}  # 4 of 20
    too_many = failed(
        data(fetched=fetched, digests={"one": FeatureDigest(kept, rejected)}, max_missing=0.19)
    )
    assert set(too_many) == {"enough_clips_usable"}
    assert too_many["enough_clips_usable"].examples == [
        "train 0 (set: removed: by its owner)", "train 1 (set: no video stream)",
        "train 2 (set: damaged : at 3 s)", "test_seen 1 (set: private: video)",
    ]  # fmt: skip
    absent = rejected | {"test_seen 1": "not imported"}
    imported = FeatureDigest(kept, absent, is_imported=True)
    assert (
        failed(data(fetched=fetched, digests={"one": imported}, max_missing=0.1)) == {}
    )  # 2 of 20
    audited = audit_data(found)
    assert audited.passed
    partitions = audited.coverage.partitions
    assert list(partitions) == ["train", "val_seen", "val_unseen", "test_seen", "test_unseen"]
    assert vars(partitions["train"]) == {
        "clips": 4, "usable": 1, "reasons": {"damaged": 1, "no video stream": 1, "removed": 1}
    }  # fmt: skip
    assert vars(partitions["test_seen"]) == {"clips": 4, "usable": 3, "reasons": {"private": 1}}
    assert {name: vars(clips) for name, clips in audited.coverage.classes.items()} == {
        "a": {
            "clips": 12, "usable": 8,
            "reasons": {"damaged": 1, "no video stream": 1, "private": 1, "removed": 1},
        },
        "b": {"clips": 4, "usable": 4, "reasons": {}},
        "c": {"clips": 4, "usable": 4, "reasons": {}},
    }  # fmt: skip
