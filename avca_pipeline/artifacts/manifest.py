"""``manifest.csv``: the table of clips, and its cut into shards."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError, one_line

NAMES = ("clip_id", "source_id", "class_name", "path_or_url")
COLUMNS = (*NAMES, "start_s", "end_s")
OF_LABELLED = ("source_id", "class_name")
REASON = "no_media_because"
UNSTORABLE = re.compile(r"[\0\r\n\ud800-\udfff]")
SHARD_PATTERN = r"\d{5}-of-\d{5}"
"""Matches the name of a shard, as `shard_names` makes them."""


@dataclass(frozen=True)
class Clip:
    """A stretch of one source, labelled or to be classified.

    Attributes:
        clip_id: unique, the same on every machine, never a path.
        source_id: the recording it was cut from, the unit of leakage.
        class_name: its label; empty for a clip that is only to be classified.
        path_or_url: where its media is; what that means is up to the dataset.
        start_s: where it begins in the media; ``None`` for the beginning.
        end_s: where it ends; ``None`` for the end.
        reason: why the annotations alone show that it has no usable media.
    """

    clip_id: str
    source_id: str
    class_name: str
    path_or_url: str
    start_s: float | None = None
    end_s: float | None = None
    reason: str = ""


def write(path: Path, clips: Iterable[Clip]) -> None:
    """Writes clips in the order of their ids, so that the file depends on its content alone."""
    with atomic_write(path) as temporary:
        temporary.write_text(content(clips), encoding="utf-8", newline="")


def content(clips: Iterable[Clip]) -> str:
    """Returns what `write` writes.

    The column ``no_media_because`` is there only if a clip has one.
    """
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    has_reasons = any(clip.reason for clip in ordered)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, REASON) if has_reasons else COLUMNS)
    writer.writerows(
        (
            *(getattr(clip, name) for name in NAMES),
            _cell(clip.start_s),
            _cell(clip.end_s),
            *([clip.reason] if has_reasons else []),
        )
        for clip in ordered
    )
    return text.getvalue()


def read(path: Path, *, labelled: bool | None = None) -> list[Clip]:
    """Reads and checks a manifest, or one shard of it.

    Args:
        path: of the file.
        labelled: whether its clips have classes: a table of clips without classes needs neither
            classes nor sources. By default, all clips have one or none has.

    Raises:
        FormatError: a column is missing, an id is empty or not unique, a class or a source is
            empty, or a time is no number; the message names the line.
    """
    clips = []
    required = [name for name in COLUMNS if labelled is not False or name not in OF_LABELLED]
    for line, row in enumerate(read_csv(path, required), start=2):
        where = f"{path}: line {line}"
        if labelled is False:
            row |= {"class_name": "", "source_id": row.get("source_id") or row["path_or_url"]}
        clips.append(
            storable(
                Clip(
                    row["clip_id"],
                    row["source_id"],
                    row["class_name"],
                    row["path_or_url"],
                    start_s=_seconds(row["start_s"], where, "start_s"),
                    end_s=_seconds(row["end_s"], where, "end_s"),
                    reason=row.get(REASON, ""),
                )
            )
        )
    if labelled is None:
        labelled = not clips or any(clip.class_name for clip in clips)
    check(clips, str(path), labelled=labelled)
    return clips


def storable(clip: Clip) -> Clip:
    """Returns a clip whose names fit on a line of a table.

    Every name that does is kept as it is, whatever script, mark or symbol is in it. A clip whose
    names have a line break or a NUL in them, or bytes that are no UTF-8, gets names in which these
    are written as escapes, and a reason that says so.
    """
    if not any(UNSTORABLE.search(getattr(clip, name)) for name in NAMES):
        return clip
    return replace(
        clip,
        clip_id=_escaped(clip.clip_id),
        source_id=_escaped(clip.source_id),
        class_name=_escaped(clip.class_name),
        path_or_url=_escaped(clip.path_or_url),
        reason="unusable name: a line break, a NUL or bytes that are no UTF-8; rename it",
    )


def _escaped(name: str) -> str:
    """Returns the name with escapes: unlike any file's name, and another for each name."""
    if not UNSTORABLE.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{one_line(name)} [{digest}]"


def check(clips: Iterable[Clip], where: str, *, labelled: bool = True) -> None:
    """Raises `FormatError` for a table of clips that no stage could work with.

    Args:
        clips: to check.
        where: they come from, to begin messages with.
        labelled: whether they have classes.
    """
    clip_ids: set[str] = set()
    for clip in clips:
        for name in NAMES:
            if not getattr(clip, name) and (labelled or name != "class_name"):
                raise FormatError(f"{where}: clip {clip.clip_id!r} has no {name}")
        if clip.clip_id in clip_ids:
            raise FormatError(f"{where}: clip_id {clip.clip_id!r} occurs twice; ids must be unique")
        clip_ids.add(clip.clip_id)
        if (clip.start_s or 0.0) >= (math.inf if clip.end_s is None else clip.end_s):
            raise FormatError(
                f"{where}: clip {clip.clip_id!r} ends at {clip.end_s} s, "
                f"not after its start at {clip.start_s or 0} s"
            )


def shard_names(num_shards: int) -> list[str]:
    """Returns ``["00000-of-00002", "00001-of-00002"]`` for two shards."""
    return [_shard_name(index, num_shards) for index in range(num_shards)]


def shards_beside(first: Path, num_shards: int) -> list[Path]:
    """Returns the files of all shards, which lie beside that of the first one.

    A command line that named each of them could be too long.

    Args:
        first: file of the first shard.
        num_shards: how many there are.
    """
    return [first.with_name(name + first.suffix) for name in shard_names(num_shards)]


def shard_of(clip_id: str, num_shards: int) -> str:
    """Returns the shard of a clip: a hash of its id, so that a new clip touches one shard only."""
    digest = hashlib.sha256(clip_id.encode()).digest()
    return _shard_name(int.from_bytes(digest[:8], "big") % num_shards, num_shards)


def _shard_name(index: int, num_shards: int) -> str:
    return f"{index:05d}-of-{num_shards:05d}"


def _cell(seconds: float | None) -> str:
    return "" if seconds is None else repr(float(seconds))


def _seconds(cell: str, where: str, name: str) -> float | None:
    if not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise FormatError(f"{where}: {name} is {cell!r}; give seconds from the start, or nothing")
    return value
