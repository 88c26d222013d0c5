"""The clips of a dataset as they are now, looked at before the stage ``manifest`` writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from avca_pipeline.artifacts import manifest
from avca_pipeline.artifacts.clip_lists import ShardDigests, blocks
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import Config
from avca_pipeline.config.entries import DatasetEntry
from avca_pipeline.datasets import is_labelled, table
from avca_pipeline.planning.table_rows import UnusualTableError, table_rows

Rows = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Ids of some clips, and the cells of each."""


def listing(config: Config, dataset: str) -> dict[str, str]:
    """Returns the path of each list of a dataset's clips with its digest, see `clip_lists`.

    The list of all clips comes first. A block of clips is in memory at a time.

    Raises:
        PipelineError: the annotations are missing or malformed, or an id occurs twice.
    """
    entry = config.datasets[dataset]
    if isinstance(entry.settings, table.Settings):
        path, labelled = entry.settings.path, entry.settings.labelled
        try:
            return _listing(entry, lambda: table_rows(path, labelled=labelled))
        except UnusualTableError:
            pass  # Reading it clip by clip says what is wrong, if anything is.
    return _listing(entry, lambda: _rows(entry))


def _listing(entry: DatasetEntry, rows: Callable[[], Iterator[Rows]]) -> dict[str, str]:
    digests, ids = ShardDigests(entry.num_shards), [np.zeros(0, np.uint64)]
    for clip_ids, cells in rows():
        ids.append(digests.add(clip_ids, cells))
    if _have_equals(ids):
        clips = map(manifest.storable, entry.module.clips(entry.settings))
        manifest.check(
            clips,
            _where(entry.plugin, entry.module, entry.settings),
            labelled=is_labelled(entry.settings),
        )
    lists = {f"{entry.name}/manifest.csv": digests.of_all()}
    return lists | {f"{entry.name}/shards/{key}.csv": sha for key, sha in digests.by_name().items()}


def _rows(entry: DatasetEntry) -> Iterator[Rows]:
    """Yields the clips of a dataset in blocks, each clip checked by itself."""
    where, labelled = (
        _where(entry.plugin, entry.module, entry.settings),
        is_labelled(entry.settings),
    )
    for clips in blocks(map(manifest.storable, entry.module.clips(entry.settings))):
        manifest.check(clips, where, labelled=labelled)
        yield [clip.clip_id for clip in clips], list(map(manifest.cells, clips))


def all_clips(plugin: str, module: Any, settings: Any) -> list[Clip]:
    """Returns all clips of a dataset that is small enough for that, checked as for its lists.

    Args:
        plugin: its name.
        module: the plugin.
        settings: for it.

    Raises:
        PipelineError: as `listing`.
    """
    clips: list[Clip] = list(module.clips(settings))
    where = _where(plugin, module, settings)
    manifest.check(map(manifest.storable, clips), where, labelled=is_labelled(settings))
    return clips


def _where(plugin: str, module: Any, settings: Any) -> str:
    """Returns where the clips of a dataset come from, to begin messages with."""
    files = module.inputs(settings)
    return str(files[0]) if len(files) == 1 else f"dataset {plugin}"


def _have_equals(parts: list[np.ndarray]) -> bool:
    """Returns whether two of some numbers are equal; forgets them."""
    numbers = np.concatenate(parts)
    parts.clear()
    numbers.sort()
    return bool((numbers[1:] == numbers[:-1]).any())
