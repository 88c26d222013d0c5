"""Each check of a split's data meets what it checks for, in data written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline import cli
from avca_pipeline.artifacts import audits, features, fetched, labels, split
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.leakage.data_checks import SplitData, audit_data
from avca_pipeline.leakage.feature_digests import FeatureDigest, digest_features
from avca_pipeline.requests import AuditRequest

PARTITIONS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
# Two clips of each partition, each of a recording of its own: "train 0" and so on.
ROWS = [
    SplitClip(f"{partition} {n}", f"class {index}", f"source of {partition} {n}", partition)
    for index, partition in enumerate(PARTITIONS)
    for n in range(2)
]
CLIPS = [row.clip_id for row in ROWS]
LABELS = Labels([f"class {n}" for n in range(5)], np.eye(5, dtype=np.float32), "made up")


def prints(**changed: np.ndarray | None) -> dict[str, np.ndarray]:
    """Returns fingerprints far from each other but all far on one side of the origin."""
    drawn = np.random.default_rng(0)
    own = {clip: drawn.standard_normal(64).astype(np.float32) for clip in CLIPS}
    found = {clip: 1000 + value for clip, value in own.items()}
    for name, value in changed.items():
        clip = name.replace("__", " ")
        if value is None:
            del found[clip]
        else:
            found[clip] = value
    return found


def data(**changes: Any) -> SplitData:
    fetched = [FetchedClip(clip, OK, sha256=f"sum of {clip}") for clip in CLIPS]
    digests = changes.get("digests", {"one": FeatureDigest(prints())})
    good = SplitData(ROWS, fetched, digests, {"words": LABELS}, 0.9999, 0.25, {"set": [*digests]})
    return replace(good, **changes)


def fetched_but(**changed: dict[str, Any]) -> list[FetchedClip]:
    """Returns the table of fetched clips with some rows changed."""
    by_clip = {name.replace("__", " "): change for name, change in changed.items()}
    return [replace(row, **by_clip.get(row.clip_id, {})) for row in data().fetched]


def failed(of: SplitData) -> dict[str, list[str]]:
    checks = audit_data(of).checks
    return {check.name: check.examples for check in checks if not check.passed}


LOST = {"status": REJECTED, "reason": "download failed: HTTP 404", "sha256": ""}


def test_good_data_pass() -> None:
    assert failed(data()) == {}
    assert len(audit_data(data()).checks) == 6


def test_the_first_reason_is_why_a_clip_is_missing() -> None:
    """Fetching comes first, then the backbones by name; other datasets' clips do not count."""
    of = data(
        fetched=[*fetched_but(train__0=LOST), FetchedClip("stranger", REJECTED, "gone")],
        digests={
            "b": FeatureDigest(
                {}, {"train 0": "late", "train 1": "b", "test_seen 0": "b", "val_seen 0": "b"}
            ),
            "a": FeatureDigest({}, {"train 1": "a", "elsewhere": "a"}),
            "imported": FeatureDigest(
                {}, {"val_seen 1": "not there", "train 1": "c"}, is_imported=True
            ),
        },
        feature_sets={"all": ["a", "b", "imported"], "there": ["imported"], "a": ["a"]},
    )
    expected = {
        "train 0": "download failed: HTTP 404", "train 1": "a", "val_seen 0": "b",
        "test_seen 0": "b",
    }  # fmt: skip
    assert of.lost("all") == expected
    assert of.lost("there") == {}
    assert of.lost("a") == {"train 0": "download failed: HTTP 404", "train 1": "a"}
    assert of.missing() == {**expected, "val_seen 1": "not there"}
    coverage = audit_data(of).coverage
    assert vars(coverage.partitions["train"]) == {
        "clips": 2, "usable": 0, "reasons": {"a": 1, "download failed": 1}
    }  # fmt: skip
    assert list(coverage.partitions) == list(PARTITIONS)
    assert vars(coverage.classes["class 1"]) == {
        "clips": 2, "usable": 0, "reasons": {"b": 1, "not there": 1}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("evaluated", "trained", "is_leak"),
    [
        ("val_seen 0", "train 0", True), ("val_unseen 0", "train 1", True),
        ("test_seen 0", "train 0", True), ("test_seen 0", "val_seen 1", True),
        ("test_unseen 1", "val_unseen 0", True), ("val_seen 0", "val_unseen 0", False),
        ("val_unseen 0", "val_seen 0", False), ("test_seen 0", "test_unseen 0", False),
        ("train 0", "train 1", False), ("test_seen 0", "test_seen 1", False),
    ],
)  # fmt: skip
def test_a_file_or_a_feature_seen_before_is_a_leak(
    evaluated: str, trained: str, is_leak: bool
) -> None:
    key = evaluated.replace(" ", "__")
    same_file = fetched_but(**{key: {"sha256": f"sum of {trained}"}})
    expected: dict[str, list[str]] = {"media_not_trained_on": [evaluated]} if is_leak else {}
    assert failed(data(fetched=same_file)) == expected
    alike = prints()[trained] + np.float32(1e-4)
    copied = FeatureDigest(prints(**{key: alike}))
    expected = {"features_not_trained_on": [f"{evaluated} (like {trained})"]} if is_leak else {}
    assert failed(data(digests={"one": copied})) == expected


