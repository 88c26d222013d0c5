"""The published split of a benchmark, clip by clip as its lists say.

Its seen partitions leak by recording (all of UCF's test_seen and half of ActivityNet's), which the
audit counts and the report says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.published import lists
from avca_pipeline.published.lists import class_key
from avca_pipeline.splits import AuditLevels, Built, Level, SplitSettings


class OfficialLevels(AuditLevels):
    """The levels for a published split, whose leaks are known and cannot be mended."""

    sources_in_one_partition: Level = "warning"
    sources_not_trained_on: Level = "warning"
    unseen_classes_not_pretrained_on: Level = "warning"
    media_not_trained_on: Level = "warning"


class PublishedLists(SplitSettings):
    """Which of the published lists."""

    path: Path
    """The folder that ``avgzsl_benchmark_datasets`` is in."""
    benchmark: str
    """Name of the benchmark: ``UCF``, ``ActivityNet``, ``VGGSound``, or the name of one that this
    package has exported.
    """
    lists: Literal["main", "cls"] = "main"
    """Which of the benchmark's lists: ``main``, or ``cls``, which leaves out the unseen test
    classes that the supervised C3D and VGGish have seen.
    """


class Settings(PublishedLists):
    """A published split."""

    audit: OfficialLevels = OfficialLevels()
    """Level of each check of the audit, as in every split; a check of what published splits are
    known to leak only warns.
    """


def inputs(settings: PublishedLists) -> list[Path]:
    """Returns the lists."""
    return lists.files(settings.path, settings.benchmark, settings.lists)


def build(clips: Sequence[Clip], settings: Settings, pretrained: Collection[str] = ()) -> Built:
    """Returns the clips of the manifest in the partitions that the lists say.

    Clips are joined by id. Class and source are those of the manifest; a class must be the list's
    but for capitals, spaces and punctuation. ``pretrained`` changes nothing: ``cls`` lists are
    made for that, and the audit counts what they leave.

    Raises:
        PipelineError: a list is malformed, or none of its clips, or a clip of another class, is
            in the manifest.
    """
    listed = lists.read(settings.path, settings.benchmark, settings.lists)
    found, absent = join(clips, listed, settings.benchmark)
    rows = [
        SplitClip(clip.clip_id, clip.class_name, clip.source_id, partition)
        for partition, members in found.items()
        for clip in members
    ]
    return Built(sorted(rows, key=lambda row: row.clip_id), excluded(clips, found, listed), absent)


def join(
    clips: Sequence[Clip], listed: lists.Lists, benchmark: str
) -> tuple[dict[str, list[Clip]], list[str]]:
    """Returns the manifest's clips of each partition, and the listed clips that it does not have.

    Raises:
        PipelineError: no listed clip, or one of another class, is in the manifest.
    """
    known = {clip.clip_id: clip for clip in clips}
    found: dict[str, list[Clip]] = {}
    absent = []
    for partition, members in listed.partitions.items():
        found[partition] = []
        for member in members:
            clip = known.get(member.clip_id)
            if clip is None:
                absent.append(member.clip_id)
                continue
            if class_key(clip.class_name) != class_key(member.class_name):
                raise PipelineError(
                    f"clip {clip.clip_id!r} is of class {clip.class_name!r} in the manifest but "
                    f"of {member.class_name!r} in the lists of {benchmark}"
                )
            found[partition].append(clip)
    if not any(found.values()):
        raise PipelineError(
            f"none of the {len(absent)} clips in the lists of {benchmark} is in the manifest; "
            "splits.*.benchmark must name the dataset's own benchmark"
        )
    return found, sorted(absent)


def excluded(
    clips: Sequence[Clip], found: Mapping[str, Sequence[Clip]], listed: lists.Lists
) -> dict[str, str]:
    """Returns why a clip of the manifest is in no partition."""
    placed = {clip.clip_id for members in found.values() for clip in members}
    return {
        clip.clip_id: listed.dropped.get(clip.clip_id, "not in the published lists")
        for clip in clips
        if clip.clip_id not in placed
    }
