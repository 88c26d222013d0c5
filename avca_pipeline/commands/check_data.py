"""The part of command ``check`` that lists clips and looks into some of them.

A run finds the same mistakes by itself, but later: it does not wait for this before its first job.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import BOTH
from avca_pipeline.commands import first_look
from avca_pipeline.commands.first_look import Look
from avca_pipeline.config import Config
from avca_pipeline.errors import PipelineError, one_line
from avca_pipeline.planning.listing import all_clips
from avca_pipeline.planning.plan import MAX_LISTED_BYTES
from avca_pipeline.runtime.paths import is_there

logger = logging.getLogger(__name__)

OPENED = ("folder", "table")
"""Datasets whose files are looked into; those of others may be archives of any size."""
OF_MODALITY = {"video": "pictures", "audio": "sound"}


def run(config: Config) -> None:
    """Lists the clips of each dataset, splits them, and looks into some of their files.

    Large annotations are left to the run itself.

    Raises:
        PipelineError: nothing can be written to the folder of results; or one line for each dataset
            that has no usable clip, for each split that cannot be built, and for each backbone of a
            modality that the clips lack.
    """
    _check_results(Path(config.results))
    lines: list[str] = []
    for name in config.used_names("datasets"):
        try:
            lines += _of_dataset(config, name)
        except PipelineError as error:
            lines += [f"datasets.{name}: {line}" for line in error.lines]
    if lines:
        raise PipelineError(*lines)


def _check_results(folder: Path) -> None:
    """Raises `PipelineError` if nothing can be written to the folder of results."""
    nearest = next((path for path in (folder, *folder.parents) if is_there(path)), Path())
    if not os.access(nearest, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PipelineError(
            f"results: {folder}: {nearest.absolute()} cannot be written; name another folder"
        )


def _of_dataset(config: Config, name: str) -> list[str]:
    """Returns a line for each mistake of a dataset's splits and feature sets.

    Raises:
        PipelineError: the dataset has no clip, or none that can be used.
    """
    dataset = config.datasets[name]
    files = [path for path in dataset.module.inputs(dataset.settings) if path.is_file()]
    if sum(path.stat().st_size for path in files) > MAX_LISTED_BYTES:
        return []
    clips = all_clips(dataset.plugin, dataset.module, dataset.settings)
    for line in dataset.module.remarks(dataset.settings):
        logger.warning(f"datasets.{name}: {one_line(line)}")
    look = Look()
    if name in config.datasets_with_media() and dataset.plugin in OPENED:
        look = first_look.at(dataset.module, dataset.settings, clips, opens=True)
        for line in look.remarks:
            logger.warning(f"datasets.{name}: {line}")
    lines = [
        line
        for owner, split in config.used_splits()
        if owner == name
        for line in _of_split(config, split, clips, look.unusable)
    ]
    return lines + _of_feature_sets(config, name, look)


def _of_split(
    config: Config, name: str, clips: list[Clip], unusable: Mapping[str, str]
) -> list[str]:
    """Returns why a split cannot be built or used, unless the training of backbones decides."""
    split = config.splits[name]
    if split.settings.backbones_to_exclude():
        return []
    try:
        made = split.module.build(split.settings, clips, ())
    except PipelineError as error:
        return [f"splits.{name}: {line}" for line in error.lines]
    if not (empty := first_look.empty_partition(made.clips, unusable)):
        return []
    classes = {row.class_name for row in made.clips if row.partition == empty}
    return [
        f"splits.{name}: no clip of partition {empty} can be used: "
        f"{first_look.named(unusable, classes)}; repair or remove the class(es), or choose another "
        "seed"
    ]


def _of_feature_sets(config: Config, name: str, look: Look) -> list[str]:
    """Returns a line for each backbone whose modality the clips lack."""
    if look.modalities == BOTH:
        return []
    lacking = "audio" if look.modalities == "video" else "video"
    used = {backbone for owner, backbone in config.used_features() if owner == name}
    return [
        f"backbones.{backbone}: needs {OF_MODALITY[lacking]}, which most clips of datasets.{name} "
        f"do not have; leave it out of feature_sets, or give files with {OF_MODALITY[lacking]}"
        for backbone in sorted(used)
        if backbone in config.backbones and lacking == config.backbones[backbone].module.MODALITY
    ]
