"""The labelled clips of a run as arrays: features, classes and partitions, joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from avca_pipeline.artifacts import stored_features
from avca_pipeline.artifacts.feature_windows import StoredWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.run import BOTH, Modalities
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_UNSEEN,
    TRAIN,
    TRAINING_PARTITIONS,
    VAL_UNSEEN,
    SplitClip,
)
from avca_pipeline.artifacts.stored_features import StoredFeatures
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.clip_windows import ClipWindows

MODALITIES = ("video", "audio")
FeatureRows: TypeAlias = Any
"""An array of ``(clips, dim)`` float32, or `StoredFeatures`, which are read when they are used."""


def used_modalities(modalities: Modalities) -> tuple[str, ...]:
    """Returns the modalities by their names."""
    return MODALITIES if modalities == BOTH else (modalities,)


@dataclass(frozen=True)
class LabelledClips:
    """All clips that have all features of a feature set, and the classes that they belong to.

    Attributes:
        clip_ids: one of each clip, sorted.
        video: ``(clips, video dim)`` float32; a modality that there is not has dimension 0.
        audio: ``(clips, audio dim)`` float32.
        class_row: ``(clips,)``, row of each clip's class in ``class_names``.
        partition: ``(clips,)``, one of the five names each.
        class_names: one of each class, sorted.
        class_group: ``(classes,)``: ``train``, ``val_unseen`` or ``test_unseen``. It says from
            which stage on a class is seen.
        text: ``(classes, text dim)`` float32, the text embedding of each class.
        num_missing: for each partition the number of its clips that lack a feature.
        windows: modality to the clips over time, for methods that look at them so.
    """

    clip_ids: Sequence[str]
    video: FeatureRows
    audio: FeatureRows
    class_row: np.ndarray
    partition: np.ndarray
    class_names: Sequence[str]
    class_group: np.ndarray
    text: np.ndarray
    num_missing: dict[str, int]
    windows: Mapping[str, ClipWindows] = field(default_factory=dict)

    def rows(self, *partitions: str) -> np.ndarray:
        """Returns the rows of the clips in these partitions."""
        return np.flatnonzero(np.isin(self.partition, partitions))

    def only(self, *partitions: str) -> LabelledClips:
        """Returns the same classes with the clips of these partitions alone."""
        rows = self.rows(*partitions)
        return replace(
            self,
            clip_ids=[self.clip_ids[row] for row in rows],
            video=self.video[rows],
            audio=self.audio[rows],
            class_row=self.class_row[rows],
            partition=self.partition[rows],
            windows={name: of_clips.only(rows) for name, of_clips in self.windows.items()},
        )

    def using(self, modalities: Modalities) -> LabelledClips:
        """Returns the same clips with the features of these modalities alone.

        Raises:
            PipelineError: the feature set has no features of one of them.
        """
        used = used_modalities(modalities)
        for name in used:
            if not getattr(self, name).shape[1]:
                raise PipelineError(f"--{name}: is missing, and the model uses {name}; give it")
        nothing: FeatureRows = np.zeros((len(self.clip_ids), 0), np.float32)
        return replace(self, **{name: nothing for name in MODALITIES if name not in used})

    def classes(self, *groups: str) -> np.ndarray:
        """Returns the rows of the classes in these groups."""
        return np.flatnonzero(np.isin(self.class_group, groups))


def join_clips(
    split: Sequence[SplitClip],
    features: Mapping[str, Features],
    labels: Labels,
    windows: Mapping[str, StoredWindows] | None = None,
) -> LabelledClips:
    """Joins a split with features and the text embeddings, by clip and by class.

    Args:
        split: the split.
        features: modality to its features, of both or of one of them.
        labels: the text embeddings.
        windows: modality to the windows in its file, for methods that look at clips over time.

    Raises:
        PipelineError: a partition has no usable clip, or a class has no text embedding.
    """
    row_of_clip = {
        name: {clip: row for row, clip in enumerate(of_modality.clip_ids)}
        for name, of_modality in features.items()
    }
    ordered = sorted(split, key=lambda row: row.clip_id)
    usable = [row for row in ordered if all(row.clip_id in of for of in row_of_clip.values())]
    needed = "both a video and an audio feature" if len(features) > 1 else "a feature"
    for partition in PARTITIONS:
        if not any(row.partition == partition for row in usable):
            raise PipelineError(
                f"partition {partition}: none of its clips has {needed}; "
                "see the rejected clips in the features files"
            )
    class_names = sorted({row.class_name for row in ordered})
    class_row = {name: row for row, name in enumerate(class_names)}
    groups = _class_groups(ordered)
    arrays: dict[str, FeatureRows] = {
        name: np.zeros((len(usable), 0), np.float32) for name in MODALITIES
    }
    over_time = {}
    for name, of_modality in features.items():
        rows = np.array([row_of_clip[name][row.clip_id] for row in usable])
        arrays[name] = of_modality.features[rows]
        if windows:
            over_time[name] = ClipWindows(windows[name], rows)
    return LabelledClips(
        clip_ids=[row.clip_id for row in usable],
        **arrays,
        class_row=np.array([class_row[row.class_name] for row in usable]),
        partition=np.array([row.partition for row in usable]),
        class_names=class_names,
        class_group=np.array([groups[name] for name in class_names]),
        text=labels.rows(class_names),
        num_missing=dict(
            Counter(row.partition for row in ordered) - Counter(row.partition for row in usable)
        ),
        windows=over_time,
    )


@dataclass(frozen=True)
class Scaling:
    """Shift and factor of each feature dimension, computed from training clips only."""

    video_mean: np.ndarray
    video_factor: np.ndarray
    audio_mean: np.ndarray
    audio_factor: np.ndarray

    def video(self, features: FeatureRows) -> FeatureRows:
        """Returns scaled video features, ``(clips, dim)`` float32."""
        return _scaled(features, self.video_mean, self.video_factor)

    def audio(self, features: FeatureRows) -> FeatureRows:
        """Returns scaled audio features, ``(clips, dim)`` float32."""
        return _scaled(features, self.audio_mean, self.audio_factor)


def _scaled(features: FeatureRows, mean: np.ndarray, factor: np.ndarray) -> FeatureRows:
    """Returns float32 features, scaled in float64 a block at a time to save memory."""
    if isinstance(features, StoredFeatures):
        return features.scaled(lambda read: _scaled(read, mean, factor))
    scaled = np.empty(features.shape, np.float32)
    for start in range(0, len(features), 4096):
        block = slice(start, start + 4096)
        scaled[block] = (features[block] - mean) * factor
    return scaled


def learn_scaling(kind: str, problem: LabelledClips, stage: int) -> Scaling:
    """Returns the scaling of a feature set.

    ``none`` is the published choice. ``standard`` gives every dimension mean 0 and variance 1
    over the clips that the stage trains on, and no others; a dimension that never varies becomes 0.
    """
    rows = problem.rows(*TRAINING_PARTITIONS[stage])

    def shift_and_factor(features: FeatureRows) -> tuple[np.ndarray, np.ndarray]:
        dim = features.shape[1]
        if kind == "none":
            return np.zeros(dim), np.ones(dim)
        mean, spread = _moments(features[rows])
        floor = 1e-6 * max(float(spread.max(initial=0.0)), 1e-30)
        return mean, np.where(spread > floor, 1 / np.maximum(spread, floor), 0.0)

    return Scaling(*shift_and_factor(problem.video), *shift_and_factor(problem.audio))


def _moments(features: FeatureRows) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the standard deviation of each column."""
    if isinstance(features, StoredFeatures):
        return stored_features.moments(features)
    values = features.astype(np.float64)
    return values.mean(axis=0), values.std(axis=0)


def _class_groups(split: Sequence[SplitClip]) -> dict[str, str]:
    groups = {row.class_name: TRAIN for row in split}
    for group in (VAL_UNSEEN, TEST_UNSEEN):
        groups |= {row.class_name: group for row in split if row.partition == group}
    return groups
