"""``manifest.csv``: the table of clips, and its cut into shards."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.stored_rows import stored_if_in_order
from avca_pipeline.artifacts.text_files import stream_csv
from avca_pipeline.errors import FormatError, one_line

NAMES = ("clip_id", "source_id", "class_name", "path_or_url")
COLUMNS = (*NAMES, "start_s", "end_s")
OF_LABELLED = ("source_id", "class_name")
REASON = "no_media_because"
UNSTORABLE = re.compile(r"[\0\r\n\ud800-\udfff]")
SHARD_PATTERN = r"\d{5}-of-\d{5}"
"""Matches the name of a shard, as `shard_names` makes them."""


@dataclass(frozen=True, slots=True)
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
    ordered = sorted(map(cells, clips), key=itemgetter(0))
    has_reasons = any(row[-1] for row in ordered)
    return "".join([header(has_reasons), *(line(row, has_reasons) for row in ordered)])


def cells(clip: Clip) -> tuple[str, ...]:
    """Returns the row of a clip: a cell for each of `COLUMNS`, and its reason."""
    return (
        clip.clip_id,
        clip.source_id,
        clip.class_name,
        clip.path_or_url,
        "" if clip.start_s is None else repr(float(clip.start_s)),
        "" if clip.end_s is None else repr(float(clip.end_s)),
        clip.reason,
    )


def header(has_reasons: bool) -> str:
    """Returns the first line of a manifest, with its line break."""
    return _line((*COLUMNS, REASON) if has_reasons else COLUMNS)


def line(row: Sequence[str], has_reasons: bool) -> str:
    """Returns the line of a clip, with its line break.

    Args:
        row: as `cells` returns it.
        has_reasons: whether a clip of the table has a reason, so that all have a cell for it.
    """
    if not has_reasons:
        return _line(row[:-1])
    return (_quoted_line if "\r" in row[-1] else _line)(row)


def read(path: Path, *, labelled: bool | None = None) -> list[Clip]:
    """Reads and checks a manifest, or one shard of it.

    Args:
        path: of the file.
        labelled: whether its clips have classes: a table of clips without classes needs neither
            classes nor sources. By default, all clips have one or none has.

    Raises:
        FormatError: as `stream`, or an id is not unique.
    """
    clips = list(stream(path, labelled=labelled))
    clip_ids: set[str] = set()
    for clip in clips:
        if clip.clip_id in clip_ids:
            raise occurs_twice(str(path), clip.clip_id)
        clip_ids.add(clip.clip_id)
    return clips


def opened(path: Path) -> Sequence[Clip]:
    """Checks a manifest as `read` does; its clips stay in the file.

    Only a table that is not in the order of its ids, so none of ours, is read into memory.
    """
    return stored_if_in_order(stream(path), lambda: _stored(path), lambda: read(path))


def stream(path: Path, *, labelled: bool | None = None) -> Iterator[Clip]:
    """Yields the clips of a manifest one by one; whether an id is unique is not checked.

    Args:
        path: of the file.
        labelled: as for `read`.

    Raises:
        FormatError: a column is missing, an id is empty, a class or a source is empty, or a time
            is no number; the message names the line or the clip.
    """
    required = [name for name in COLUMNS if labelled is not False or name not in OF_LABELLED]
    with_class: Clip | None = None
    without_class: Clip | None = None
    for number, row in enumerate(stream_csv(path, required), start=2):
        where = f"{path}: line {number}"
        if labelled is False:
            row |= {"class_name": "", "source_id": row.get("source_id") or row["path_or_url"]}
        clip = storable(
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
        check_clip(clip, str(path), labelled=bool(labelled))
        if clip.class_name:
            with_class = with_class or clip
        else:
            without_class = without_class or clip
        if labelled is None and with_class and without_class:
            check_clip(without_class, str(path), labelled=True)
        yield clip


def _stored(path: Path) -> Iterator[Clip]:
    """Yields the clips of a manifest that `opened` has checked, as fast as that can be."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        names = next(reader)
        is_as_written = tuple(names) == COLUMNS
        pick = itemgetter(*(names.index(name) for name in (*COLUMNS, REASON) if name in names))
        for row in reader:
            if row:
                clip_id, source_id, class_name, path_or_url, start_s, end_s, *reason = (
                    row if is_as_written else pick(row)
                )
                yield storable(
                    Clip(
                        clip_id,
                        source_id,
                        class_name,
                        path_or_url,
                        float(start_s) if start_s.strip() else None,
                        float(end_s) if end_s.strip() else None,
                        *reason,
                    )
                )


def storable(clip: Clip) -> Clip:
    """Returns a clip whose names fit on a line of a table.

    Every name that does is kept as it is, whatever script, mark or symbol is in it. A clip whose
    names have a line break or a NUL in them, or bytes that are no UTF-8, gets names in which these
    are written as escapes, and a reason that says so.
    """
    names = (clip.clip_id, clip.source_id, clip.class_name, clip.path_or_url)
    # Whatever is printable has none of these in it, and is found faster.
    if "".join(names).isprintable() or not any(map(UNSTORABLE.search, names)):
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
        check_clip(clip, where, labelled=labelled)
        if clip.clip_id in clip_ids:
            raise occurs_twice(where, clip.clip_id)
        clip_ids.add(clip.clip_id)


def check_clip(clip: Clip, where: str, *, labelled: bool = True) -> None:
    """Raises `FormatError` for a clip that no stage could work with; arguments as for `check`."""
    if not (clip.clip_id and clip.source_id and clip.path_or_url) or (
        labelled and not clip.class_name
    ):
        lacking = next(
            name for name in NAMES if not getattr(clip, name) and (labelled or name != "class_name")
        )
        raise FormatError(f"{where}: clip {clip.clip_id!r} has no {lacking}")
    if (clip.start_s or 0.0) >= (math.inf if clip.end_s is None else clip.end_s):
        raise FormatError(
            f"{where}: clip {clip.clip_id!r} ends at {clip.end_s} s, "
            f"not after its start at {clip.start_s or 0} s"
        )


def occurs_twice(where: str, clip_id: str) -> FormatError:
    """Returns the error of a table with two clips of one id."""
    return FormatError(f"{where}: clip_id {clip_id!r} occurs twice; ids must be unique")


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


class _Lines:
    """What a writer of CSV writes into, which hands each line back."""

    def write(self, text: str) -> str:
        """Returns the line."""
        return text


_line: Callable[[Sequence[str]], str] = csv.writer(_Lines(), lineterminator="\n").writerow
"""Returns the line of some cells; CSV writers return what their file returns."""

# A carriage return ends a line for readers; Python 3.11 does not quote it by itself.
_quoted_line: Callable[[Sequence[str]], str] = csv.writer(
    _Lines(), lineterminator="\n", quoting=csv.QUOTE_ALL
).writerow


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
