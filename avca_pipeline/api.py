"""The public interface of the package for Python; `avca_pipeline` has these names, too.

Paths are texts or `pathlib.Path`. Whatever a caller can put right is raised as a `PipelineError`,
whose message is one line with what was found and what to do.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.answers import RankedClass
from avca_pipeline.artifacts.bundle import BundledBackbone
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import Config, LimitsSettings, load, validated
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.extraction.encoded_clip import as_features
from avca_pipeline.inference import run_folder, training_free
from avca_pipeline.inference.class_vectors import embed_names, texts
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.own_embeddings import Evaluation, evaluate
from avca_pipeline.inference.predictions import (
    Prediction,
    Predictions,
    is_positive,
)
from avca_pipeline.inference.video_features import Environment, encode_videos
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.device import choose_device
from avca_pipeline.runtime.paths import expanded
from avca_pipeline.stages import VERSIONS

__all__ = [
    "Evaluation",
    "Features",
    "PipelineError",
    "Prediction",
    "Predictions",
    "RankedClass",
    "TrainedRun",
    "embed_text",
    "evaluate",
    "extract",
    "load_run",
    "read_features",
    "zero_shot",
]

Device = Literal["auto", "cpu", "cuda"]
CACHE = str(Config.model_fields["cache"].default)


def load_run(
    folder: str | Path,
    *,
    weights: Mapping[str, str | Path] | None = None,
    cache: str | Path = CACHE,
    device: Device = "auto",
    workers: int | None = None,
) -> TrainedRun:
    """Returns a trained run, ready to classify.

    Args:
        folder: of the run in a folder of results, or a bundle: a folder or a zip.
        weights: name of a backbone to the file of its weights, where it lies elsewhere than on the
            machine of the training.
        cache: folder of downloaded weights and models.
        device: a GPU if there is one (``auto``), ``cpu``, or ``cuda``.
        workers: how many videos are decoded at a time; one less than the cores unless stated.

    Raises:
        PipelineError: neither a run that has ended nor a bundle; it is damaged, or was made with
            another version of the extraction or of a plugin.
    """
    path = expanded(folder)
    environment = _environment(cache, device, workers)
    return TrainedRun(run_folder.read_stored(path), environment, weights or {})


def zero_shot(
    name: str,
    *,
    config: str | Path | None = None,
    cache: str | Path | None = None,
    device: Device = "auto",
    workers: int | None = None,
) -> TrainedRun:
    """Returns a set of encoders that classifies without training.

    Args:
        name: ``clip-clap``, or a feature set of the config in whose space a text embedding is.
        config: the config, where the set is one of its own.
        cache: folder of downloaded models; that of the config unless stated.
        device: see `load_run`.
        workers: see `load_run`.

    Raises:
        PipelineError: there is no such set.
    """
    read = None if config is None else load(expanded(config))
    place = cache or (read.cache if read else CACHE)
    environment = _environment(place, device, workers)
    collected = training_free.collect(name, read, environment.extract_version, environment.cache)
    return TrainedRun(collected, environment, {})


def extract(
    videos: str | Path | Sequence[str | Path],
    backbone: str,
    *,
    cache: str | Path = CACHE,
    device: Device = "auto",
    workers: int | None = None,
    keep_windows: bool = False,
    **settings: Any,
) -> Features:
    """Returns the features of videos, the mean over the windows of each.

    Args:
        videos: one or several paths; ``clip.mp4#t=2.5,7`` is a stretch of a file. They are the
            clip ids of the result.
        backbone: name of a plugin, see ``avca list backbones``.
        cache: folder of downloaded weights.
        device: see `load_run`.
        workers: see `load_run`.
        keep_windows: keep the features of each window, and where it begins, in ``windows``.
        **settings: of the plugin, such as ``weights="published"``.

    Returns:
        ``features`` is ``(videos, dim)`` float32; a video that cannot be used is in ``rejected``.

    Raises:
        PipelineError: there is no such backbone or setting; weights are missing or damaged.
    """
    environment = _environment(cache, device, workers)
    plugin = registry.load("backbones", backbone)
    typed = validated(plugin.Settings, settings, f"backbone {backbone}")
    written = typed.model_dump(mode="json")
    chosen = BundledBackbone(backbone, backbone, "", environment.extract_version, written)
    limits = LimitsSettings().limits()
    encoded = encode_videos(
        videos, {backbone: chosen}, limits, environment, keep_windows=keep_windows
    )
    attributes = {
        "backbone": backbone,
        "weights": encoded.weights[backbone],
        "preprocessing": redacted(canonical_json(written)),
        "torch": importlib.metadata.version("torch"),
    }
    timing = encoded.timings.get(backbone)
    return as_features(encoded.clips[backbone], attributes, timing, keep_windows=keep_windows)


def read_features(path: str | Path) -> Features:
    """Returns the features in a file of results, ``features/<backbone>.h5`` or one of a shard.

    Raises:
        PipelineError: it is no whole file of features.
    """
    return features.read(expanded(path))


def embed_text(
    names: Sequence[str],
    plugin: str = "wordllama",
    *,
    cache: str | Path = CACHE,
    **settings: Any,
) -> np.ndarray:
    """Returns ``(names, dim)`` float32, the vectors of class names.

    Args:
        names: of classes.
        plugin: name of a text embedding, see ``avca list text_embeddings``.
        cache: folder of downloaded models.
        **settings: of the plugin, such as ``templates="a video of {}"``.

    Raises:
        PipelineError: there is no such text embedding or setting, or a name has no vector, is
            empty or no text.
    """
    asked = texts(names, "names")
    return np.asarray(embed_names(plugin, settings, asked, expanded(cache)).vectors, np.float32)


def _environment(cache: str | Path, device: Device, workers: int | None) -> Environment:
    if device not in get_args(Device):
        raise PipelineError(
            f"device: expected {', '.join(get_args(Device))}, found {abbreviated(device)}"
        )
    if workers is not None and not is_positive(workers):
        raise PipelineError(
            f"workers: expected a whole number from 1 on, found {abbreviated(workers)}"
        )
    return Environment(
        cache=expanded(cache),
        device=choose_device(device, None, 1, "avca"),
        workers=workers or max(1, (os.cpu_count() or 1) - 1),
        extract_version=VERSIONS["extract"],
    )
