"""Stage ``manifest``: lists every clip of a dataset and cuts the list into shards."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import manifest
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
    clips = [manifest.storable(clip) for clip in module.clips(typed)]
    manifest.check(clips, f"dataset {request.plugin}", labelled=is_labelled(typed))
    members = defaultdict(list)
    for clip in clips:
        members[manifest.shard_of(clip.clip_id, request.num_shards)].append(clip)
    for name in manifest.shard_names(request.num_shards):
        manifest.write(shards / f"{name}.csv", members[name])
    manifest.write(out, clips)
    for remark in module.remarks(typed):
        logger.info(f"manifest: {remark}")
    classes, sources = {c.class_name for c in clips} - {""}, {c.source_id for c in clips}
    logger.info(
        f"manifest: {len(clips)} clips of {len(classes)} classes from {len(sources)} sources"
    )
    for reason, number in sorted(Counter(clip.reason for clip in clips if clip.reason).items()):
        logger.warning(f"manifest: {number} clips cannot be used: {reason}")
