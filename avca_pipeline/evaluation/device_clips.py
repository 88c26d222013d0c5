"""Clips on the device of the network: those to learn from, apart from those to classify."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAINING_PARTITIONS,
    VAL_SEEN,
    VAL_UNSEEN,
)
from avca_pipeline.artifacts.stored_features import StoredFeatures
from avca_pipeline.evaluation.class_numbers import numbers_within
from avca_pipeline.evaluation.clip_windows import ClipWindows
from avca_pipeline.evaluation.labelled_clips import FeatureRows, LabelledClips, Scaling
from avca_pipeline.models import Batch, BatchOverTime, ClassKnowledge, Windows
from avca_pipeline.runtime.lazy import torch

EVALUATED_PARTITIONS = {1: (VAL_SEEN, VAL_UNSEEN), 2: (TEST_SEEN, TEST_UNSEEN)}
"""For each stage, the partitions by whose clips its network is evaluated."""
UNSEEN_GROUP = {1: VAL_UNSEEN, 2: TEST_UNSEEN}
"""For each stage, the group of classes that are unseen when its network is evaluated."""


@dataclass(frozen=True)
class RowsInFile:
    """Features that stay in their file; what is asked for as of a tensor is read.

    Attributes:
        stored: the rows, scaled.
        target: device that they go to once they are read.
    """

    stored: StoredFeatures
    target: str

    @property
    def device(self) -> torch.device:
        """Where the numbers of rows are wanted: on the CPU, which reads them."""
        return torch.device("cpu")

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of numbers of a row."""
        return self.stored.shape

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Reads the rows with these numbers."""
        return torch.from_numpy(self.stored[rows.numpy()].read()).to(self.target)

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Reads so many rows at a time."""
        for block in self.stored.blocks(size):
            yield torch.from_numpy(block).to(self.target)


DeviceRows: TypeAlias = Any
"""A tensor of ``(clips, dim)``, or `RowsInFile`, which is asked for rows as one is."""


@dataclass(frozen=True)
class TrainingClips:
    """The clips that a stage trains on, and no others. `class_numbers` explains the numbers.

    Attributes:
        stage: of the protocol, 1 or 2.
        video: ``(clips, video dim)``, scaled.
        audio: ``(clips, audio dim)``, scaled.
        class_text: ``(classes, text dim)``, text embeddings of the classes that are trained on.
        text_row: ``(clips,)``, row of each clip's class in ``class_text``.
        class_row: ``(clips,)``, row of each clip's class among all classes.
        windows: modality to the clips over time, scaled, for methods that look at them so.
    """

    stage: int
    video: DeviceRows
    audio: DeviceRows
    class_text: torch.Tensor
    text_row: torch.Tensor
    class_row: np.ndarray
    windows: Mapping[str, ClipWindows] = field(default_factory=dict)

    @property
    def row_device(self) -> torch.device:
        """Where `batch` wants the numbers of rows: on the CPU where clips are read from files."""
        of_files = [rows for rows in (self.video, self.audio) if isinstance(rows, RowsInFile)]
        if self.windows or of_files:
            return torch.device("cpu")
        device: torch.device = self.video.device
        return device

    def batch(self, positive: torch.Tensor, negative: torch.Tensor) -> Any:
        """Returns a `Batch`, or, for methods that look at clips over time, a `BatchOverTime`.

        Args:
            positive: ``(batch,)``, rows of clips, on the `row_device`.
            negative: ``(batch,)``, for each a clip of another class.
        """
        text_row = self.text_row[positive]
        if self.windows:
            return BatchOverTime(
                self.windows["video"].read(positive), self.windows["audio"].read(positive),
                self.class_text[text_row], self.class_text, text_row,
            )  # fmt: skip
        return Batch(
            self.video[positive], self.audio[positive], self.class_text[text_row],
            self.video[negative], self.audio[negative], self.class_text[self.text_row[negative]],
            self.class_text, text_row,
        )  # fmt: skip


