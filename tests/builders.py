"""Small data that many tests build on: labelled clips in memory, and one in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import features, labels, split
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    SplitClip,
)
from avca_pipeline.evaluation.labelled_clips import LabelledClips


def labelled_clips(seed: int = 0) -> LabelledClips:
    """Returns clips of six classes, in every partition that a class may be in."""
    generator = np.random.default_rng(seed)
    groups = np.array([TRAIN, TRAIN, TRAIN, VAL_UNSEEN, VAL_UNSEEN, TEST_UNSEEN])
    rows = [
        (label, partition)
        for label, group in enumerate(groups)
        for partition in PARTITIONS
        for _ in range(4)
        if partition == group
        or (group != TEST_UNSEEN and partition == TEST_SEEN)
        or (group == TRAIN and partition == "val_seen")
    ]
    targets = np.array([label for label, _ in rows])
    centres = generator.standard_normal((6, 12))
    return LabelledClips(
        clip_ids=[str(index) for index in range(len(rows))],
        video=(centres[targets] + generator.standard_normal((len(rows), 12))).astype(np.float32),
        audio=(centres[targets] + generator.standard_normal((len(rows), 12))).astype(np.float32),
        class_row=targets,
        partition=np.array([partition for _, partition in rows]),
        class_names=[f"class {label}" for label in range(6)],
        class_group=groups,
        text=generator.standard_normal((6, 10)).astype(np.float32),
        num_missing={},
    )


def numbered_clips() -> LabelledClips:
    """Returns `labelled_clips` with numbers in its arrays that name the clip and the class.

    Column 0 of both features has the row of the clip, column 1 of video its class, and column 0 of
    the text embeddings the row of the class.
    """
    made = labelled_clips()
    for features_of_clips in (made.video, made.audio):
        features_of_clips[:, 0] = np.arange(len(features_of_clips))
    made.video[:, 1] = made.class_row
    made.text[:, 0] = np.arange(6)
    return made


class World:
    """Clips of five classes, of which ``e`` is seen by no stage, with features and vectors."""

    dim = 6  # of a feature

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        partitions = {
            "a": (TRAIN, VAL_SEEN, TEST_SEEN), "b": (TRAIN, VAL_SEEN, TEST_SEEN),
            "c": (VAL_UNSEEN, TEST_SEEN), "d": (VAL_UNSEEN,), "e": (TEST_UNSEEN,),
        }  # fmt: skip
        self.clips = [
            SplitClip(f"{name}{partition}{index}", name, f"{name}{index}", partition)
            for name, possible in partitions.items()
            for partition in possible
            for index in range(3)
        ]
        self.vectors = {name: generator.standard_normal(3) for name in partitions}
        centres = {name: generator.standard_normal(self.dim) for name in partitions}
        self.features = {
            clip.clip_id: centres[clip.class_name] + 0.3 * generator.standard_normal((2, self.dim))
            for clip in self.clips
        }
        self.missing: dict[str, set[str]] = {"video": set(), "audio": set()}

    def write(self, folder: Path) -> dict[str, Path]:
        """Writes what the stages read, each file in an order of its own."""
        paths = {name: folder / name for name in ("split", "labels", "video", "audio")}
        split.write(folder / "split", self.clips)
        names = sorted(self.vectors, reverse=True)
        vectors = np.array([self.vectors[name] for name in names])
        labels.write(folder / "labels", Labels(names, vectors, "drawn"))
        for index, name in enumerate(("video", "audio")):
            ids = sorted(set(self.features) - self.missing[name], reverse=name == "audio")
            table = np.array([self.features[clip][index] for clip in ids])
            ones = np.ones(len(ids), int)
            features.write(folder / name, Features(ids, table, ones, ones > 1))
        return paths
