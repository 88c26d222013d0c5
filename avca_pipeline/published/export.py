"""Writes a split, features and text embeddings in the layout that the published code reads.

`lists` and `layout` read it back. The CSVs have a column ``source_id`` more than the published
ones, and the names of classes are the keys of their vectors, so that the published loader, which
sorts both, pairs each class with its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts.atomic import atomic_write_folder, write_csv
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.hdf5 import filling
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import TRAINING_PARTITIONS, SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.published.class_names import class_key
from avca_pipeline.published.lists import ALL_CLASSES, DATASETS, FOLDERS, STAGE_2_TRAIN, STAGES

COLUMNS = ("filename", "label", "label_code", "source_id")
TEXT = {
    "UCF": ("ucf_w2v_class_names.csv", "word_embeddings_ucf_normed.npy"),
    "ActivityNet": ("activitynet_w2v_class_names.csv", "word_embeddings_activity_normed.npy"),
    "VGGSound": ("vggsound_w2v_class_names.csv", "word_embeddings_vggsound_normed.npy"),
}
"""The names under which the published loader looks for class names and their vectors."""


@dataclass(frozen=True)
class Export:
    """What is written.

    Attributes:
        benchmark: name of the folder; the published code knows ``UCF``, ``ActivityNet`` and
            ``VGGSound``.
        which: ``main`` or ``cls``.
        rows: the split.
        features: modality to features, of which clips that have all are written.
        labels: the text embeddings.
    """

    benchmark: str
    which: str
    rows: Sequence[SplitClip]
    features: Mapping[str, Features]
    labels: Labels

    @property
    def class_names(self) -> list[str]:
        """All classes in the order of their published numbers."""
        return sorted({row.class_name for row in self.rows})


def write(path: Path, value: Export) -> int:
    """Writes the folder, whole or not at all, and returns how many clips have features in it.

    Raises:
        PipelineError: a class cannot be the name of a file, or two differ in nothing but
            capitals, spaces and punctuation; or a class has no text embedding.
    """
    _check_classes(value.class_names)
    stages = {
        stage: [row for row in value.rows if row.partition == partition]
        for partition, stage in STAGES.items()
    }
    stages[STAGE_2_TRAIN] = [row for row in value.rows if row.partition in TRAINING_PARTITIONS[2]]
    feature_of = {
        modality: dict(zip(features.clip_ids, features.features, strict=True))
        for modality, features in value.features.items()
    }
    usable = set.intersection(*map(set, feature_of.values()))
    with atomic_write_folder(path) as folder:
        top = folder / DATASETS / value.benchmark
        _write_lists(top / "class-split", value, stages)
        for modality, features in feature_of.items():
            for stage, rows in stages.items():
                _write_stage(
                    top / "features" / f"{value.which}_features" / modality / stage,
                    [row for row in rows if row.clip_id in usable],
                    features,
                )
        _write_vectors(folder, top, value)
    return len(usable & {row.clip_id for row in value.rows})


def _check_classes(class_names: Sequence[str]) -> None:
    keys: dict[str, str] = {}
    for name in class_names:
        if "/" in name or name.startswith(".") or len(name.encode()) > 200:
            raise PipelineError(f"class {name!r} cannot be the name of a file, as the layout asks")
        other = keys.setdefault(class_key(name), name)
        if other != name:
            raise PipelineError(
                f"classes {other!r} and {name!r} are one in the published lists, which join by "
                "letters and digits; rename one"
            )


def _write_lists(folder: Path, value: Export, stages: Mapping[str, Sequence[SplitClip]]) -> None:
    number = {name: index for index, name in enumerate(value.class_names)}
    _write_lines(folder / ALL_CLASSES, value.class_names)
    for stage, rows in stages.items():
        file = folder / FOLDERS[value.which] / f"{stage}.csv"
        cells = [
            (row.clip_id, row.class_name, number[row.class_name], row.source_id) for row in rows
        ]
        write_csv(file, COLUMNS, sorted(cells))
        _write_lines(file.with_suffix(".txt"), sorted({row.class_name for row in rows}))


def _write_lines(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_stage(
    folder: Path, rows: Sequence[SplitClip], features: Mapping[str, np.ndarray]
) -> None:
    import h5py

    folder.mkdir(parents=True)
    members: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        members[row.class_name].append(row.clip_id)
    for class_name, clips in sorted(members.items()):
        path = folder / f"{class_name}.h5"
        path.touch()
        with filling(path) as file:
            file["data"] = np.stack([features[clip] for clip in sorted(clips)])
            file.create_dataset("video_urls", data=sorted(clips), dtype=h5py.string_dtype())


def _write_vectors(folder: Path, top: Path, value: Export) -> None:
    lower = value.benchmark.lower()
    names, vectors = TEXT.get(
        value.benchmark, (f"{lower}_w2v_class_names.csv", f"word_embeddings_{lower}_normed.npy")
    )
    classes = value.class_names
    write_csv(
        top / "class-split" / names, ("original", "manual"), zip(classes, classes, strict=True)
    )
    table = dict(zip(classes, value.labels.rows(classes).astype(np.float32), strict=True))
    text = top / "features" / f"{value.which}_features" / "text"
    for parent in (folder / "w2v_features", text):
        parent.mkdir(parents=True)
        np.save(parent / vectors, np.array(table, dtype=object), allow_pickle=True)
