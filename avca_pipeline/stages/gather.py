"""Stage ``gather``: all shards of a backbone's features in one file, which is what training reads.

A table of results is hundreds of trainings, and a large dataset has hundreds of shards.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts import feature_shards, fetched
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.name_digests import digests, find
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.leakage.fetched_columns import FetchedColumns
from avca_pipeline.requests import GatherRequest

logger = logging.getLogger(__name__)


def run(
    request: GatherRequest,
    shards: Sequence[Path],
    out: Path,
    tables: Sequence[Path] = (),
    max_missing: float = 1.0,
    *,
    may_be_empty: bool = False,
) -> None:
    """Writes the features of all shards, with their windows if kept, in the order of the clip ids.

    Args:
        request: the name of the features.
        shards: ``features/<backbone>/<shard>.h5``.
        out: ``features/<backbone>.h5``.
        tables: ``fetched/<shard>.csv``; none where the features were imported.
        max_missing: share of the clips that may have no features.
        may_be_empty: whether the file is written even if no clip has features.

    Raises:
        PipelineError: a shard is damaged, or they do not belong together; features were made from
            other media than those that were fetched; too many clips have no features.
    """
    whole = feature_shards.read(shards)
    clips = FetchedColumns.of(itertools.chain.from_iterable(map(fetched.stream, tables)))
    _same_media(whole, clips, request.features)
    lost = {**clips.lost, **whole.rejected}
    if len(whole.clip_ids) or not may_be_empty:
        _enough(len(whole.clip_ids), lost, out, max_missing)
    feature_shards.write(out, whole)
    logger.info(
        f"gather {request.features}: {len(whole.clip_ids)} clips have features, "
        f"{len(lost)} have none"
    )


def _same_media(whole: Features, clips: FetchedColumns, name: str) -> None:
    """Raises `FormatError` for features that were made from another file than the fetched one."""
    if len(clips.clip) == len(clips.lost) or not len(whole.media):
        return
    row = find(clips.clip, digests(whole.clip_ids))
    is_same = (row >= 0) & (clips.content[row] == digests(whole.media))
    if not is_same.all():
        clip_id = whole.clip_ids[int(is_same.argmin())]
        raise FormatError(
            f"features {name!r}: those of clip {clip_id!r} were made from another "
            "file than the one that was fetched; delete the shard with this clip and run again"
        )


def _enough(num_made: int, lost: dict[str, str], out: Path, max_missing: float) -> None:
    """Raises `PipelineError`, with reasons counted, if too many clips have no features."""
    num_clips = num_made + len(lost)
    if num_made and len(lost) <= max_missing * num_clips:
        return
    counted = Counter(reason.split(":")[0] for reason in lost.values())
    reasons = ", ".join(f"{reason} {number}" for reason, number in counted.most_common())
    allowed = f"; datasets.*.max_missing allows {max_missing:.0%}" if num_made else ""
    is_silent = counted["no audio stream"] > len(lost) / 2
    remedy = "; leave audio out of feature_sets, or give files with sound" if is_silent else ""
    raise PipelineError(
        f"{out}: {len(lost)} of {num_clips} clips have no features{allowed} "
        f"({reasons or 'there is no clip'}){remedy}"
    )
