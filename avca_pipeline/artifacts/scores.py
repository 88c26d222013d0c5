"""``scores.json``, the numbers of a run, and ``embeddings.h5``, what they can be computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from avca_pipeline.artifacts import typed_json
from avca_pipeline.artifacts.hdf5 import atomic_write_hdf5, reading_hdf5, write_strings
from avca_pipeline.artifacts.hdf5_members import numbers, strings
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.training import ValidationScores
from avca_pipeline.artifacts.typed_json import STRICT

FORMAT_VERSION = 3
EMBEDDINGS_VERSION = 1


@dataclass(frozen=True)
class Accuracies:
    """Scores as shares from 0 to 1; ``None`` for what is not defined.

    Attributes:
        seen: S, the mean class accuracy of seen classes.
        unseen: U, that of unseen classes.
        hm: HM, the harmonic mean of S and U.
        zsl: the mean class accuracy of unseen classes among themselves.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    seen: float | None
    unseen: float | None
    hm: float | None
    zsl: float | None


@dataclass(frozen=True)
class ClassAccuracy:
    """The test clips of one class.

    Attributes:
        class_name: the class.
        is_unseen: whether no clip of it was trained on.
        num_clips: how many there are.
        gzsl: share of them that is right among all classes; ``None`` without clips.
        zsl: the same among unseen classes; ``None`` for a seen class.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    class_name: str
    is_unseen: bool
    num_clips: int
    gzsl: float | None
    zsl: float | None


@dataclass(frozen=True)
class Choice:
    """What was chosen, and on what.

    Attributes:
        candidate: name of the hyper-parameters.
        epoch: index of the epoch whose network was scored.
        val: scores on validation that led to the choice.
        num_candidates: how many candidates there were.
        is_on_test: whether the epoch was chosen on the test clips, for comparison with a paper
            that did so.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    candidate: str
    epoch: int
    val: ValidationScores
    num_candidates: int
    is_on_test: bool


@dataclass(frozen=True)
class Provenance:
    """Where every input of the scores came from.

    Attributes:
        video: name and attributes of the video features, and ``dim``, how many values a clip has;
            empty if the scores have nothing to do with them.
        audio: the same of the audio features.
        text: the same of the text embedding.
        scaling: of the features.
        text_embedding: where the vectors of the classes come from, in words.
        model: the plugin.
        settings: its hyper-parameters.
        versions: program to its version.
        device: name of the GPU, or ``CPU``.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    video: dict[str, str]
    audio: dict[str, str]
    text: dict[str, str]
    scaling: str
    text_embedding: str
    model: str
    settings: dict[str, Any]
    versions: dict[str, str]
    device: str


@dataclass(frozen=True)
class Scores:
    """The numbers of a run.

    Attributes:
        run: its names.
        scores: on the test clips.
        chance: what guessing reaches.
        bias: what was added to the distances of seen classes.
        selection: what was chosen on validation.
        per_class: of all classes, in the order of their names.
        num_missing: partition to how many of its clips have no features.
        provenance: of the inputs.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    run: Run
    scores: Accuracies
    chance: Accuracies
    bias: float
    selection: Choice
    per_class: tuple[ClassAccuracy, ...]
    num_missing: dict[str, int]
    provenance: Provenance


def write(path: Path, value: Scores) -> None:
    """Writes the scores of a run."""
    typed_json.write(path, value, FORMAT_VERSION)


def read(path: Path) -> Scores:
    """Reads the scores of a run.

    Raises:
        FormatError: not scores of this version.
    """
    return typed_json.read(path, Scores, FORMAT_VERSION)


@dataclass(frozen=True)
class Embeddings:
    """Test clips and all classes in the space in which they are compared.

    Attributes:
        clip_ids: N test clips.
        class_of_clip: their true classes.
        clips: ``(clips, dim)`` float32.
        class_names: C classes, the seen ones and the unseen ones.
        is_unseen: ``(classes,)``.
        classes: ``(classes, dim)`` float32.
    """

    clip_ids: Sequence[str]
    class_of_clip: Sequence[str]
    clips: np.ndarray
    class_names: Sequence[str]
    is_unseen: np.ndarray
    classes: np.ndarray


def write_embeddings(path: Path, value: Embeddings) -> None:
    """Writes embeddings; `read_embeddings` gives back the same."""
    with atomic_write_hdf5(path, "embeddings", EMBEDDINGS_VERSION) as file:
        write_strings(file, "clip_id", value.clip_ids)
        write_strings(file, "class_of_clip", value.class_of_clip)
        file["clips"] = np.asarray(value.clips, np.float32)
        write_strings(file, "class_name", value.class_names)
        file["is_unseen"] = value.is_unseen.astype(bool)
        file["classes"] = np.asarray(value.classes, np.float32)


def read_embeddings(path: Path) -> Embeddings:
    """Reads embeddings.

    Raises:
        FormatError: not a whole file of this version.
    """
    with reading_hdf5(path, "embeddings", EMBEDDINGS_VERSION) as file:
        return Embeddings(
            clip_ids=strings(file, "clip_id"),
            class_of_clip=strings(file, "class_of_clip"),
            clips=numbers(file, "clips"),
            class_names=strings(file, "class_name"),
            is_unseen=numbers(file, "is_unseen"),
            classes=numbers(file, "classes"),
        )