@dataclass(frozen=True)
class EvaluationSet:
    """Clips to classify, the classes that they may belong to, and what a model may use for it.

    Attributes:
        clip_ids: one of each clip.
        video: ``(clips, video dim)``, scaled, on the device.
        audio: ``(clips, audio dim)``, scaled, on the device.
        column: ``(clips,)``, column of each clip's own class.
        class_row: ``(classes,)``, row of each column's class among all classes.
        knowledge: what a model may know of the classes. None of the clips above is in it.
        windows: modality to the clips over time, scaled, for methods that look at them so.
    """

    clip_ids: Sequence[str]
    video: DeviceRows
    audio: DeviceRows
    column: np.ndarray
    class_row: np.ndarray
    knowledge: ClassKnowledge
    windows: Mapping[str, ClipWindows] = field(default_factory=dict)

    def blocks_over_time(self, num_clips: int) -> Iterator[tuple[Windows, Windows]]:
        """Yields video and audio of so many clips at a time, for methods over time."""
        for clips in torch.arange(len(self.clip_ids)).split(num_clips):
            yield self.windows["video"].read(clips), self.windows["audio"].read(clips)

    @property
    def is_unseen(self) -> np.ndarray:
        """For each class whether it is unseen, ``(classes,)``."""
        return self.knowledge.is_unseen


def training_clips(
    labelled: LabelledClips, scaling: Scaling, stage: int, device: str
) -> TrainingClips:
    """Returns the clips that a stage trains on: all on the device, or in their files."""
    partitions = TRAINING_PARTITIONS[stage]
    rows, classes = labelled.rows(*partitions), labelled.classes(*partitions)
    class_row = labelled.class_row[rows]

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return TrainingClips(
        stage,
        video=_rows_for(scaling.video(labelled.video[rows]), device),
        audio=_rows_for(scaling.audio(labelled.audio[rows]), device),
        class_text=tensor(labelled.text[classes]),
        text_row=tensor(numbers_within(classes, class_row)),
        class_row=class_row,
        windows=_windows(labelled, scaling, rows, device),
    )


def evaluation_set(
    labelled: LabelledClips, scaling: Scaling, training: TrainingClips
) -> EvaluationSet:
    """Returns the validation of stage 1, or the test that stage 2 trains for.

    Args:
        labelled: clips, classes and partitions.
        scaling: of the features.
        training: the clips that the stage trains on; a model may use them, too.
    """
    stage, device = training.stage, str(training.class_text.device)
    unseen = UNSEEN_GROUP[stage]
    rows = labelled.rows(*EVALUATED_PARTITIONS[stage])
    classes = labelled.classes(*TRAINING_PARTITIONS[stage], unseen)
    training_column = numbers_within(classes, training.class_row)
    return EvaluationSet(
        clip_ids=[labelled.clip_ids[row] for row in rows],
        video=_rows_for(scaling.video(labelled.video[rows]), device),
        audio=_rows_for(scaling.audio(labelled.audio[rows]), device),
        column=numbers_within(classes, labelled.class_row[rows]),
        class_row=classes,
        knowledge=ClassKnowledge(
            text=torch.from_numpy(labelled.text[classes]).to(device),
            is_unseen=labelled.class_group[classes] == unseen,
            video=training.video,
            audio=training.audio,
            column=torch.from_numpy(training_column).to(device),
        ),
        windows=_windows(labelled, scaling, rows, device),
    )


def _rows_for(features: FeatureRows, device: str) -> DeviceRows:
    """Returns features on the device; those in a file go there when they are read."""
    if isinstance(features, StoredFeatures):
        return RowsInFile(features, device)
    return torch.from_numpy(features).to(device)


def _windows(
    labelled: LabelledClips, scaling: Scaling, rows: np.ndarray, device: str
) -> dict[str, ClipWindows]:
    """Returns modality to the windows of these clips, none for methods that look at means."""
    scales = {"video": scaling.video, "audio": scaling.audio}
    return {
        name: replace(windows.only(rows), scale=scales[name], device=device)
        for name, windows in labelled.windows.items()
    }
