"""The published classes with the seen clips partitioned anew, by recording.

Beside the published split it measures what the leak in its seen partitions is worth: classes and
clips are the same, but no recording is in two partitions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import TEST_UNSEEN, TRAIN, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.published import lists
from avca_pipeline.splits import AuditLevels, Built, Level, official
from avca_pipeline.splits.built import SourceShares, arrange


class GroupedLevels(AuditLevels):
    """The levels for published classes."""

    unseen_classes_not_pretrained_on: Level = "warning"


class Settings(SourceShares, official.PublishedLists):
    """A published split made anew within its classes; the default shares are the published ones."""

    audit: GroupedLevels = GroupedLevels()
    """Level of each check of the audit, as in every split; the check of unseen classes that a
    backbone was trained on only warns.
    """


inputs = official.inputs


def build(clips: Sequence[Clip], settings: Settings, pretrained: Collection[str] = ()) -> Built:
    """Returns the listed clips of the manifest, their classes grouped as published.

    Raises:
        PipelineError: as `official.build`, or a class has too few sources.
    """
    listed = lists.read(settings.path, settings.benchmark, settings.lists)
    found, absent = official.join(clips, listed, settings.benchmark)
    groups = {clip.class_name: TRAIN for part in (TRAIN, VAL_SEEN) for clip in found[part]}
    groups |= {clip.class_name: part for part in (VAL_UNSEEN, TEST_UNSEEN) for clip in found[part]}
    members = [clip for part in found.values() for clip in part if clip.class_name in groups]
    arranged = arrange(members, groups, settings)
    excluded = official.excluded(clips, found, listed) | dict(arranged.excluded)
    excluded |= {
        clip.clip_id: "its class has no clips but test_seen ones"
        for part in found.values()
        for clip in part
        if clip.class_name not in groups
    }
    return Built(arranged.clips, excluded, absent)
