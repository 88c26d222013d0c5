"""Small data that many tests build on: labelled clips in memory, and one in files."""

from __future__ import annotations

import io
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from avca_pipeline.artifacts import features, labels, split
from avca_pipeline.artifacts.feature_windows import StoredWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Accuracies, Choice, Provenance, Scores
from avca_pipeline.artifacts.split import (
    PARTITIONS,
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    SplitClip,
)
from avca_pipeline.artifacts.training import Epoch, History, ValidationScores
from avca_pipeline.config import ImportedFeatures, LimitsSettings
from avca_pipeline.evaluation.clip_windows import ClipWindows
from avca_pipeline.evaluation.labelled_clips import LabelledClips
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.requests import (
    EvaluateRequest,
    ExtractRequest,
    FetchRequest,
    ImportRequest,
    ManifestRequest,
    SelectRequest,
    SplitRequest,
    TrainRequest,
)

if TYPE_CHECKING:
    from avca_pipeline.stages.report import ReportFiles


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


def over_time(data: LabelledClips) -> LabelledClips:
    """Returns the same clips with one to three windows each, whose mean their features are."""
    lengths = 1 + np.arange(len(data.clip_ids)) % 3
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    number = np.concatenate([np.arange(length) for length in lengths])
    clip = np.repeat(np.arange(len(lengths)), lengths)
    factor = (1 + 0.2 * (number - (lengths[clip] - 1) / 2))[:, None]
    stored = {}
    for modality, hop_s in (("video", 0.64), ("audio", 0.96)):
        file = h5py.File(io.BytesIO(), "w")
        file.attrs.update(window_s=hop_s, hop_s=hop_s)
        file["clip_id"], file["offsets"] = list(data.clip_ids), offsets
        file["windows"] = (getattr(data, modality)[clip] * factor).astype(np.float32)
        file["window_starts_s"] = number * hop_s
        rows = np.arange(len(lengths))
        stored[modality] = ClipWindows(StoredWindows(Path(f"{modality}.h5"), file), rows)
    return replace(data, windows=stored)


def numbered_clips() -> LabelledClips:
    """Returns `labelled_clips` with numbers in its arrays that name the clip and the class.

    Column 0 of both features has the row of the clip, column 1 of video its class, and column 0 of
    the text embeddings the row of the class. The clips of a class do not stand side by side.
    """
    made = labelled_clips()
    order = np.random.default_rng(1).permutation(len(made.clip_ids))
    mixed = {
        name: getattr(made, name)[order] for name in ("video", "audio", "class_row", "partition")
    }
    made = replace(made, **mixed)
    for features_of_clips in (made.video, made.audio):
        features_of_clips[:, 0] = np.arange(len(features_of_clips))
    made.video[:, 1] = made.class_row
    made.text[:, 0] = np.arange(6)
    return made


class World:
    """Clips of five classes, of which ``e`` is seen by no stage, with features and vectors."""

    dim = 6  # of a feature
    audio_dim = 6  # of which so much of an audio feature is written

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
        origin = {"plugin": "drawn by hand"}
        labels.write(folder / "labels", Labels(names, vectors, "drawn", origin))
        for index, (name, dim) in enumerate((("video", self.dim), ("audio", self.audio_dim))):
            ids = sorted(set(self.features) - self.missing[name], reverse=name == "audio")
            table = np.array([self.features[clip][index][:dim] for clip in ids])
            ones = np.ones(len(ids), int)
            origin = {"backbone": f"{name} by hand"}
            made = Features(ids, table, ones, ones > 1, attributes=origin)
            features.write(folder / name, made)
        return paths


SHARD = "00000-of-00001"
"""The only shard of a small dataset."""


