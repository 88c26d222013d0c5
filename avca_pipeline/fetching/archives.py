"""Finds clips by name in folders and archives, whatever folders are in them, and packs clips."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.temporary import temporary_folder
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import archive_members
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError

MEDIA_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
)


@dataclass(frozen=True)
class MediaFile:
    """A media file: a path below a folder, or a member of an archive.

    Attributes:
        location: the folder or archive.
        name: the path below it, with forward slashes.
    """

    location: Path
    name: str

    @property
    def stem(self) -> str:
        """Its name without folders and ending."""
        return PurePosixPath(self.name).stem


@functools.lru_cache(maxsize=8)
def media_by_stem(locations: tuple[Path, ...]) -> dict[str, MediaFile]:
    """Returns all media files in folders and archives by their stem; of equal stems the first.

    Raises:
        PipelineError: a location is missing, damaged, of a kind that cannot be read clip by clip,
            or an archive with a member that points out of it.
    """
    files: dict[str, MediaFile] = {}
    for location in locations:
        for name in sorted(_names_in(location)):
            media = MediaFile(location, name)
            is_media = PurePosixPath(name).suffix.lower() in MEDIA_SUFFIXES
            if is_media and not media.stem.startswith("."):
                files.setdefault(media.stem, media)
    return files


def unpack_if_needed(media: MediaFile, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the path of a media file, unpacked if it is in an archive.

    Args:
        media: the file.
        folder: where it is unpacked.
        max_bytes: of a file that is unpacked.

    Raises:
        MediaError: it cannot be unpacked, or is larger than it may be.
    """
    path = local_path(media, folder)
    if _is_archive(media.location) and not path.is_file():
        with atomic_write(path) as temporary:
            archive = archive_members.open_archive(media.location)
            archive.copy_member(media.name, temporary, max_bytes)
    return path


def local_path(media: MediaFile, folder: Path) -> Path:
    """Returns where `unpack_if_needed` finds or puts a media file.

    Raises:
        MediaError: it is not in its archive any more.
    """
    if not _is_archive(media.location):
        return media.location / media.name
    archive = archive_members.open_archive(media.location)
    if media.name not in archive.members:
        raise MediaError(f"missing file: {media.location.name} has no {media.name} any more")
    # When another archive takes the place of this one, its member of this name is another file.
    key = f"{media.location.name}:{media.name}:{archive.version_of_member(media.name)}"
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return folder / (digest + PurePosixPath(media.name).suffix.lower()[:10])


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
def unpacked(location: Path, folder: Path) -> Iterator[dict[str, Path]]:
    """Unpacks an archive made by `pack` for as long as the block runs.

    Yields the path of each file by its name.

    Args:
        location: the archive.
        folder: where a temporary folder for the files is made.

    Raises:
        FormatError: it is damaged, or has a member that points out of it.
        PipelineError: the folder cannot be written to or the disk is full.
    """
    archive = archive_members.open_archive(location)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = contextlib.ExitStack()
        inside = room.enter_context(temporary_folder(folder / location.name))
    except OSError as error:
        raise PipelineError(f"{folder}: cannot be written ({error.strerror or error})") from error
    files: dict[str, Path] = {}
    with room:
        for number, name in enumerate(archive.members):
            path = Path(inside, f"{number}{PurePosixPath(name).suffix[:10]}")
            try:
                archive.copy_member(name, path)
            except (MediaError, OSError) as error:
                raise FormatError(
                    f"{location}: cannot be unpacked into {folder} ({error})"
                ) from error
            files[name] = path
        yield files


def _is_archive(location: Path) -> bool:
    return location.suffix.lower() in archive_members.ARCHIVE_SUFFIXES and not location.is_dir()


def _names_in(location: Path) -> Collection[str]:
    """Returns the paths of all files in a folder or archive, relative to it."""
    if _is_archive(location):
        return archive_members.open_archive(location).members
    if not location.is_dir():
        kinds = ", ".join(archive_members.ARCHIVE_SUFFIXES)
        raise PipelineError(f"{location}: neither a folder nor an archive ({kinds}) of clips")

    def refuse(error: OSError) -> None:
        if Path(str(error.filename)).name == "lost+found":  # the file system's own
            return
        raise PipelineError(
            f"{error.filename}: this folder cannot be read ({error.strerror})"
        ) from error

    names, visited = [], set()
    # Links are followed: a class's folder may lie on another disk.
    for folder, below, files in os.walk(location, followlinks=True, onerror=refuse):
        if os.path.realpath(folder) in visited:
            below.clear()
            continue
        visited.add(os.path.realpath(folder))
        names += [(Path(folder) / file).relative_to(location).as_posix() for file in files]
    return names
