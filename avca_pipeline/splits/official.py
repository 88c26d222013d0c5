"""The published split of a benchmark, clip by clip as its lists say (Mercea et al., CVPR 2022).

================  ===============  ======  ========  ==========  =========  ============
Benchmark         classes          train   val_seen  val_unseen  test_seen  test_unseen
================  ===============  ======  ========  ==========  =========  ============
VGGSound-GZSL     276: 138/69/69   70,351     7,817       3,102      9,032  3,450 (3,200)
UCF-GZSL          51: 30/12/9       3,174       353       1,467        555  1,267 (845)
ActivityNet-GZSL  200: 99/51/50     9,204     1,023       4,307      1,615  4,199 (4,052)
================  ===============  ======  ========  ==========  =========  ============

Classes are those of train, val_unseen and test_unseen; numbers in brackets are those of the lists
``cls``.

The lists ``main`` go with features of SeLaVi. The lists ``cls`` go with those of C3D and VGGish,
and leave out unseen test classes that these backbones were trained on.

The seen partitions leak by recording: all of UCF's test_seen and val_seen clips share their
recording with a training clip, 784 of 1,615 of ActivityNet's test_seen clips do, and 3,144 of 9,032
of VGGSound's. The audit counts them and the report says so; `official_grouped` avoids it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import BuiltSplit, SplitClip
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage import data_checks, split_checks
from avca_pipeline.leakage.levels import only_warnings_for
from avca_pipeline.published import lists
from avca_pipeline.published.class_names import class_key
from avca_pipeline.splits import SplitSettings

KNOWN_LEAKS = (
    split_checks.sources_in_one_partition,
    split_checks.sources_not_trained_on,
    split_checks.unseen_classes_not_pretrained_on,
    data_checks.media_not_trained_on,
)


class OfficialLevels(only_warnings_for(*KNOWN_LEAKS)):  # type: ignore[misc]
    """The levels for a published split, whose leaks are known and cannot be mended."""


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

    def published_lists(self, dataset: str) -> tuple[str, str]:
        """Returns the benchmark whose lists these are, and which of them."""
        return self.benchmark, self.lists


class Settings(PublishedLists):
    """A published split."""

    audit: OfficialLevels = OfficialLevels()
    """Level of each check of the audit, as in every split; a check of what published splits are
    known to leak only warns.
    """


def inputs(settings: PublishedLists) -> list[Path]:
    """Returns the lists."""
    return lists.files(settings.path, settings.benchmark, settings.lists)


def build(
    settings: Settings, clips: Sequence[Clip], pretrained: Collection[str] = ()
) -> BuiltSplit:
    """Returns the clips of the manifest in the partitions that the lists say.

    Clips are joined by id. Class and source are those of the manifest; a class must be the list's
    but for capitals, spaces and punctuation. ``pretrained`` changes nothing: ``cls`` lists are
    made for that, and the audit counts what they leave.

    Raises:
        PipelineError: a list is malformed, or none of its clips, or a clip of another class, is
            in the manifest.
    """
    listed = lists.read(settings.path, settings.benchmark, settings.lists)
    members_of, missing = join(clips, listed, settings.benchmark)
    rows = [
        SplitClip(clip.clip_id, clip.class_name, clip.source_id, partition)
        for partition, members in members_of.items()
        for clip in members
    ]
    rows.sort(key=lambda row: row.clip_id)
    return BuiltSplit(rows, excluded(clips, members_of, listed), missing)


def join(
    clips: Sequence[Clip], listed: lists.Lists, benchmark: str
) -> tuple[dict[str, list[Clip]], list[str]]:
    """Joins the clips of the manifest and of the lists by their ids.

    Returns:
        The manifest's clips of each partition, and the ids of listed clips that the manifest does
        not have.

    Raises:
        PipelineError: no listed clip is in the manifest, or one is there with another class.
    """
    clip_of = {clip.clip_id: clip for clip in clips}
    members_of: dict[str, list[Clip]] = {}
    missing = []
    for partition, listed_clips in listed.partitions.items():
        members_of[partition] = []
        for listed_clip in listed_clips:
            clip = clip_of.get(listed_clip.clip_id)
            if clip is None:
                missing.append(listed_clip.clip_id)
                continue
            if class_key(clip.class_name) != class_key(listed_clip.class_name):
                raise PipelineError(
                    f"clip {clip.clip_id!r} is of class {clip.class_name!r} in the manifest but "
                    f"of {listed_clip.class_name!r} in the lists of {benchmark}"
                )
            members_of[partition].append(clip)
    if not any(members_of.values()):
        raise PipelineError(
            f"none of the {len(missing)} clips in the lists of {benchmark} is in the manifest; "
            "splits.*.benchmark must name the dataset's own benchmark"
        )
    return members_of, sorted(missing)


def excluded(
    clips: Sequence[Clip], members_of: Mapping[str, Sequence[Clip]], listed: lists.Lists
) -> dict[str, str]:
    """Returns why clips of the manifest are in no partition: clip id to reason.

    Args:
        clips: the manifest.
        members_of: partition to its clips, as `join` returns them.
        listed: what the lists say.
    """
    placed = {clip.clip_id for members in members_of.values() for clip in members}
    return {
        clip.clip_id: listed.dropped.get(clip.clip_id, "not in the published lists")
        for clip in clips
        if clip.clip_id not in placed
    }
