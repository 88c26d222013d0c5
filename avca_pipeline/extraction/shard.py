"""Which clips of a shard are to be encoded, and where their media is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.features import AWAY_SUFFIX
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.errors import FormatError
from avca_pipeline.extraction.encoded_clip import EncodedClip


def usable_clips(
    list_of_clips: Path, table: Path, unpacked: Mapping[str, Path]
) -> tuple[list[EncodedClip], list[FetchedClip]]:
    """Returns the clips to encode, and the rows of those whose files lie where they were fetched.

    Args:
        list_of_clips: of the shard.
        table: of fetched media.
        unpacked: files from the archive of another machine, by their names in it.

    Raises:
        FormatError: a clip has no row in the table.
    """
    rows = {row.clip_id: row for row in fetched.read(table)}
    clips, rows_in_place = [], []
    for clip in manifest.read(list_of_clips):
        if clip.clip_id not in rows:
            raise FormatError(
                f"{table}: has no row for clip {clip.clip_id!r}; delete the file and run again to "
                "rebuild it"
            )
        row = rows[clip.clip_id]
        if row.status != OK:
            continue
        path = unpacked.get(row.name, Path(row.path))
        media = MediaSegment(path, clip.start_s, clip.end_s)
        clips.append(EncodedClip(clip.clip_id, media, row.sha256))
        if row.name not in unpacked:
            rows_in_place.append(row)
    return clips, rows_in_place


def write_missing_files(out: Path, paths: Sequence[str]) -> None:
    """Lists beside a features file the media that were missing.

    The workflow extracts the shard again when one of them is back. Without missing files there is
    no list.
    """
    list_of_files = out.with_suffix(AWAY_SUFFIX)
    if not paths:
        list_of_files.unlink(missing_ok=True)
        return
    with atomic_write(list_of_files) as temporary:
        temporary.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
