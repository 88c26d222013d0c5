"""Stage ``gather``: all shards of a backbone's features in one file, which is what training reads.

A table of results is hundreds of trainings, and a large dataset has hundreds of shards.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts import features, fetched
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.errors import FormatError, PipelineError
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
    whole = features.read_all(shards)
    rows = [row for path in tables for row in fetched.read(path)]
    _same_media(whole, rows, request.features)
    lost = {row.clip_id: row.reason for row in rows if row.status != OK} | dict(whole.rejected)
    if len(whole.clip_ids) or not may_be_empty:
        _enough(len(whole.clip_ids), lost, out, max_missing)
    features.write(out, whole, shards)
    logger.info(
        f"gather {request.features}: {len(whole.clip_ids)} clips have features, "
        f"{len(lost)} have none"
    )


def _same_media(whole: Features, rows: Sequence[FetchedClip], name: str) -> None:
    """Raises `FormatError` for features that were made from another file than the fetched one."""
    sha256 = {row.clip_id: row.sha256 for row in rows if row.status == OK}
    if not sha256 or not whole.media:
        return
    for clip_id, made_from in zip(whole.clip_ids, whole.media, strict=True):
        if sha256.get(clip_id) != made_from:
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
