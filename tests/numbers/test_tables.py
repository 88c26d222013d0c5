"""What stands in files of features and splits, and what is refused there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline import cli
from avca_pipeline.artifacts import feature_shards, features, labels, split
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.manifest import shard_names
from avca_pipeline.datasets import folder
from avca_pipeline.errors import FormatError

ATTRIBUTES = {"backbone": "c3d", "weights": "random:0", "preprocessing": '{"fps":16}'}


def shard(path: Path, clip_ids: str, **changes: Any) -> Path:
    """Writes a shard of one-letter clips; each clip's numbers follow from its letter."""
    codes = np.array([ord(clip) for clip in clip_ids], float)
    value: dict[str, Any] = {
        "clip_ids": list(clip_ids),
        "features": np.stack([codes, codes + 0.5, -codes], axis=1),
        "num_windows": codes.astype(int) + 1,
        "is_padded": codes % 2 == 0,
        "rejected": {f"lost {path.stem}": "no video stream", f"also {path.stem}": "damaged"},
        "attributes": ATTRIBUTES,
    }
    features.write(path, Features(**{**value, **changes}))
    return path


def test_all_shards_are_one_table_in_the_order_of_the_clips(tmp_path: Path) -> None:
    """Through the command; a shard without clips has no dimension and counts for its reasons."""
    names = shard_names(4)
    empty = {"features": np.zeros((0, 0)), "num_windows": np.zeros(0), "is_padded": np.zeros(0)}
    noted = {"gap_s": np.array([0.7, 0.2, 0.5]), "num_damaged": np.array([7.0, 2, 5])}
    shards = [
        shard(tmp_path / f"{names[0]}.h5", "gbe", notes=noted),
        shard(tmp_path / f"{names[1]}.h5", "", **empty),
        shard(tmp_path / f"{names[2]}.h5", "ad"),
        shard(tmp_path / f"{names[3]}.h5", "hcf"),
    ]
    out = tmp_path / "all.h5"
    request = json.dumps({"features": "all", "num_shards": 4})
    command = ["gather", "--settings", request, "--features", str(shards[0]), "--out", str(out)]
    assert cli.main(command) == 0
    found, codes = features.read(out), np.array([ord(clip) for clip in "abcdefgh"])
    assert list(found.clip_ids) == list("abcdefgh")
    np.testing.assert_array_equal(found.features, np.stack([codes, codes + 0.5, -codes], axis=1))
    assert found.features.dtype == np.float32
    assert found.num_windows.tolist() == (codes + 1).tolist()
    assert found.is_padded.tolist() == (codes % 2 == 0).tolist()
    assert found.notes["gap_s"].tolist() == [0, 0.2, 0, 0, 0.5, 0, 0.7, 0]
    assert found.notes["num_damaged"].tolist() == [0, 2, 0, 0, 5, 0, 7, 0]
    assert found.attributes == ATTRIBUTES
    assert found.rejected == {
        f"{what} {name}": reason
        for name in names
        for what, reason in (("lost", "no video stream"), ("also", "damaged"))
    }


@pytest.mark.parametrize("key", ATTRIBUTES)
def test_shards_of_other_making_are_not_mixed(tmp_path: Path, key: str) -> None:
    """Also where one does not say how it was made."""
    without = {name: value for name, value in ATTRIBUTES.items() if name != key}
    for other in ({**ATTRIBUTES, key: "another"}, without):
        first = shard(tmp_path / "1.h5", "ab")
        paths = [first, shard(tmp_path / "2.h5", "cd"), shard(tmp_path / "3.h5", "ef")]
        feature_shards.read(paths)
        shard(tmp_path / "3.h5", "ef", attributes=other)
        with pytest.raises(FormatError, match=rf"3\.h5: {key} is .* but .* in .*1\.h5"):
            feature_shards.read(paths)


def test_a_clip_in_two_shards_is_refused(tmp_path: Path) -> None:
    paths = [shard(tmp_path / "1.h5", "abc"), shard(tmp_path / "2.h5", "dbe")]
    with pytest.raises(FormatError, match="a clip stands in two shards"):
        feature_shards.read(paths)


def test_shards_of_two_dimensions_are_refused(tmp_path: Path) -> None:
    paths = [
        shard(tmp_path / "1.h5", "abc"),
        shard(tmp_path / "2.h5", "d", features=np.array([[1.0, 2.0]])),
    ]
    with pytest.raises(FormatError, match="dimension differs"):
        feature_shards.read(paths)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    table = np.ones((3, 2))
    table[1, 1] = value
    path = shard(tmp_path / "1.h5", "abc", features=table)
    with pytest.raises(FormatError, match=r"1\.h5: has features that are not finite"):
        features.read(path)
    labels.write(tmp_path / "labels.h5", Labels(list("abc"), table, "made up"))
    with pytest.raises(FormatError, match=r"labels\.h5: has vectors that are not finite"):
        labels.read(tmp_path / "labels.h5")


