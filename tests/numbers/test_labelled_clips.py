"""Labelled clips: features and text embeddings joined by clip and by class, and their scaling."""

from __future__ import annotations

import numpy as np
import pytest

from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.labelled_clips import LabelledClips, join_clips, learn_scaling

SPLIT = [
    SplitClip(*line.split())
    for line in (
        "c2 b s2 val_seen", "c1 b s1 train", "c3 a s3 train", "c4 d s4 val_unseen",
        "c5 d s5 test_seen", "c6 c s6 test_unseen", "c7 e s7 test_unseen", "c8 b s8 test_seen",
    )
]  # fmt: skip
VECTORS = Labels(list("edcbax"), np.arange(12.0).reshape(6, 2), "drawn")


def table(clips: str, sign: float) -> Features:
    """Returns features that say which clip they are of."""
    ids = [f"c{digit}" for digit in clips]
    values = np.array([[sign * int(digit), 0.5] for digit in clips], np.float32)
    return Features(ids, values, np.ones(len(ids), int), np.zeros(len(ids), bool))


def test_clips_and_classes_are_joined_by_name() -> None:
    """Features of no clip of the split, and vectors of no class of it, are left out."""
    both = {"video": table("865431209", 1.0), "audio": table("123456790", -1.0)}
    found = join_clips(SPLIT, both, VECTORS)
    assert found.clip_ids == ["c1", "c2", "c3", "c4", "c5", "c6"]
    assert found.video[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert found.audio[:, 0].tolist() == [-1, -2, -3, -4, -5, -6]
    assert list(found.class_names) == ["a", "b", "c", "d", "e"]
    assert found.class_row.tolist() == [1, 1, 0, 3, 3, 2]
    assert found.partition.tolist() == [
        "train", "val_seen", "train", "val_unseen", "test_seen", "test_unseen"
    ]  # fmt: skip
    groups = ["train", "train", "test_unseen", "val_unseen", "test_unseen"]
    assert found.class_group.tolist() == groups
    assert found.text.tolist() == [[8, 9], [6, 7], [4, 5], [2, 3], [0, 1]]
    # Class e has lost its only clip, and stays one of the classes to choose from.
    assert found.num_missing == {"test_unseen": 1, "test_seen": 1}


@pytest.mark.parametrize(
    ("without", "partition"),
    [("13", "train"), ("2", "val_seen"), ("4", "val_unseen"), ("58", "test_seen"),
     ("67", "test_unseen")],
)  # fmt: skip
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_a_partition_that_lost_all_its_clips_is_named(
    without: str, partition: str, modality: str
) -> None:
    whole = "12345678"
    kept = "".join(digit for digit in whole if digit not in without)
    pair = {"video": table(whole, 1.0), "audio": table(whole, -1.0)}
    join_clips(SPLIT, pair, VECTORS)
    pair[modality] = table(kept, 1.0)
    with pytest.raises(PipelineError, match=rf"partition {partition}: none of its clips has both"):
        join_clips(SPLIT, pair, VECTORS)
    with pytest.raises(PipelineError, match=rf"partition {partition}: none of its clips has a fea"):
        join_clips(SPLIT, {modality: pair[modality]}, VECTORS)


def test_without_a_modality_every_clip_that_has_the_other_counts() -> None:
    found = join_clips(SPLIT, {"audio": table("12345678", -1.0)}, VECTORS)
    assert found.clip_ids == [f"c{digit}" for digit in range(1, 9)]
    assert found.video.shape == (8, 0)
    assert found.audio[:, 0].tolist() == [-1, -2, -3, -4, -5, -6, -7, -8]
    assert found.num_missing == {}
    with pytest.raises(PipelineError, match="--video: is missing, and the model uses video"):
        found.using("both")


def test_one_modality_alone_is_used_of_the_clips_that_have_both() -> None:
    both = {"video": table("123456", 1.0), "audio": table("12345678", -1.0)}
    whole = join_clips(SPLIT, both, VECTORS)
    found = whole.using("audio")
    assert found.clip_ids == whole.clip_ids == [f"c{digit}" for digit in range(1, 7)]
    assert found.video.shape == (6, 0)
    assert found.audio.tolist() == whole.audio.tolist()
    assert learn_scaling("standard", found, 2).video(found.video).shape == (6, 0)


def many(num_clips: int) -> LabelledClips:
    generator = np.random.default_rng(0)
    return LabelledClips(
        clip_ids=[], video=generator.normal(5, 3, (num_clips, 3)).astype(np.float32),
        audio=generator.normal(-1, 0.1, (num_clips, 2)).astype(np.float32),
        class_row=np.zeros(num_clips, int),
        partition=np.where(np.arange(num_clips) % 2, "test_seen", "train"),
        class_names=[], class_group=np.array([]), text=np.zeros((0, 1)), num_missing={},
    )  # fmt: skip


def test_many_clips_are_scaled_alike() -> None:
    data = many(9001)
    scaling = learn_scaling("standard", data, 1)
    training = data.video[::2].astype(np.float64)
    expected = (data.video - training.mean(0)) / training.std(0)
    np.testing.assert_allclose(scaling.video(data.video), expected, rtol=1e-6, atol=1e-6)
    assert scaling.audio(data.audio).dtype == np.float32
    np.testing.assert_allclose(scaling.audio(data.audio)[::2].std(0), 1, atol=1e-5)


def test_a_dimension_that_does_not_vary_becomes_zero() -> None:
    data = many(100)
    data.video[:, 1] = 0.1  # not exact in binary
    rounded = np.arange(len(data.video)) % 7 == 0
    data.video[rounded, 1] = np.nextafter(data.video[0, 1], np.float32(1))
    data.video[:, 2] *= 1e-3
    scaling = learn_scaling("standard", data, 1)
    found = scaling.video(data.video)
    assert not found[:, 1].any()
    assert found[:, 2].std() == pytest.approx(1, abs=0.3)
