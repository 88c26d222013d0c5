"""Whether an entry under ``apply`` can work, before the first clip is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts import class_lists
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.bundle import BundledBackbone
from avca_pipeline.config import validated
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.weights import RANDOM, is_local
from avca_pipeline.inference import run_folder
from avca_pipeline.inference.backbones_here import backbones_of, with_backbones_of
from avca_pipeline.inference.class_vectors import matched
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.video_features import Environment
from avca_pipeline.requests import ApplyRequest


def check(request: ApplyRequest, cache: Path) -> None:
    """Checks that a bundle or run is whole and fits the backbones, and that names have vectors.

    Raises:
        PipelineError: one line that begins with the entry.
    """
    key = f"apply.{request.applied}"
    names = list(request.classes or ())
    if request.classes_file:
        names = class_lists.read(Path(request.classes_file), f"{key}.classes")
    try:
        if names or request.classes_file:
            names = matched(names, ())
        if request.stored:
            _check_stored(request, names, cache, key)
        elif request.text is not None:
            _check_names(request.text.plugin, request.text.settings, names)
    except PipelineError as error:
        lines = [line if line.startswith(key) else f"{key}: {line}" for line in error.lines]
        raise PipelineError(*lines) from error


def _check_stored(request: ApplyRequest, names: list[str], cache: Path, key: str) -> None:
    found = run_folder.read_stored(Path(request.stored))
    whole = with_backbones_of(found, backbones_of(request), f"{key}.run")
    for modality, backbone in whole.description.backbones.items():
        _check_weights(backbone, found.description.backbones[modality], key)
    environment = Environment(cache, "cpu", 1, request.extract_version)
    trained = TrainedRun(whole, environment, {})
    own, text = trained.class_names, found.description.text
    if registry.load("models", found.description.model).Settings.over_time:
        for chosen in request.backbones.values():
            if not chosen.keep_windows:
                raise PipelineError(
                    f"{key}.run: {found.description.model} looks at clips over time, but of "
                    f"backbones.{chosen.name} only means are kept; set keep_windows: true"
                )
    asked = matched(names, own) if names else list(own)
    left = [
        name for name in asked if not request.leave_out_seen or name not in trained.seen_classes
    ]
    if not left:
        trained.classes_asked_for(names or None, leave_out_seen=request.leave_out_seen)
    _check_names(text.plugin, text.settings, [name for name in left if name not in own])


def _check_weights(here: BundledBackbone, trained: BundledBackbone, key: str) -> None:
    """Raises `PipelineError` where it shows before anything is downloaded that weights differ."""
    place = here.settings.get("weights", RANDOM)
    is_random, was_random = (
        one.settings.get("weights", RANDOM) == RANDOM for one in (here, trained)
    )
    sha256 = here.settings.get("sha256")
    if is_random == was_random and not is_random and is_local(place):
        sha256 = file_sha256(Path(place).expanduser())
    if is_random != was_random or (sha256 and sha256 != here.weights):
        raise PipelineError(
            f"{key}: backbones.{here.name}.weights: found {place} ({sha256 or 'no file'}), and the "
            f"run was trained with {trained.settings.get('weights', RANDOM)} ({here.weights}); "
            "bring those"
        )


def _check_names(plugin: str, settings: Mapping[str, Any], names: list[str]) -> None:
    module = registry.load("text_embeddings", plugin)
    validated(module.Settings, settings, f"text_embeddings ({plugin})").check_names(names)
