"""Plugins: which clip is in which of the five partitions.

A split is one file here with

``Settings``
    a `SplitSettings` with whatever decides the split;
``inputs(settings) -> list[Path]``
    the files it reads besides the manifest;
``build(clips, settings, pretrained) -> BuiltSplit``
    the split of a manifest, which does not depend on the order of the clips; ``pretrained`` are
    the classes that must not be unseen, because backbones saw them with labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from avca_pipeline.leakage.levels import AuditLevels
from avca_pipeline.published.lists import class_key
from avca_pipeline.settings import PluginSettings


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


def pretrained_on(
    class_names: Iterable[str],
    pretraining_classes: Mapping[str, Sequence[str]],
    aliases: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """Returns for each class the backbones that were trained on it with labels, if there are any.

    Args:
        class_names: of the dataset.
        pretraining_classes: backbone to the classes that it was trained on.
        aliases: class to other names of it.
    """
    keys_of = {
        backbone: {class_key(name) for name in names}
        for backbone, names in pretraining_classes.items()
    }
    aliases_of = {class_key(name): others for name, others in aliases.items()}
    overlaps: dict[str, list[str]] = {}
    for class_name in sorted(set(class_names)):
        key = class_key(class_name)
        spellings = {key, *map(class_key, aliases_of.get(key, ()))}
        backbones = sorted(backbone for backbone, keys in keys_of.items() if keys & spellings)
        if backbones:
            overlaps[class_name] = backbones
    return overlaps
