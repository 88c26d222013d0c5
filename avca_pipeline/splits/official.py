"""The published split of a benchmark, clip by clip as its lists say.

Its seen partitions leak by recording (all of UCF's test_seen and half of ActivityNet's), which the
audit counts and the report says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.official import lists
from avca_pipeline.splits import AuditLevels, Built, SplitSettings


class OfficialLevels(AuditLevels):
    """The levels for a published split, whose leaks are known and cannot be mended.

    Attributes:
        sources_in_one_partition: no recording in two partitions.
        sources_not_trained_on: no clip is evaluated after training on its recording.
    """

    sources_in_one_partition: Literal["error", "warning", "off"] = "warning"
    sources_not_trained_on: Literal["error", "warning", "off"] = "warning"


class Settings(SplitSettings):
    """A published split.

    Attributes:
        path: the folder that ``avgzsl_benchmark_datasets`` is in.
        benchmark: ``UCF``, ``ActivityNet``, ``VGGSound``, or one exported by this package.
        lists: ``main``, or ``cls``, which leaves out the unseen test classes that the supervised
            C3D and VGGish have seen.
        audit: as of every split, but warnings for what published splits are known to leak.
    """

    path: Path
    benchmark: str
    lists: Literal["main", "cls"] = "main"
    audit: OfficialLevels = OfficialLevels()


def inputs(settings: Settings) -> list[Path]:
    """Returns the lists."""
    return lists.files(settings.path, settings.benchmark, settings.lists)


def build(clips: Sequence[Clip], settings: Settings) -> Built:
    """Returns the clips of the manifest in the partitions that the lists say.

    Clips are joined by id. Class and source are those of the manifest; a class must be the list's
    but for capitals, spaces and punctuation.

    Raises:
        PipelineError: a list is malformed, or none of its clips, or a clip of another class, is
            in the manifest.
    """
    listed = lists.read(settings.path, settings.benchmark, settings.lists)
    known = {clip.clip_id: clip for clip in clips}
    rows, absent = [], []
    for partition, members in listed.partitions.items():
        for member in members:
            clip = known.get(member.clip_id)
            if clip is None:
                absent.append(member.clip_id)
                continue
            if lists.class_key(clip.class_name) != lists.class_key(member.class_name):
                raise PipelineError(
                    f"clip {clip.clip_id!r} is of class {clip.class_name!r} in the manifest but "
                    f"of {member.class_name!r} in the lists of {settings.benchmark}"
                )
            rows.append(SplitClip(clip.clip_id, clip.class_name, clip.source_id, partition))
    if not rows:
        raise PipelineError(
            f"none of the {len(absent)} clips in the lists of {settings.benchmark} is in the "
            "manifest; splits.*.benchmark must name the dataset's own benchmark"
        )
    placed = {row.clip_id for row in rows}
    excluded = {
        clip.clip_id: listed.dropped.get(clip.clip_id, f"not in the {settings.lists} lists")
        for clip in clips
        if clip.clip_id not in placed
    }
    return Built(sorted(rows, key=lambda row: row.clip_id), excluded, sorted(absent))