def test_a_table_that_has_not_a_row_for_each_name_is_refused(tmp_path: Path) -> None:
    for table in (np.ones((2, 2)), np.ones(3)):
        with pytest.raises(FormatError, match="3 clips but features"):
            features.read(shard(tmp_path / "1.h5", "abc", features=table))
        labels.write(tmp_path / "labels.h5", Labels(list("abc"), table, "made up"))
        with pytest.raises(FormatError, match="3 classes but vectors"):
            labels.read(tmp_path / "labels.h5")


def test_windows_are_kept_in_the_order_of_the_clips(tmp_path: Path) -> None:
    windows = FeatureWindows(np.arange(10.0).reshape(5, 2), np.arange(5) / 4)
    path = shard(
        tmp_path / "1.h5", "ab", features=np.ones((2, 2)), num_windows=np.array([2, 3]),
        windows=windows,
    )  # fmt: skip
    assert features.read(path).windows is None
    found = features.read(path, with_windows=True)
    assert found.windows is not None
    np.testing.assert_array_equal(found.windows.values, windows.values)
    np.testing.assert_array_equal(found.windows.starts_s, windows.starts_s)
    # They cannot be lost where a file is written that was read without them.
    copy = tmp_path / "2.h5"
    with pytest.raises(ValueError, match="0 windows to write, and the clips have 5"):
        features.write(copy, features.read(path))
    assert not copy.exists()
    features.write(copy, found)
    assert features.read(copy).has_windows


def test_vectors_stand_beside_their_names(tmp_path: Path) -> None:
    vectors = np.array([[1.0, 2], [3, 4], [5, 6]])
    labels.write(tmp_path / "labels.h5", Labels(["c", "a", "b"], vectors, "made up"))
    found = labels.read(tmp_path / "labels.h5")
    assert found.rows(["a", "b", "c", "a"]).tolist() == [[3, 4], [5, 6], [1, 2], [3, 4]]
    assert found.text_embedding == "made up"
    with pytest.raises(FormatError, match="class 'd' has no text embedding"):
        found.rows(["a", "d"])


SPLIT = """clip_id,class_name,source_id,partition
a1,a,s1,train
a2,a,s2,val_seen
a3,a,s3,test_seen
b1,b,s4,val_unseen
b2,b,s5,test_seen
c1,c,s6,test_unseen
"""


@pytest.mark.parametrize(
    ("line", "edited", "message"),
    [
        ("c1,c,s6,test_unseen", "c1,c,s6,test_unseen\nc2,c,s7,train", "'c' is unseen but .* train"),
        ("a1,a,s1,train", "a1,c,s1,train", "'c' is unseen but clip 'a1' is in train"),
        ("a2,a,s2,val_seen", "a2,c,s2,val_seen", "'c' is unseen but clip 'a2' is in val_seen"),
        ("b1,b,s4,val_unseen", "b1,c,s4,val_unseen", "'c' is unseen .* 'b1' is in val_unseen"),
        ("a3,a,s3,test_seen", "a3,c,s3,test_seen", "'c' is unseen but clip 'a3' is in test_seen"),
        ("a3,a,s3,test_seen", "a3,a,s3,test", "clip 'a3' is in partition 'test'"),
        ("a3,a,s3,test_seen", "a2,a,s3,test_seen", "clip_id 'a2' occurs twice"),
    ],
)
def test_an_edited_split_is_refused(tmp_path: Path, line: str, edited: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(SPLIT)
    found = split.read(path)
    assert [(row.clip_id, row.class_name, row.source_id, row.partition) for row in found] == [
        tuple(text.split(",")) for text in SPLIT.splitlines()[1:]
    ]
    split.write(path, reversed(found))
    assert path.read_text() == SPLIT
    path.write_text(SPLIT.replace(line, edited))
    with pytest.raises(FormatError, match=message):
        split.read(path)


def test_a_pattern_keeps_a_recording_together(tmp_path: Path) -> None:
    """Within a class; the same group in two classes is two recordings."""
    for name in (
        "jump/v_jump_g01_c01.avi", "jump/v_jump_g01_c02.avi", "jump/v_jump_g02_c01.avi",
        "run/v_run_g01_c01.avi", "run/other.avi", "run/.hidden.avi", "run/deep/x.avi",
        ".cache/y.avi", "empty/.keep", "loose.avi",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def sources(pattern: str | None) -> dict[str, str]:
        settings = folder.Settings(path=tmp_path, source_pattern=pattern)
        clips = folder.clips(settings)
        for clip in clips:
            assert folder.locate(settings, clip, tmp_path / "raw") == tmp_path / clip.path_or_url
            assert clip.clip_id == f"{clip.class_name}:{clip.path_or_url.split('/', 1)[1]}"
            assert bool(clip.reason) == (clip.path_or_url == "run/deep/x.avi")
        return {clip.path_or_url: clip.source_id for clip in clips}

    assert sources(r"_(g\d\d)_") == {
        "jump/v_jump_g01_c01.avi": "jump:g01",
        "jump/v_jump_g01_c02.avi": "jump:g01",
        "jump/v_jump_g02_c01.avi": "jump:g02",
        "run/v_run_g01_c01.avi": "run:g01",
        "run/other.avi": "run:other.avi",
        "run/deep/x.avi": "run:x.avi",
    }
    alone = sources(None)
    assert len(set(alone.values())) == len(alone) == 6
