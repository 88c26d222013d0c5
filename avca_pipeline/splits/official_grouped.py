"""The published classes with their seen clips partitioned anew, so that no recording leaks.

Classes, clips and unseen partitions are those of the published split (`official`). Only the clips
of seen classes are divided again, by recording. A method's scores on both splits together tell how
much of its accuracy on seen classes comes from recordings that it was trained on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import TEST_UNSEEN, TRAIN, VAL_SEEN, VAL_UNSEEN, BuiltSplit
from avca_pipeline.leakage import split_checks
from avca_pipeline.leakage.levels import only_warnings_for
from avca_pipeline.published import lists
from avca_pipeline.splits import official
from avca_pipeline.splits.built import SourceShares, arrange


class GroupedLevels(only_warnings_for(split_checks.unseen_classes_not_pretrained_on)):  # type: ignore[misc]
    """The levels for published classes, some of which the published backbones were trained on."""


class Settings(SourceShares, official.PublishedLists):
    """A published split made anew within its classes; the default shares are the published ones."""

    audit: GroupedLevels = GroupedLevels()
    """Level of each check of the audit, as in every split; the check of unseen classes that a
    backbone was trained on only warns.
    """


inputs = official.inputs


def build(
    settings: Settings, clips: Sequence[Clip], pretrained: Collection[str] = ()
) -> BuiltSplit:
    """Returns the listed clips of the manifest, their classes grouped as published.

    Raises:
        PipelineError: as `official.build`, or a class has too few sources.
    """
    listed = lists.read(settings.path, settings.benchmark, settings.lists)
    members_of, missing = official.join(clips, listed, settings.benchmark)
    groups = {clip.class_name: TRAIN for name in (TRAIN, VAL_SEEN) for clip in members_of[name]}
    groups |= {
        clip.class_name: name for name in (VAL_UNSEEN, TEST_UNSEEN) for clip in members_of[name]
    }
    listed_clips = [clip for members in members_of.values() for clip in members]
    arranged = arrange(
        [clip for clip in listed_clips if clip.class_name in groups], groups, settings
    )
    excluded = official.excluded(clips, members_of, listed) | dict(arranged.excluded)
    excluded |= {
        clip.clip_id: "its class has no clips but test_seen ones"
        for clip in listed_clips
        if clip.class_name not in groups
    }
    return BuiltSplit(arranged.clips, excluded, missing)
