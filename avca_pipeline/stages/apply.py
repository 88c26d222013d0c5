"""Stage ``apply``: classifies the clips of a dataset with a run, a bundle, or without training.

It takes the features that the shards of the dataset have, and gives each clip the answer that
``avca predict`` gives it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import answers, checkpoint, class_lists, scores
from avca_pipeline.artifacts.answers import Answer
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone
from avca_pipeline.config import LimitsSettings
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference import run_folder, training_free
from avca_pipeline.inference.backbones_here import (
    backbones_of,
    check_features,
    with_backbones_of,
)
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.gathered_clips import GatheredClips
from avca_pipeline.inference.video_features import Environment
from avca_pipeline.requests import ApplyRequest

logger = logging.getLogger(__name__)

CLIPS_AT_ONCE = 65_536
"""How many distances are in memory; they do not depend on it."""


@dataclass(frozen=True)
class ClipFiles:
    """What there is of the clips to classify.

    Attributes:
        clips: table of all clips.
        fetched: tables of fetched media, of all shards.
        features: modality to the features of all clips.
    """

    clips: Path
    fetched: Sequence[Path]
    features: Mapping[str, Path]


@dataclass(frozen=True)
class RunFiles:
    """What a run of the config has left; nothing where something else classifies.

    Attributes:
        scores: of the run.
        checkpoint: of stage 2.
        labels: vectors of its classes.
        split: its table, for a method that looks at training clips again.
        trained_on: features of each modality of its feature set, likewise.
    """

    scores: Path | None = None
    checkpoint: Path | None = None
    labels: Path | None = None
    split: Path | None = None
    trained_on: Sequence[Path] = field(default_factory=tuple)


def run(
    request: ApplyRequest,
    of_clips: ClipFiles,
    files: RunFiles,
    out: Path,
    *,
    cache: Path,
    device: str,
) -> None:
    """Writes which classes each clip is nearest to, or why there is no answer.

    Args:
        request: what classifies, among which names.
        of_clips: of the dataset.
        files: of the run, if it is one of the config.
        out: the table.
        cache: folder of downloaded models.
        device: ``cpu`` or ``cuda``.

    Raises:
        PipelineError: the run or bundle cannot be used, or was trained on other features; or a
            class name has no vector.
    """
    key = f"apply.{request.applied}"
    trained = _trained(request, files, Environment(cache, device, 1, request.extract_version))
    model = registry.load("models", trained.bundle.description.model)
    clips = GatheredClips.read(
        of_clips.clips, of_clips.fetched, of_clips.features, over_time=model.Settings.over_time
    )
    for modality, backbone in trained.backbones.items():
        check_features(backbone, clips.features[modality])
    asked = _classes(request, key)
    names, vectors = trained.classes_asked_for(asked, leave_out_seen=request.leave_out_seen)
    top, num_answered = min(request.top, len(names)), 0

    def answered() -> Iterator[Answer]:
        nonlocal num_answered
        parts = clips.parts()
        for start in range(0, len(parts), CLIPS_AT_ONCE):
            block = parts[start : start + CLIPS_AT_ONCE]
            found = trained.ranked(block, names, vectors, top)
            for clip, prediction in zip(clips.clips[start:], found, strict=False):
                num_answered += not prediction.reason
                yield Answer(clip.clip_id, clip.class_name, prediction.ranking, prediction.reason)

    answers.write(out, answered(), top)
    num_without = len(clips.clips) - num_answered
    logger.info(
        f"apply {request.applied}: {num_answered} clips answered among {len(names)} classes, "
        f"{num_without} without an answer"
    )


def _classes(request: ApplyRequest, key: str) -> list[str] | None:
    if request.classes_file:
        return class_lists.read(Path(request.classes_file), f"{key}.classes")
    return None if request.classes is None else list(request.classes)


def _trained(request: ApplyRequest, files: RunFiles, environment: Environment) -> TrainedRun:
    """Returns what classifies, with backbones of the config."""
    here = backbones_of(request)
    if request.stored:
        found = run_folder.read_stored(Path(request.stored))
        whole = with_backbones_of(found, here, f"apply.{request.applied}.run")
    elif files.scores is not None:
        whole = _of_config(request, files, here)
    else:
        assert request.text is not None
        whole = training_free.assembled(
            request.applied, here, request.text.plugin, request.text.settings
        )
    return TrainedRun(whole, environment, {})


def _of_config(request: ApplyRequest, files: RunFiles, here: dict[str, BundledBackbone]) -> Bundle:
    """Returns a run of the config, put together from its files."""
    if files.scores is None or files.checkpoint is None or files.labels is None:
        raise PipelineError("--scores, --checkpoint, --labels: one is missing; give all three")
    assert request.text is not None
    value = scores.read(files.scores)
    used = {modality: getattr(value.provenance, modality) for modality in here}
    backbones = {
        modality: BundledBackbone(
            chosen.name, chosen.plugin, chosen.package, chosen.version, chosen.settings,
            weights=used[modality]["weights"], dim=int(used[modality]["dim"]),
        )
        for modality, chosen in here.items()
    }  # fmt: skip
    text, vectors = run_folder.text_of(
        request.text.plugin, request.text.package, request.text.settings, files.labels, value
    )
    arrays = {"class_vectors": vectors}
    if files.split is not None:
        arrays |= run_folder.training_arrays(value, files.split, files.trained_on)
    return run_folder.assembled(
        value,
        [files.scores.read_text(encoding="utf-8")],
        checkpoint.read(files.checkpoint),
        backbones,
        text,
        arrays,
        LimitsSettings().limits(),
    )
