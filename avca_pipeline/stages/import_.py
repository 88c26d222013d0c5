"""Stage ``import``: takes over features that were made elsewhere.

They lie in the published layout, or in a folder that ``avca publish features`` wrote.

Its files are those of ``extract``, so that no later stage knows the difference.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avca_pipeline.artifacts import feature_folder, features, manifest
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import Config, ImportedFeatures
from avca_pipeline.errors import FormatError
from avca_pipeline.published import layout
from avca_pipeline.published.class_names import class_key
from avca_pipeline.requests import ImportRequest
from avca_pipeline.transformer_models import repositories

logger = logging.getLogger(__name__)

NO_FEATURE = "no imported feature"


def run(request: ImportRequest, clips: Path, out: Path, cache: Path | None = None) -> None:
    """Writes the features of a shard's clips and which clips have none.

    Names in the published layout are clip ids, or file names of which the id is the stem.

    Args:
        request: which features.
        clips: the shard's list of clips.
        out: the features.
        cache: where features of a repository are kept; by default as the config has it.

    Raises:
        PipelineError: a file is damaged, has a clip under another class than the manifest, or
            two files have different features of one clip; a repository cannot be downloaded.
    """
    source = request.source
    listed = {clip.clip_id: clip for clip in manifest.read(clips)}
    folder = _folder(source, cache)
    if source.repository is not None or feature_folder.is_one(folder):
        value = _given_away(source, folder, listed)
    else:
        value = _of_layout(source, listed)
    features.write(out, value)
    title = f"import {request.features} {request.shard}"
    logger.info(f"{title}: {len(value.clip_ids)} clips, {len(value.rejected)} without a feature")


def _folder(source: ImportedFeatures, cache: Path | None) -> Path:
    """Returns the folder of the features, which is downloaded if need be."""
    if source.repository is None:
        return source.path
    needed = [feature_folder.DESCRIPTION, feature_folder.file_name(source.modality)]
    place = cache or Path(str(Config.model_fields["cache"].default))
    return repositories.dataset_files(*source.repository, place, needed)


def _given_away(source: ImportedFeatures, folder: Path, listed: Mapping[str, Clip]) -> Features:
    """Returns what a published folder has of the listed clips, with all that it says of them."""
    whole = feature_folder.read(folder, source.modality, with_windows=source.keep_windows)
    stated = {name: getattr(source, name) for name in features.TIMES}
    for name, seconds in stated.items():
        if seconds is not None and not math.isclose(seconds, getattr(whole, name)):
            raise FormatError(
                f"{folder}: {name} of these features is {getattr(whole, name):g}, and the config "
                f"says {seconds:g}; correct imported.*.{name}"
            )
    if source.keep_windows and whole.windows is None:
        raise FormatError(
            f"{folder}: has no windows but their means alone; leave keep_windows out of imported.*"
        )
    value = features.of_clips(whole, listed)
    rejected = {clip: whole.rejected.get(clip, NO_FEATURE) for clip in sorted(listed)}
    for clip in value.clip_ids:
        del rejected[clip]
    made = {name: whole.attributes.get(name, "") for name in ("backbone", "weights")}
    return replace(
        value,
        rejected=rejected,
        attributes={
            **_attributes(source),
            # What was imported before it was published was made by what is stated then.
            "made_with": whole.attributes.get("made_with")
            or canonical_json(made | {"preprocessing": whole.attributes.get("preprocessing", "")}),
        },
    )


def _of_layout(source: ImportedFeatures, listed: Mapping[str, Clip]) -> Features:
    """Returns what the published layout has of the listed clips."""
    feature_of: dict[str, np.ndarray] = {}  # a vector, or a vector for each window
    read = layout.read_windows if source.keep_windows else layout.read
    for path, class_name, names, data in read(source.path, source.modality):
        for name, row in zip(names, data, strict=True):
            clip = listed.get(name) or listed.get(PurePosixPath(name).stem)
            if clip is not None:
                _add(feature_of, clip, row, path, class_name)
    clip_ids = sorted(feature_of)
    windows = [np.atleast_2d(feature_of[clip]) for clip in clip_ids]
    means = [values.astype(np.float64).mean(axis=0) for values in windows]
    return Features(
        clip_ids=clip_ids,
        features=_stacked(means),
        num_windows=np.array([len(values) for values in windows], np.int64),
        is_padded=np.zeros(len(clip_ids), bool),
        rejected=dict.fromkeys(sorted(set(listed) - set(feature_of)), NO_FEATURE),
        attributes=_attributes(source),
        window_s=source.window_s or math.nan,
        hop_s=source.hop_s or math.nan,
        windows=_windows(windows, source.hop_s) if source.keep_windows else None,
    )


def _attributes(source: ImportedFeatures) -> dict[str, str]:
    return {
        "backbone": features.IMPORTED,
        "weights": features.IMPORTED,
        "preprocessing": canonical_json(source.model_dump(mode="json")),
    }


def _stacked(means: Sequence[Any]) -> np.ndarray:
    return np.array(means, np.float32) if means else np.zeros((0, 0), np.float32)


def _windows(windows: Sequence[np.ndarray], hop_s: float | None) -> FeatureWindows:
    """Returns windows that begin ``hop_s`` after each other, the first one with its clip."""
    numbers = [np.arange(len(values)) for values in windows]
    nothing = np.zeros((0, windows[0].shape[1] if windows else 0), np.float32)
    return FeatureWindows(
        np.concatenate([nothing, *windows]),
        np.concatenate([np.zeros(0), *numbers]) * (hop_s or math.nan),
    )


def _add(
    feature_of: dict[str, np.ndarray], clip: Clip, row: np.ndarray, path: Path, class_name: str
) -> None:
    if class_key(class_name) != class_key(clip.class_name):
        raise FormatError(
            f"{path}: has clip {clip.clip_id!r}, whose class is {clip.class_name!r} in the manifest"
        )
    former = feature_of.setdefault(clip.clip_id, row)
    if former.shape != row.shape or not np.array_equal(former, row):
        raise FormatError(
            f"{path}: clip {clip.clip_id!r} has another feature here than in a file read before"
        )