def test_clips_of_one_recording_are_not_compared() -> None:
    """That a recording is in two partitions another check counts."""
    rows = [replace(row, source_id="shared") if row.clip_id.endswith("0") else row for row in ROWS]
    same_file = fetched_but(test_seen__0={"sha256": "sum of train 0"})
    copied = FeatureDigest(prints(test_seen__0=prints()["train 0"]))
    assert failed(data(rows=rows, fetched=same_file, digests={"one": copied})) == {}
    # A third recording with the same file makes both of them leaks of it.
    more = [
        replace(row, sha256="sum of train 0") if row.clip_id in ("train 1", "test_seen 0") else row
        for row in data().fetched
    ]
    assert failed(data(rows=rows, fetched=more)) == {"media_not_trained_on": ["test_seen 0"]}


def test_features_are_alike_only_in_all_backbones() -> None:
    copied = FeatureDigest(prints(test_seen__0=prints()["train 0"]))
    assert failed(data(digests={"one": copied, "two": FeatureDigest(prints())})) == {}
    both = {"one": copied, "two": copied}
    assert failed(data(digests=both)) == {"features_not_trained_on": ["test_seen 0 (like train 0)"]}
    # What lacks one of them cannot be compared.
    less = FeatureDigest(prints(test_seen__0=None), {"test_seen 0": "no sound"})
    assert failed(data(digests={"one": copied, "two": less})) == {}


def test_how_much_alike_is_alike() -> None:
    """The cosine is about the mean of all, not about the origin, from which all look alike."""
    drawn = np.random.default_rng(5).standard_normal(64).astype(np.float32)
    near = prints()["train 0"] + 0.2 * drawn
    digests = {"one": FeatureDigest(prints(test_seen__0=near))}
    assert failed(data(digests=digests)) == {}
    assert failed(data(digests=digests, like_features=0.9)) == {
        "features_not_trained_on": ["test_seen 0 (like train 0)"]
    }


@pytest.mark.parametrize("num_backbones", [1, 2, 3])
def test_clips_that_are_just_alike_are_found_in_any_number_of_backbones(num_backbones: int) -> None:
    """Also where all that is between them is in the numbers that the search looks at first."""
    near = prints()["train 0"].copy()
    near[:8] += 1.0
    found = prints(test_seen__0=near)
    rows = np.array([found[clip] for clip in CLIPS], float)
    rows -= rows.mean(axis=0)
    first, second = rows[CLIPS.index("train 0")], rows[CLIPS.index("test_seen 0")]
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    digests = {str(number): FeatureDigest(found) for number in range(num_backbones)}
    assert failed(data(digests=digests, like_features=cosine + 1e-4)) == {}
    assert failed(data(digests=digests, like_features=cosine - 1e-4)) == {
        "features_not_trained_on": ["test_seen 0 (like train 0)"]
    }


def test_every_clip_has_a_feature_or_a_reason() -> None:
    name = "features_accounted_for"
    without = FeatureDigest(prints(train__0=None))
    assert failed(data(digests={"one": without})) == {name: ["train 0 (one)"]}
    excused = FeatureDigest(prints(train__0=None), {"train 0": "no sound"})
    assert failed(data(digests={"one": excused})) == {}
    both = FeatureDigest(prints(), {"train 0": "no sound"})
    assert failed(data(digests={"one": both})) == {name: ["train 0 (one)"]}
    lost = fetched_but(train__0=LOST)
    assert failed(data(fetched=lost, digests={"one": without})) == {}
    # Imported features are of clips that nobody fetched.
    imported = replace(without, is_imported=True)
    assert failed(data(fetched=lost, digests={"one": imported})) == {name: ["train 0 (one)"]}
    assert failed(data(fetched=[], digests={"one": replace(both, rejected={})})) == {}
    stranger = FeatureDigest({**prints(), "stranger": prints()["train 0"] + 99})
    assert failed(data(digests={"one": stranger})) == {name: ["stranger (one)"]}


