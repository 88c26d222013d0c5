"""Finds clips by name in folders and archives, whatever folders are in them, and packs clips."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avca_pipeline.artifacts.atomic import atomic_write, temporary_folder
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import archive_members
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError

SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
)


@dataclass(frozen=True)
class Item:
    """A media file: a path below a folder, or a member of an archive."""

    place: Path
    name: str

    @property
    def stem(self) -> str:
        """Its name without folders and ending."""
        return PurePosixPath(self.name).stem


@functools.lru_cache(maxsize=8)
def items(places: tuple[Path, ...]) -> dict[str, Item]:
    """Returns all media files in folders and archives by their stem; of equal stems the first.

    Raises:
        PipelineError: a place is missing, damaged, of a kind that cannot be read clip by clip, or
            an archive with a member that points out of it.
    """
    found: dict[str, Item] = {}
    for place in places:
        names = archive_members.opened(place).members if _is_archive(place) else _in_folder(place)
        for name in sorted(names):
            item = Item(place, name)
            if PurePosixPath(name).suffix.lower() in SUFFIXES and not item.stem.startswith("."):
                found.setdefault(item.stem, item)
    return found


def take(item: Item, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the path of a media file, unpacked into ``folder`` if it is in an archive.

    Raises:
        MediaError: it cannot be unpacked, or is larger than it may be.
    """
    path = path_of(item, folder)
    if _is_archive(item.place) and not path.is_file():
        with atomic_write(path) as temporary:
            archive_members.opened(item.place).copy(item.name, temporary, max_bytes)
    return path


def path_of(item: Item, folder: Path) -> Path:
    """Returns where `take` finds or puts a media file.

    Raises:
        MediaError: it is not in its archive any more.
    """
    if not _is_archive(item.place):
        return item.place / item.name
    archive = archive_members.opened(item.place)
    if item.name not in archive.members:
        raise MediaError(f"missing file: {item.place.name} has no {item.name} any more")
    # Another member of the same name, in an archive put in the place of this one, is another file.
    key = f"{item.place.name}:{item.name}:{archive.identity(item.name)}"
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return folder / (digest + PurePosixPath(item.name).suffix.lower()[:10])


def pack(files: Mapping[str, Path], out: Path) -> None:
    """Writes an archive of files, each under the name given; equal files make equal archives.

    Raises:
        PipelineError: a file cannot be read, or the archive cannot be written.
    """
    with atomic_write(out) as temporary, tarfile.open(temporary, "w") as archive:
        for name, path in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            with open(path, "rb") as file:
                archive.addfile(member, file)


@contextlib.contextmanager
def unpacked(place: Path, folder: Path) -> Iterator[dict[str, Path]]:
    """Yields where the files of an archive made by `pack` are, by name; they are gone afterwards.

    Args:
        place: the archive.
        folder: in which there is room for a temporary one.

    Raises:
        FormatError: it is damaged, or has a member that points out of it.
        PipelineError: the folder cannot be written to or the disk is full.
    """
    archive = archive_members.opened(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = contextlib.ExitStack()
        inside = room.enter_context(temporary_folder(folder / place.name))
    except OSError as error:
        raise PipelineError(f"{folder}: cannot be written ({error.strerror or error})") from error
    files: dict[str, Path] = {}
    with room:
        for number, name in enumerate(archive.members):
            path = Path(inside, f"{number}{PurePosixPath(name).suffix[:10]}")
            try:
                archive.copy(name, path)
            except (MediaError, OSError) as error:
                raise FormatError(f"{place}: cannot be unpacked into {folder} ({error})") from error
            files[name] = path
        yield files


def _is_archive(place: Path) -> bool:
    return place.suffix.lower() in archive_members.SUFFIXES and not place.is_dir()


def _in_folder(place: Path) -> list[str]:
    if not place.is_dir():
        known = ", ".join(archive_members.SUFFIXES)
        raise PipelineError(f"{place}: neither a folder nor an archive ({known}) of clips")

    def refuse(error: OSError) -> None:
        if Path(str(error.filename)).name == "lost+found":  # the file system's own
            return
        raise PipelineError(
            f"{error.filename}: this folder cannot be read ({error.strerror})"
        ) from error

    names, visited = [], set()
    # Links are followed: a class's folder may lie on another disk.
    for folder, below, files in os.walk(place, followlinks=True, onerror=refuse):
        if os.path.realpath(folder) in visited:
            below.clear()
            continue
        visited.add(os.path.realpath(folder))
        names += [(Path(folder) / file).relative_to(place).as_posix() for file in files]
    return names
