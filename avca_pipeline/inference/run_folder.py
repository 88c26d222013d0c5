"""What a run has left in its folder of results, put together to classify with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts import bundle, checkpoint, features, labels, records, scores, split
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone, BundledText, Description
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.artifacts.split import TRAINING_PARTITIONS
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import validated
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.evaluation.labelled_clips import MODALITIES
from avca_pipeline.media import Limits
from avca_pipeline.models import defaults
from avca_pipeline.requests import EmbedRequest, ExtractRequest
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.sealing import unsealed

RequestT = TypeVar("RequestT", ExtractRequest, EmbedRequest)


def read(folder: Path) -> Bundle:
    """Returns what a run classifies with.

    Args:
        folder: of the run, within a whole folder of results.

    Raises:
        PipelineError: no run has ended there; its features were imported; its epoch was chosen on
            the test clips; or other results stand beside it
            than those it was made from.
    """
    folder = folder.resolve()
    if not (folder / "scores.json").is_file():
        raise PipelineError(f"{folder}: is not the folder of a run that has ended: no scores.json")
    value = scores.read(folder / "scores.json")
    if value.selection.is_on_test:
        raise PipelineError(
            f"{folder}: the epoch of this run was chosen on the test clips, for comparison with a "
            "paper alone; train without chosen_on_test"
        )
    depth = len(Path(value.run.path).parts)
    results = folder.parents[min(depth, len(folder.parents)) - 1]
    if results / value.run.path != folder:
        raise PipelineError(
            f"{folder}: is not where the results of {value.run.path} are; copy the folder of "
            "results as a whole, or make a bundle of the run"
        )
    own = results / value.run.dataset
    labels_of = own / "labels" / f"{value.run.text_embedding}.h5"
    _check_same(results, folder, [folder / "stage2.pt", folder / "selection.json", labels_of])
    content = checkpoint.read(folder / "stage2.pt")
    model = registry.load("models", content["model"])
    made = {
        modality: _backbone(results, value.run.dataset, stated)
        for modality in MODALITIES
        if (stated := getattr(value.provenance, modality))
    }
    limits = next(iter(made.values()))[1]
    request = _request(EmbedRequest, results, labels_of)
    text, vectors = text_of(request.plugin, request.package, request.settings, labels_of, value)
    arrays = {"class_vectors": vectors}
    if model.adapt_to_classes is not defaults.adapt_to_classes:
        # Of a feature set with two modalities both, also where the run uses one: clips have both.
        paths = _features_read(results, value.run.dataset, folder / "stage2.pt")
        table = own / "splits" / f"{value.run.split}.csv"
        _check_same(results, folder, [table, *paths])
        arrays |= training_arrays(value, table, paths)
    backbones = {modality: backbone for modality, (backbone, _) in made.items()}
    texts = [
        (folder / name).read_text("utf-8") if (folder / name).is_file() else ""
        for name in ("scores.json", "predictions.csv")
    ]
    return assembled(value, texts, content, backbones, text, arrays, limits)


def read_stored(path: Path) -> Bundle:
    """Returns what a bundle or the folder of a run classifies with.

    Raises:
        PipelineError: see `read` and `bundle.read`; or it is neither.
    """
    try:
        is_bundle, is_run = bundle.is_one(path), (path / "scores.json").is_file()
    except OSError as error:
        raise PipelineError(
            f"{path}: cannot be read ({error.strerror}); name the folder of a run, or a bundle"
        ) from error
    if is_bundle:
        return bundle.read(path)
    if not is_run:
        raise PipelineError(
            f"{path}: neither the folder of a run that has ended (no scores.json) nor a bundle (no "
            "bundle.json, no .zip); name one of them"
        )
    return read(path.absolute())


def assembled(
    value: Scores,
    texts: Sequence[str],
    content: Mapping[str, Any],
    backbones: Mapping[str, BundledBackbone],
    text: BundledText,
    arrays: Mapping[str, np.ndarray],
    limits: Limits,
) -> Bundle:
    """Returns what a run classifies with, put together from its parts.

    Args:
        value: scores of the run.
        texts: of the file of scores and, for a bundle to give away, of predictions.
        content: of the checkpoint of stage 2.
        backbones: modality to what makes its features.
        text: what gives class names their vectors.
        arrays: ``class_vectors``, and what `training_arrays` returns where the method needs it.
        limits: what a clip may cost.
    """
    described = Description(
        name=value.run.path,
        model=content["model"],
        model_package=registry.package("models", content["model"]),
        model_settings=json.loads(content["settings"]),
        bias=value.bias,
        class_names=tuple(part.class_name for part in value.per_class),
        is_unseen=tuple(part.is_unseen for part in value.per_class),
        backbones=dict(backbones),
        text=text,
        max_pixels=limits.max_pixels,
        max_duration_s=limits.max_duration_s,
    )
    scaling = {f"scaling.{name}": array.numpy() for name, array in content["scaling"].items()}
    return Bundle(described, content["state"], {**scaling, **arrays}, *texts)


def _backbone(
    results: Path, dataset: str, stated: Mapping[str, str]
) -> tuple[BundledBackbone, Limits]:
    """Returns what made the features of a modality, and what a clip was allowed to cost.

    Args:
        results: the folder of all results.
        dataset: its name.
        stated: what the scores say of the features.
    """
    name = stated["name"]
    if stated.get("backbone") == features.IMPORTED:
        raise PipelineError(
            f"features {name!r} of the run were imported: nobody knows what makes them of a video; "
            "train on features of a backbone"
        )
    gathered = results / dataset / "features" / f"{name}.h5"
    shards = _features_read(results, dataset, gathered)
    request = _request(ExtractRequest, results, shards[0])
    if "preprocessing" not in stated or (
        without_seals(stated["preprocessing"])
        != without_seals(redacted(canonical_json(request.settings)))
    ):
        raise PipelineError(
            f"{gathered}: was made anew with other settings since the run; run the workflow again"
        )
    backbone = BundledBackbone(
        name=name,
        plugin=request.plugin,
        package=request.package,
        version=request.version,
        settings=request.settings,
        weights=stated["weights"],
        dim=int(stated["dim"]),
    )
    return backbone, request.limits


def text_of(
    plugin: str, package: str, settings: Mapping[str, Any], path: Path, value: Scores
) -> tuple[BundledText, np.ndarray]:
    """Returns the text embedding of a run, and the vectors of its classes, ``(classes, dim)``.

    Args:
        plugin: of the text embedding.
        package: that registers the plugin, with its version.
        settings: of the plugin.
        path: file of the vectors.
        value: scores of the run.

    Raises:
        PipelineError: the file is damaged, or does not say what made the vectors.
    """
    stored = labels.read(path)
    if not {"files", "weights"} <= stored.attributes.keys():
        raise PipelineError(
            f"{path}: does not say what the vectors were made with; run the workflow again"
        )
    files = json.loads(stored.attributes["files"])
    text = BundledText(
        plugin=plugin,
        package=package,
        settings=dict(settings),
        files=tuple((name, sha256) for name, sha256 in files),
        dim=stored.vectors.shape[1],
        weights=tuple(json.loads(stored.attributes["weights"])),
    )
    return text, stored.rows([part.class_name for part in value.per_class])


def training_arrays(value: Scores, table: Path, paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """Returns the clips that a run was trained on, for a method that looks at them again.

    Args:
        value: scores of the run.
        table: of the split.
        paths: of the features of all modalities of the feature set, named after their backbones.
    """
    read = {path.stem: features.read(path) for path in paths}
    rows = {
        name: {clip_id: row for row, clip_id in enumerate(made.clip_ids)}
        for name, made in read.items()
    }
    class_row = {part.class_name: row for row, part in enumerate(value.per_class)}
    trained = [
        clip
        for clip in sorted(split.read(table), key=lambda clip: clip.clip_id)
        if clip.partition in TRAINING_PARTITIONS[2]
        and all(clip.clip_id in of_features for of_features in rows.values())
    ]
    names = {
        modality: stated["name"]
        for modality in MODALITIES
        if (stated := getattr(value.provenance, modality))
    }
    arrays = {
        f"training.{modality}": read[name].features[[rows[name][clip.clip_id] for clip in trained]]
        for modality, name in names.items()
    }
    return arrays | {"training.class": np.array([class_row[clip.class_name] for clip in trained])}


def _check_same(results: Path, run: Path, paths: Sequence[Path]) -> None:
    """Raises `PipelineError` where a file is another one than was read for a run's scores."""
    inputs = _record(results, run / "scores.json").inputs
    for path in paths:
        scored = inputs.get(records.within(results, path))
        if path.is_file() and records.digest_of(path) != scored:
            raise PipelineError(
                f"{path}: was made anew since the run was scored; run the workflow again"
            )


def _features_read(results: Path, dataset: str, path: Path) -> list[Path]:
    """Returns the files of features that a result was made from."""
    inputs = _record(results, path).inputs
    return [results / name for name in inputs if name.startswith(f"{dataset}/features/")]


def _record(results: Path, path: Path) -> records.Record:
    found = records.read(results, path)
    if found is None:
        raise FormatError(
            f"{path}: has no record of how it was made; copy the folder of results as a whole"
        )
    return found


def _request(kind: type[RequestT], results: Path, path: Path) -> RequestT:
    """Returns what a result was asked for."""
    request = unsealed(_record(results, path).request)
    return validated(kind, request, f"{records.path_of(results, path)}: request")


def without_seals(preprocessing: str) -> Any:
    """Returns settings without what differs where an address in them is not shown whole."""
    return {
        key: value
        for key, value in json.loads(preprocessing).items()
        if not (isinstance(value, str) and "://" in value)
    }
