"""What the features of each partition may change of all that the commands write.

Every example changes the features of one partition's clips, and nothing else, and compares all
files. The learning rate stays the same whatever the validation says: see ``lr_patience``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.numbers.protocol import Protocol, Unequal, candidate, run

SEED = 3
CANDIDATES = {
    "one epoch": candidate(learning_rate=0.03, epochs=1),
    "mid": candidate(learning_rate=0.03, lr_patience=99),
    "high": candidate(learning_rate=0.3, lr_patience=99),
}
PARTITIONS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")

# Which of the things in `left_behind` a partition's features may change, and do.
STAGE_1_TRAINING = {"stage 1: losses", "stage 1: scaling", "stage 1: weights after one epoch"}
CHOICE = {"stage 1: validation", "selection"}
STAGE_2 = {"stage 2: losses", "stage 2: scaling", "stage 2: weights", "stage 2: validation"}
SEEN = {"test: embeddings of seen classes' clips", "test: accuracy of seen classes"}
UNSEEN = {"test: embeddings of unseen classes' clips", "test: accuracy of unseen classes"}
MAY_CHANGE = {
    "train": STAGE_1_TRAINING | CHOICE | STAGE_2 | SEEN | UNSEEN,
    "val_seen": CHOICE | STAGE_2 | SEEN | UNSEEN,
    "val_unseen": CHOICE | STAGE_2 | SEEN | UNSEEN,
    "test_seen": SEEN,
    "test_unseen": UNSEEN,
}
MUST_CHANGE = {
    "train": STAGE_1_TRAINING | {"stage 2: weights", "stage 2: scaling"},
    "val_seen": {"stage 1: validation", "stage 2: weights", "stage 2: scaling"},
    "val_unseen": {"stage 1: validation", "stage 2: weights", "stage 2: scaling"},
    "test_seen": SEEN,
    "test_unseen": UNSEEN,
}


def plain(tensors: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: value.tolist() for name, value in tensors.items()}


def left_behind(done: Protocol) -> dict[str, Any]:
    """Returns all that the files hold, times left out, by what it says."""
    histories = [done.history(name) for name in CANDIDATES]
    epochs = [epoch for history in histories for epoch in history["epochs"]]
    first, of_stage_2, test = done.stage1("one epoch"), done.history2, done.embeddings
    is_unseen = np.isin(test.class_of_clip, np.array(test.class_names)[test.is_unseen])
    per_class = done.scores["per_class"]
    return {
        "stage 1: losses": [epoch["losses"] for epoch in epochs],
        "stage 1: scaling": [plain(done.stage1(name)["scaling"]) for name in CANDIDATES],
        "stage 1: weights after one epoch": plain(first["state"]),
        "stage 1: learning rates": [epoch["learning_rate"] for epoch in epochs],
        "stage 1: validation": [epoch["val"] for epoch in epochs],
        "selection": done.selection,
        "stage 2: losses": [epoch["losses"] for epoch in of_stage_2["epochs"]],
        "stage 2: scaling": plain(done.stage2["scaling"]),
        "stage 2: weights": plain(done.stage2["state"]),
        "stage 2: validation": [epoch["val"] for epoch in of_stage_2["epochs"]],
        "test: embeddings of seen classes' clips": test.clips[~is_unseen].tolist(),
        "test: embeddings of unseen classes' clips": test.clips[is_unseen].tolist(),
        "test: embeddings of classes": test.classes.tolist(),
        "test: accuracy of seen classes": [c for c in per_class if not c["is_unseen"]],
        "test: accuracy of unseen classes": [c for c in per_class if c["is_unseen"]],
        "test: chance and missing": [done.scores["chance"], done.scores["num_missing"]],
    }


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return left_behind(run(Unequal(), tmp_path_factory.mktemp("run"), CANDIDATES, seed=SEED))


@pytest.mark.parametrize("partition", PARTITIONS)
def test_features_change_what_they_may(
    untouched: dict[str, Any], tmp_path: Path, partition: str
) -> None:
    world = Unequal()
    drawn = np.random.default_rng(0)
    for clip in world.clips:
        if clip.partition == partition:
            value = world.features[clip.clip_id]
            world.features[clip.clip_id] = np.float32(
                value[:, ::-1] * drawn.uniform(0.2, 5, value.shape)
            )
    found = left_behind(run(world, tmp_path, CANDIDATES, seed=SEED))
    changed = {what for what in untouched if found[what] != untouched[what]}
    assert changed <= MAY_CHANGE[partition]
    assert changed >= MUST_CHANGE[partition]


def test_what_a_test_clip_changes_is_its_own_embedding(
    untouched: dict[str, Any], tmp_path: Path
) -> None:
    world = Unequal()
    ids = [clip.clip_id for clip in world.usable("test_unseen")]
    world.features[ids[2]] = world.features[ids[2]] + 1
    found = left_behind(run(world, tmp_path, CANDIDATES, seed=SEED))
    name = "test: embeddings of unseen classes' clips"
    pairs = zip(found[name], untouched[name], strict=True)
    assert [row for row, (now, before) in enumerate(pairs) if now != before] == [2]
