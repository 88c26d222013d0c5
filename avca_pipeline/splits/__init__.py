"""Plugins: which clip is in which of the five partitions.

A split is one file here with

``Settings``
    a `SplitSettings` with whatever decides the split;
``inputs(settings) -> list[Path]``
    the files it reads besides the manifest;
``build(clips, settings) -> Built``
    the split of a manifest. It does not depend on the order of the clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.registry import PluginSettings

Level = Literal["error", "warning", "off"]


class AuditLevels(PluginSettings):
    """What a check that fails leads to: the pipeline stops, the report says so, or nobody looks.

    Attributes:
        every_clip_accounted_for: a clip is in one partition, or excluded with a reason.
        every_listed_clip_known: the manifest has each clip that the split's lists name.
        clips_keep_class_and_source: class and source are those of the manifest.
        test_unseen_classes_unseen: no class of test_unseen in another partition.
        val_unseen_classes_unseen_in_stage_1: no class of val_unseen in train or val_seen.
        sources_in_one_partition: no recording in two partitions.
        sources_not_trained_on: no clip is evaluated after training on its recording.
        no_partition_empty: each partition has clips.
    """

    every_clip_accounted_for: Level = "error"
    every_listed_clip_known: Level = "warning"
    clips_keep_class_and_source: Level = "error"
    test_unseen_classes_unseen: Level = "error"
    val_unseen_classes_unseen_in_stage_1: Level = "error"
    sources_in_one_partition: Level = "error"
    sources_not_trained_on: Level = "error"
    no_partition_empty: Level = "error"


class SplitSettings(PluginSettings):
    """Base of every split's settings.

    Attributes:
        audit: level of each check of the audit: ``error`` stops the pipeline, ``warning`` is
            said in the report, ``off`` leaves the check out.
    """

    audit: AuditLevels = AuditLevels()


@dataclass(frozen=True)
class Built:
    """A split, and what could not be part of it.

    Attributes:
        clips: every clip of a partition, sorted by id.
        excluded: clip id to reason, for clips of the manifest that are in no partition.
        absent: clips that the split should have but the manifest does not.
    """

    clips: list[SplitClip]
    excluded: Mapping[str, str]
    absent: Sequence[str] = field(default=())
