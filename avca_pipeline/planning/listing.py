"""The clips of a dataset as they are now, read before the stage ``manifest`` writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from avca_pipeline.artifacts import manifest, records
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import Config
from avca_pipeline.datasets import is_labelled


@dataclass(frozen=True)
class Listing:
    """The clips of a dataset.

    Attributes:
        clips: all of them by their id.
        table: digest of ``manifest.csv``.
        shards: name of each shard to the digest of its list.
    """

    clips: Mapping[str, Clip]
    table: str
    shards: Mapping[str, str]


def listing(config: Config, dataset: str) -> Listing:
    """Returns the clips that a dataset has now.

    Raises:
        PipelineError: the annotations are missing or malformed, or an id occurs twice.
    """
    entry = config.datasets[dataset]
    clips = [manifest.storable(clip) for clip in entry.module.clips(entry.settings)]
    manifest.check(clips, f"dataset {entry.plugin}", labelled=is_labelled(entry.settings))
    num_shards = config.datasets[dataset].num_shards
    members = defaultdict(list)
    for clip in clips:
        members[manifest.shard_of(clip.clip_id, num_shards)].append(clip)
    return Listing(
        clips={clip.clip_id: clip for clip in clips},
        table=records.digest_of_text(manifest.content(clips)),
        shards={
            name: records.digest_of_text(manifest.content(members[name]))
            for name in manifest.shard_names(num_shards)
        },
    )
