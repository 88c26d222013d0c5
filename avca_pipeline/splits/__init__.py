"""Plugins: which clip is in which of the five partitions.

A split is one file here with

``Settings``
    a `SplitSettings` with whatever decides the split;
``inputs(settings) -> list[Path]``
    the files it reads besides the manifest;
``build(clips, settings, pretrained) -> Built``
    the split of a manifest, which does not depend on the order of the clips; ``pretrained`` are
    the classes that must not be unseen, because backbones saw them with labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.published.lists import class_key
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
        unseen_classes_not_pretrained_on: no unseen class that a used backbone saw with labels.
        media_not_trained_on: no clip is evaluated after training on the same file, by checksum.
        features_not_trained_on: the same by the likeness of both features, a sign and no proof.
        features_accounted_for: a clip has a feature of each backbone, or a reason why not.
        features_differ: the features of a backbone are not one and the same for nearly all clips.
        classes_have_own_vectors: every class has a text embedding, and no other class the same.
        enough_clips_usable: no larger share of the clips is lost in fetching and extracting than
            ``datasets.*.max_missing`` (0.3) allows.
    """

    every_clip_accounted_for: Level = "error"
    every_listed_clip_known: Level = "warning"
    clips_keep_class_and_source: Level = "error"
    test_unseen_classes_unseen: Level = "error"
    val_unseen_classes_unseen_in_stage_1: Level = "error"
    sources_in_one_partition: Level = "error"
    sources_not_trained_on: Level = "error"
    no_partition_empty: Level = "error"
    unseen_classes_not_pretrained_on: Level = "error"
    media_not_trained_on: Level = "error"
    features_not_trained_on: Level = "warning"
    features_accounted_for: Level = "error"
    features_differ: Level = "error"
    classes_have_own_vectors: Level = "error"
    enough_clips_usable: Level = "error"


class SplitSettings(PluginSettings):
    """Base of every split's settings."""

    audit: AuditLevels = AuditLevels()
    """Level of each check of the audit: ``error`` stops the pipeline, ``warning`` puts the result
    of the check into the report, ``off`` leaves the check out.
    """
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other names of a class, by class name, under which a backbone may have been trained on it.
    Names match regardless of capitals, spaces and punctuation, and never by similarity.
    """
    like_features: float = Field(default=0.9999, gt=0, lt=1)
    """Cosine, about the mean of the features, from which on two features count as alike."""


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


def pretrained_on(
    class_names: Iterable[str],
    known: Mapping[str, Sequence[str]],
    aliases: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """Returns which classes which backbones saw with labels.

    Args:
        class_names: of the dataset.
        known: backbone to the classes that it was trained on.
        aliases: class to other names of it.
    """
    keys = {backbone: {class_key(name) for name in seen} for backbone, seen in known.items()}
    of_class = {class_key(name): others for name, others in aliases.items()}
    found: dict[str, list[str]] = {}
    for class_name in sorted(set(class_names)):
        own = class_key(class_name)
        spellings = {own, *map(class_key, of_class.get(own, ()))}
        backbones = sorted(backbone for backbone, seen in keys.items() if seen & spellings)
        if backbones:
            found[class_name] = backbones
    return found