def content_of(path: Path) -> dict[str, Any]:
    """Returns what a JSON file says, read without the package."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert value.pop("format_version") in (1, 2, 3)
    return value


def manifest_request(plugin: str, settings: Any, num_shards: int = 1) -> ManifestRequest:
    """Returns the request for the clips of a dataset."""
    return ManifestRequest(plugin=plugin, settings=settings, num_shards=num_shards)


def fetch_request(plugin: str, settings: Any, **limits: int) -> FetchRequest:
    """Returns the request for the media of the only shard of a dataset."""
    return FetchRequest(
        plugin=plugin, settings=settings, shard=SHARD, **{"max_bytes": MAX_BYTES, **limits}
    )


def extract_request(plugin: str, settings: Any, *, keep_windows: bool = False) -> ExtractRequest:
    """Returns the request for a backbone's features of the only shard of a dataset."""
    limits = LimitsSettings().limits()
    return ExtractRequest(
        backbone=plugin, plugin=plugin, settings=settings, shard=SHARD, limits=limits,
        keep_windows=keep_windows,
    )  # fmt: skip


def import_request(modality: str, path: Path | str) -> ImportRequest:
    """Returns the request for imported features of the only shard of a dataset."""
    source = ImportedFeatures(modality=modality, path=path)
    return ImportRequest(features="theirs", shard=SHARD, source=source)


def split_request(plugin: str, settings: Any, backbones: Any = None) -> SplitRequest:
    """Returns the request for a split called ``mine``."""
    return SplitRequest(split="mine", plugin=plugin, settings=settings, backbones=backbones or {})


RUN = Run("d", "s", "f", "t", "m", 0)
VALIDATION = ValidationScores(seen=0.4, unseen=0.2, hm=0.27, zsl=0.5, bias=0.6)


def history_of(candidate: str, best: int, *hms: float) -> History:
    """Returns a history with these HMs after the epochs."""
    epochs = [
        Epoch(index, {"total": 1.0}, replace(VALIDATION, hm=hm), 0.1, 1.0)
        for index, hm in enumerate(hms)
    ]
    return History(candidate, best, tuple(epochs))


def scores_of(run: Run = RUN, **changes: Any) -> Scores:
    """Returns made-up scores of a run, with changes."""
    features = {"name": "c3d", "backbone": "c3d", "weights": "random:0"}
    provenance = Provenance(
        video=features,
        audio={**features, "name": "vggish", "backbone": "vggish"},
        text={"name": "hashed", "plugin": "hashed"},
        scaling="none",
        text_embedding="hashed words",
        model="avca",
        settings={},
        versions={},
        device="CPU",
    )
    accuracies = Accuracies(seen=0.1, unseen=0.2, hm=0.3, zsl=0.4)
    value = Scores(
        run=run,
        scores=accuracies,
        chance=accuracies,
        bias=0.0,
        selection=Choice("default", 0, VALIDATION, 1, is_on_test=False),
        per_class=(),
        num_missing={},
        provenance=provenance,
    )
    return replace(value, **changes)


def trained_and_scored(
    folder: Path, inputs: dict[str, Path], plugin: str, settings: dict[str, Any], run: Run = RUN
) -> dict[str, Any]:
    """Takes a method through all stages from training on, and returns ``scores.json``.

    Args:
        folder: receives the results.
        inputs: from `World.write`.
        plugin: name of the method.
        settings: of the method.
        run: names of the run.
    """
    # They import torch, which not every test needs.
    from avca_pipeline.stages import evaluate, select, train

    request = TrainRequest(
        plugin=plugin, scaling="standard", seed=run.seed, candidates={"default": settings}
    )
    more: dict[str, Any] = {"resume": folder / "resume.pt", "device": "cpu"}
    chosen, stage2 = folder / "selection.json", folder / "stage2.pt"
    train.run_stage1(request, inputs, folder / "stage1.pt", folder / "1.json", **more)
    select.run(SelectRequest(candidates=("default",)), [folder / "1.json"], chosen)
    train.run_stage2(request, inputs, chosen, stage2, folder / "2.json", **more)
    evaluate.run(
        EvaluateRequest(run=run, video="video", audio="audio"), stage2, chosen, inputs,
        folder / "scores.json", folder / "embeddings.h5", folder / "predictions.csv", device="cpu",
    )  # fmt: skip
    return content_of(folder / "scores.json")


def report_files(**paths: list[Path]) -> ReportFiles:
    """Returns what the report reads; nothing of what is not named."""
    # It draws figures: what tests on a machine with a GPU import must not need scikit-learn.
    from avca_pipeline.stages.report import ReportFiles

    return ReportFiles(**{field.name: paths.get(field.name, []) for field in fields(ReportFiles)})
