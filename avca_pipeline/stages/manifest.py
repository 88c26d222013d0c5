"""Stage ``manifest``: lists every clip of a dataset and cuts the list into shards."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts import manifest_tables
from avca_pipeline.config import validated
from avca_pipeline.datasets import is_labelled
from avca_pipeline.requests import ManifestRequest

logger = logging.getLogger(__name__)


def run(request: ManifestRequest, out: Path, shards: Path) -> None:
    """Writes the manifest of a dataset and one list of clips for each shard.

    A shard's list changes only if one of its own clips does.

    Args:
        request: the dataset, and how many lists.
        out: the manifest.
        shards: folder of the lists, named as `manifest.shard_names` says.

    Raises:
        PipelineError: the annotations are missing or malformed, or an id occurs twice.
    """
    module = registry.load("datasets", request.plugin)
    typed = validated(module.Settings, request.settings, f"datasets ({request.plugin})")
    files = module.inputs(typed)
    listed = manifest_tables.write(
        module.clips(typed),
        out,
        shards,
        request.num_shards,
        str(files[0]) if len(files) == 1 else f"dataset {request.plugin}",
        labelled=is_labelled(typed),
    )
    for remark in module.remarks(typed):
        logger.info(f"manifest: {remark}")
    logger.info(
        f"manifest: {listed.num_clips} clips of {len(listed.class_names)} classes from "
        f"{len(np.unique(listed.sources.array()))} sources"
    )
    for reason, number in sorted(listed.reasons.items()):
        logger.warning(f"manifest: {number} clips cannot be used: {reason}")
