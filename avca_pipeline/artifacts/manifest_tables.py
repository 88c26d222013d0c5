"""Writes ``manifest.csv`` and the list of each shard while the clips pass by.

Few clips are in memory, however many there are. The rest lies in a folder beside the manifest. Of
each recording, 16 bytes are kept, to count recordings.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline.artifacts import manifest
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.name_digests import NameDigests
from avca_pipeline.artifacts.sorting import ROWS_IN_MEMORY, by_first_cell
from avca_pipeline.artifacts.temporary import temporary_folder
from avca_pipeline.errors import PipelineError


@dataclass
class Listed:
    """What there is to say of the clips of a dataset.

    Attributes:
        num_clips: how many there are.
        class_names: of the clips.
        reasons: why clips have no usable media, to how many.
        sources: their recordings, one for each clip.
    """

    num_clips: int = 0
    class_names: set[str] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)
    sources: NameDigests = field(default_factory=NameDigests)

    def add(self, clip: Clip) -> None:
        """Counts a clip."""
        self.num_clips += 1
        self.sources.add(clip.source_id)
        if clip.class_name:
            self.class_names.add(clip.class_name)
        if clip.reason:
            self.reasons[clip.reason] += 1


def write(
    clips: Iterable[Clip],
    out: Path,
    shards: Path,
    num_shards: int,
    where: str,
    *,
    labelled: bool,
    rows_in_memory: int = ROWS_IN_MEMORY,
) -> Listed:
    """Writes the manifest of clips and the list of each shard.

    Args:
        clips: in any order; they are looped over once.
        out: the manifest.
        shards: folder of the lists, named as `manifest.shard_names` says.
        num_shards: how many lists.
        where: the clips come from, to begin messages with.
        labelled: whether they have classes.
        rows_in_memory: how many rows at most.

    Raises:
        FormatError: as `manifest.check`; no file is written.
    """
    listed = Listed()
    with_reasons: set[str] = set()

    def rows() -> Iterator[tuple[str, ...]]:
        for given in _readable(clips, where):
            clip = manifest.storable(given)
            manifest.check_clip(clip, where, labelled=labelled)
            listed.add(clip)
            if clip.reason:
                with_reasons.add(manifest.shard_of(clip.clip_id, num_shards))
            yield manifest.cells(clip)

    with atomic_write(out) as temporary, temporary_folder(out) as folder:
        ordered = by_first_cell(rows(), folder, rows_in_memory)
        members = _Members(folder, num_shards, with_reasons, rows_in_memory)
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            file.write(manifest.header(bool(listed.reasons)))
            before = None
            for row in ordered:
                if row[0] == before:
                    raise manifest.occurs_twice(where, row[0])
                before = row[0]
                file.write(manifest.line(row, bool(listed.reasons)))
                members.add(row)
        members.write(shards)
    return listed


def _readable(clips: Iterable[Clip], where: str) -> Iterator[Clip]:
    """Yields clips; that they cannot be read is not taken for an error of writing."""
    try:
        yield from clips
    except OSError as error:
        raise PipelineError(f"{where}: cannot be read ({error})") from error


class _Members:
    """The lines of each shard, in the order in which they come; most of them are in files.

    Args:
        folder: of these files.
        num_shards: how many shards there are.
        with_reasons: names of the shards in whose list a clip has a reason.
        lines_in_memory: how many lines are put into files together.
    """

    def __init__(
        self, folder: Path, num_shards: int, with_reasons: set[str], lines_in_memory: int
    ) -> None:
        self._folder = folder
        self._num_shards = num_shards
        self._with_reasons = with_reasons
        self._lines_in_memory = lines_in_memory
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        self._num_lines = 0

    def add(self, row: Sequence[str]) -> None:
        """Adds the row of a clip to its shard."""
        shard = manifest.shard_of(row[0], self._num_shards)
        self._lines[shard].append(manifest.line(row, shard in self._with_reasons))
        self._num_lines += 1
        if self._num_lines == self._lines_in_memory:
            self._put_away()

    def write(self, shards: Path) -> None:
        """Writes the list of each shard, an empty one too."""
        self._put_away()
        for name in manifest.shard_names(self._num_shards):
            with (
                atomic_write(shards / f"{name}.csv") as temporary,
                open(temporary, "w", encoding="utf-8", newline="") as file,
            ):
                file.write(manifest.header(name in self._with_reasons))
                if (self._folder / name).exists():
                    with open(self._folder / name, encoding="utf-8", newline="") as lines:
                        shutil.copyfileobj(lines, file)

    def _put_away(self) -> None:
        for name, lines in self._lines.items():
            with open(self._folder / name, "a", encoding="utf-8", newline="") as file:
                file.writelines(lines)
        self._lines.clear()
        self._num_lines = 0
