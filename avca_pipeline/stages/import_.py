"""Stage ``import``: takes over features that were made elsewhere, in the published layout.

Its files are those of ``extract``, so that no later stage knows the difference.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avca_pipeline.artifacts import features, manifest
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.errors import FormatError
from avca_pipeline.published import layout
from avca_pipeline.published.class_names import class_key
from avca_pipeline.requests import ImportRequest

logger = logging.getLogger(__name__)


def run(request: ImportRequest, clips: Path, out: Path) -> None:
    """Writes the features of a shard's clips and which clips have none.

    Names in the files are clip ids, or file names of which the id is the stem.

    Args:
        request: which features.
        clips: the shard's list of clips.
        out: the features.

    Raises:
        PipelineError: a file is damaged, has a clip under another class than the manifest, or
            two files have different features of one clip.
    """
    source = request.source
    listed = {clip.clip_id: clip for clip in manifest.read(clips)}
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
    rejected = dict.fromkeys(sorted(set(listed) - set(feature_of)), "no imported feature")
    value = Features(
        clip_ids=clip_ids,
        features=_stacked(means),
        num_windows=np.array([len(values) for values in windows], np.int64),
        is_padded=np.zeros(len(clip_ids), bool),
        rejected=rejected,
        attributes={
            "backbone": features.IMPORTED,
            "weights": features.IMPORTED,
            "preprocessing": canonical_json(source.model_dump(mode="json")),
        },
        window_s=source.window_s or math.nan,
        hop_s=source.hop_s or math.nan,
        windows=_windows(windows, source.hop_s) if source.keep_windows else None,
    )
    features.write(out, value)
    title = f"import {request.features} {request.shard}"
    logger.info(f"{title}: {len(clip_ids)} clips, {len(rejected)} without a feature")


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
