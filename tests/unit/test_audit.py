"""Leaks that only files, features and text embeddings give away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import audits, features
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import PARTITIONS, SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage.data_checks import SplitData, audit_data
from avca_pipeline.leakage.feature_digests import FeatureDigest, digest_features
from avca_pipeline.leakage.levels import AuditLevels
from avca_pipeline.leakage.pretraining import pretrained_on
from avca_pipeline.requests import AuditRequest
from avca_pipeline.stages import audit as stage

DIM = 40
CLASS_OF = {"test_unseen": "far", "val_unseen": "near"}
ROWS = [
    SplitClip(f"{partition}-{n}", CLASS_OF.get(partition, "seen"), f"{partition}-s{n}", partition)
    for partition in PARTITIONS
    for n in range(30)
]
FETCHED = [FetchedClip(row.clip_id, OK, sha256=f"sum of {row.clip_id}") for row in ROWS]
LABELS = Labels(["far", "near", "seen"], np.eye(3, dtype=np.float32), "made up")


def shard(path: Path, changed: dict[str, np.ndarray], rejected: tuple[str, ...] = ()) -> Path:
    rng = np.random.default_rng(1)
    table = {row.clip_id: 5 + rng.standard_normal(DIM, np.float32) for row in ROWS} | changed
    kept = [clip for clip in table if clip not in rejected]
    features.write(
        path,
        Features(
            kept,
            np.stack([table[clip] for clip in kept]),
            np.ones(len(kept), np.int64),
            np.zeros(len(kept), bool),
            rejected=dict.fromkeys(rejected, "damaged: on purpose"),
            attributes={"backbone": "some"},
        ),
    )
    return path


@pytest.fixture
def data(tmp_path: Path) -> SplitData:
    seen = digest_features([shard(tmp_path / "good.h5", {})])
    return SplitData(ROWS, FETCHED, {"one": seen}, {"words": LABELS}, 0.9999, 0.1, {"set": ["one"]})


def failed(data: SplitData) -> dict[str, dict]:
    checks = audit_data(data).checks
    return {check.name: check for check in checks if not check.passed}


def test_nothing_is_found_where_nothing_is(data: SplitData) -> None:
    assert failed(data) == {}
    off = AuditLevels(media_not_trained_on="off")
    names = {check.name for check in audit_data(data, off.by_check()).checks}
    assert "media_not_trained_on" not in names
    assert len(names) == 5


def test_the_same_file_under_two_names(data: SplitData) -> None:
    """Only where one of the two is trained on before the other is evaluated."""

    def copied(clip: str, original: str) -> SplitData:
        sha256 = f"sum of {original}"
        rows = [replace(r, sha256=sha256) if r.clip_id == clip else r for r in FETCHED]
        return replace(data, fetched=rows)

    found = failed(copied("test_seen-0", "val_unseen-3"))["media_not_trained_on"]
    assert found.by_partition == {
        "val_seen": 0, "val_unseen": 0, "test_seen": 1, "test_unseen": 0
    }  # fmt: skip
    assert found.examples == ["test_seen-0"]
    assert failed(copied("val_seen-1", "train-2"))["media_not_trained_on"].found == 1
    assert not failed(copied("train-1", "train-2"))
    assert not failed(copied("test_seen-1", "test_unseen-2"))


def test_features_that_are_almost_the_same(data: SplitData, tmp_path: Path) -> None:
    original = next(iter(data.digests.values()))
    rng = np.random.default_rng(1)
    own = {row.clip_id: 5 + rng.standard_normal(DIM, np.float32) for row in ROWS}
    noise = np.random.default_rng(2).standard_normal(DIM, np.float32)
    copy = {"test_unseen-4": own["train-9"] + 1e-3 * noise}
    leaking = digest_features([shard(tmp_path / "copy.h5", copy)])
    found = failed(replace(data, digests={"one": leaking}))
    assert set(found) == {"features_not_trained_on"}
    assert found["features_not_trained_on"].examples == ["test_unseen-4 (like train-9)"]
    assert found["features_not_trained_on"].level == "warning"
    # Alike in one modality alone is no sign: many clips are silent.
    assert not failed(replace(data, digests={"one": leaking, "two": original}))
    silence = dict.fromkeys(own, np.zeros(DIM, np.float32))
    silent = digest_features([shard(tmp_path / "silent.h5", silence)])
    assert set(failed(replace(data, digests={"one": silent}))) == {"features_differ"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (lambda own: np.zeros(DIM, np.float32), "150 of 150 clips have the same feature"),
        (lambda own: np.arange(DIM, dtype=np.float32), "150 of 150 clips have the same feature"),
        (lambda own: np.full(DIM, own[0]), "one number in all dimensions of 150 clips"),
    ],
    ids=["zero", "constant", "flat"],
)
def test_features_that_say_nothing(
    data: SplitData, tmp_path: Path, value: Callable[[np.ndarray], np.ndarray], says: str
) -> None:
    rng = np.random.default_rng(3)
    own = {row.clip_id: rng.standard_normal(DIM, np.float32) for row in ROWS}
    nothing = {clip: value(feature) for clip, feature in own.items()}

    def found(num_that_differ: int) -> dict[str, dict]:
        some = dict(list(own.items())[:num_that_differ])
        path = shard(tmp_path / "nothing.h5", nothing | some)
        return failed(
            replace(data, digests={"one": data.digests["one"], "two": digest_features([path])})
        )

    check = found(0)["features_differ"]
    assert check.examples == [f"two ({says})"]
    assert check.level == "error"
    assert "features_differ" in found(5)
    assert "features_differ" not in found(10)


def test_few_clips_or_nearly_equal_features_are_no_sign(data: SplitData, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    near = {row.clip_id: 1 + 1e-3 * rng.standard_normal(DIM, np.float32) for row in ROWS}
    assert "features_differ" not in failed(
        replace(data, digests={"one": digest_features([shard(tmp_path / "near.h5", near)])})
    )
    assert "features_differ" not in failed(
        replace(
            data,
            digests={
                "one": FeatureDigest({"train-0": np.zeros(64, np.float32)}),
                "two": FeatureDigest(),
            },
        )
    )


def test_a_class_whose_vector_is_zero_has_none(data: SplitData) -> None:
    vectors = np.eye(3, dtype=np.float32)
    vectors[1] = 0
    found = failed(replace(data, labels={"words": replace(LABELS, vectors=vectors)}))
    assert found["classes_have_own_vectors"].examples == ["near (words: only zeros)"]


def test_clips_and_classes_without_what_they_need(data: SplitData, tmp_path: Path) -> None:
    one = data.digests["one"]
    less = {clip: row for clip, row in one.fingerprints.items() if clip != "train-5"}
    assert set(failed(replace(data, digests={"one": FeatureDigest(less)}))) == {
        "features_accounted_for"
    }
    more = {**one.fingerprints, "stranger": one.fingerprints["train-5"]}
    assert set(failed(replace(data, digests={"one": FeatureDigest(more)}))) == {
        "features_accounted_for"
    }
    same = replace(LABELS, vectors=np.ones((3, 2), np.float32))
    missing = Labels(["far", "seen"], np.eye(2, dtype=np.float32), "made up")
    for labels, num in ((same, 2), (missing, 1)):
        found = failed(replace(data, labels={"words": labels}))
        assert found["classes_have_own_vectors"].found == num


def test_missing_clips_are_counted_and_too_many_stop(data: SplitData, tmp_path: Path) -> None:
    lost = [f"train-{n}" for n in range(10)] + ["test_seen-1"]
    fetched = [
        replace(row, status=REJECTED, reason="download failed: HTTP 404", sha256="")
        if row.clip_id in lost
        else row
        for row in FETCHED
    ]
    seen = digest_features([shard(tmp_path / "less.h5", {}, rejected=("test_seen-2",))])
    left = {clip: row for clip, row in seen.fingerprints.items() if clip not in lost}
    some = replace(data, fetched=fetched, digests={"one": FeatureDigest(left, seen.rejected)})
    coverage = audit_data(some).coverage
    assert vars(coverage.partitions["train"]) == {
        "clips": 30, "usable": 20, "reasons": {"download failed": 10}
    }  # fmt: skip
    assert coverage.partitions["test_seen"].reasons == {"damaged": 1, "download failed": 1}
    assert vars(coverage.classes["far"]) == {"clips": 30, "usable": 30, "reasons": {}}
    assert failed(some) == {}  # 12 of 150
    assert failed(replace(some, max_missing=0.07))["enough_clips_usable"].found == 12


def test_the_stage_stops_on_errors_alone(tmp_path: Path) -> None:
    from avca_pipeline.artifacts import fetched, labels, split

    shard(tmp_path / "features/one/00000-of-00001.h5", {})
    rows = [*FETCHED[1:], replace(FETCHED[0], sha256=FETCHED[-1].sha256)]
    fetched.write(tmp_path / "fetched.csv", rows)
    labels.write(tmp_path / "words.h5", LABELS)
    split.write(tmp_path / "built.csv", ROWS)

    def run(level: str) -> None:
        stage.run(
            AuditRequest(
                split="mine", plugin="built", settings={"audit": {"media_not_trained_on": level}},
                max_missing=0.1, num_shards=1, features=["one"], feature_sets={"set": ["one"]},
                text_embeddings=["words"],
            ),
            tmp_path / "built.csv",
            [tmp_path / "fetched.csv"],
            [tmp_path / "features/one/00000-of-00001.h5"],
            [tmp_path / "words.h5"],
            tmp_path / "audit.json",
        )  # fmt: skip

    run("warning")
    assert not audits.read_data_audit(tmp_path / "audit.json").passed
    run("off")
    assert audits.read_data_audit(tmp_path / "audit.json").passed
    (tmp_path / "audit.json").unlink()
    with pytest.raises(PipelineError, match=r"'mine': 1 check\(s\) .* media_not_trained_on"):
        run("error")
    assert not audits.read_data_audit(
        tmp_path / "audit.json"
    ).passed  # what has failed can be read up


def test_pretraining_is_matched_by_name_and_alias_but_never_by_likeness() -> None:
    known = {"c3d": ("marching band", "Typing"), "other": ("typing",)}
    names = ["BandMarching", "typing", "Type"]
    assert pretrained_on(names, known, {}) == {"typing": ["c3d", "other"]}
    aliases = {"Band Marching": ("Marching Band",)}
    assert pretrained_on(names, known, aliases) == {
        "BandMarching": ["c3d"],
        "typing": ["c3d", "other"],
    }
