"""Stage ``gather``: all shards of a backbone's features in one file, which is what training reads.

A table of results is hundreds of trainings, and a large dataset has hundreds of shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts import features
from avca_pipeline.progress import say


def run(shards: Sequence[Path], out: Path) -> None:
    """Writes the features of all shards, without their windows, in the order of the clip ids.

    Args:
        shards: ``features/<backbone>/<shard>.h5``.
        out: ``features/<backbone>.h5``.

    Raises:
        PipelineError: a shard is damaged, or they do not belong together.
    """
    whole = features.read_all(shards)
    features.write(out, whole)
    say(f"gather: {len(whole.clip_ids)} clips have features, {len(whole.rejected)} are rejected")