def test_as_many_clips_may_be_missing_as_the_config_says() -> None:
    """A quarter of twelve is three; what an import leaves out does not count."""
    rows = [*ROWS, replace(ROWS[0], clip_id="train 2"), replace(ROWS[1], clip_id="train 3")]
    reason = "damaged"

    def of(num: int, **more: Any) -> dict[str, list[str]]:
        fetched = [FetchedClip(row.clip_id, OK) for row in rows]
        lost = dict.fromkeys([row.clip_id for row in rows][-num:], reason)
        kept = {row.clip_id: prints().get(row.clip_id, np.arange(64.0)) for row in rows}
        own = {clip: value for clip, value in kept.items() if clip not in lost}
        audit_of = SplitData(
            rows,
            fetched,
            {"one": FeatureDigest(own, lost, **more)},
            {},
            0.9999,
            0.25,
            {"set": ["one"]},
        )
        found = failed(audit_of)
        found.pop("features_not_trained_on", None)
        return found

    assert of(3) == {}
    examples = [f"{row.clip_id} (set: {reason})" for row in rows[-4:]]
    assert of(4) == {"enough_clips_usable": examples}
    assert of(4, is_imported=True) == {}


def test_each_feature_set_counts_its_own_lost_clips() -> None:
    """A video is not lost to features of the picture for want of sound; the worst set is named."""
    silent = dict.fromkeys(CLIPS[:6], "no sound")
    kept = {clip: value for clip, value in prints().items() if clip not in silent}
    digests = {
        "picture": FeatureDigest(prints(), {CLIPS[7]: "damaged"}),
        "sound": FeatureDigest(kept, silent),
    }
    sets = {"both": ["picture", "sound"], "heard": ["sound"], "seen": ["picture"]}

    def found(*names: str, max_missing: float) -> list[str]:
        of = data(
            digests=digests,
            max_missing=max_missing,
            feature_sets={name: sets[name] for name in names},
        )
        return failed(of).get("enough_clips_usable", [])

    share = 1 / len(ROWS)
    assert found("seen", max_missing=1.01 * share) == []
    assert found("seen", max_missing=0.99 * share) == [f"{CLIPS[7]} (seen: damaged)"]
    assert found("heard", "seen", max_missing=6.01 * share) == []
    worst = [f"{clip} (heard: no sound)" for clip in CLIPS[:6]]
    assert found("seen", "heard", max_missing=2 * share) == worst
    assert len(found(*sets, max_missing=6.01 * share)) == 7


def test_all_shards_are_seen(tmp_path: Path) -> None:
    paths = []
    drawn = np.random.default_rng(0).standard_normal((4, 40))
    for number in range(2):
        path = tmp_path / f"{number}.h5"
        features.write(
            path,
            Features(
                [f"clip {number}{n}" for n in range(2)], drawn[2 * number : 2 * number + 2],
                np.ones(2, int), np.zeros(2, bool),
                rejected={f"lost {number}": "no sound"},
                attributes={"backbone": "imported" if number else "c3d"},
            ),
        )  # fmt: skip
        paths.append(path)
    seen = digest_features(paths)
    assert seen.rejected == {"lost 0": "no sound", "lost 1": "no sound"}
    assert sorted(seen.fingerprints) == ["clip 00", "clip 01", "clip 10", "clip 11"]
    assert digest_features(paths[:1]).is_imported is False
    assert digest_features(paths[1:]).is_imported is True


def test_the_command_reads_all_it_is_given(tmp_path: Path) -> None:
    """Features of two backbones, how much may be missing, and how much alike is alike."""
    near = prints()["train 0"] + 0.2 * np.random.default_rng(5).standard_normal(64)
    table = prints(test_seen__0=near.astype(np.float32))
    lost = CLIPS[-3:]
    paths = []
    for backbone in ("one", "two"):
        path = tmp_path / f"features of {backbone}.h5"
        with_features = CLIPS[:-3]
        ones = np.ones(len(with_features), int)
        value = Features(
            with_features, np.array([table[clip] for clip in with_features]), ones, ones > 1,
            rejected=dict.fromkeys(lost, "damaged"), attributes={"backbone": "a plugin"},
        )  # fmt: skip
        features.write(path, value)
        paths.append(path)
    split.write(tmp_path / "mine.csv", ROWS)
    fetched.write(tmp_path / "00000-of-00001.csv", data().fetched)
    labels.write(tmp_path / "words.h5", LABELS)

    def found(max_missing: float, **settings: float) -> tuple[int, dict[str, int]]:
        request = AuditRequest(
            split="mine", plugin="built", settings=settings, max_missing=max_missing,
            num_shards=1, features=["one", "two"], feature_sets={"set": ["one", "two"]},
            text_embeddings=["words"],
        )  # fmt: skip
        code = cli.main(
            ["audit", "--settings", request.model_dump_json(),
             "--split", str(tmp_path / "mine.csv"),
             "--fetched", str(tmp_path / "00000-of-00001.csv"), "--features", *map(str, paths),
             "--labels", str(tmp_path / "words.h5"), "--out", str(tmp_path / "audit.json")]
        )  # fmt: skip
        checks = audits.read_data_audit(tmp_path / "audit.json").checks
        return code, {check.name: check.found for check in checks if check.found}

    assert found(0.3) == (0, {})
    assert found(0.29) == (1, {"enough_clips_usable": 3})
    assert found(0.3, like_features=0.9) == (0, {"features_not_trained_on": 1})
