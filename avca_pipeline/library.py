"""Finds clips by name in folders and archives, whatever folders are in them, and packs clips.

Nothing in an archive decides where it is unpacked to: a member is written under a name of ours,
and an archive with a member that points outside is refused as a whole.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from avca_pipeline.artifacts.atomic import writing
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.media import MediaError

SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
)
ARCHIVES = (".zip", ".tar", ".rar")
BROKEN = (OSError, EOFError, RuntimeError, KeyError, tarfile.TarError, zipfile.BadZipFile)


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
        names = _in_archive(place) if place.suffix.lower() in ARCHIVES else _in_folder(place)
        for name in sorted(names):
            item = Item(place, name)
            if PurePosixPath(name).suffix.lower() in SUFFIXES and not item.stem.startswith("."):
                found.setdefault(item.stem, item)
    return found


def take(item: Item, folder: Path) -> Path:
    """Returns the path of a media file, unpacked into ``folder`` if it is in an archive.

    Raises:
        MediaError: it cannot be unpacked.
    """
    if item.place.suffix.lower() not in ARCHIVES:
        return item.place / item.name
    digest = hashlib.sha256(f"{item.place.name}:{item.name}".encode()).hexdigest()[:24]
    path = folder / (digest + PurePosixPath(item.name).suffix.lower()[:10])
    if not path.is_file():
        try:
            with writing(path) as temporary, _opened(item.place) as archive:
                _unpack(archive, item.name, temporary)
        except BROKEN as error:
            raise MediaError(f"damaged: {item.place.name} has {item.name} but {error}") from error
    return path


def pack(files: Mapping[str, Path], out: Path) -> None:
    """Writes an archive of files, each under the name given; equal files make equal archives.

    Raises:
        PipelineError: a file cannot be read, or the archive cannot be written.
    """
    with writing(out) as temporary, tarfile.open(temporary, "w") as archive:
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
    _in_archive(place)  # refuses the whole if a member points outside
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=folder)
    except OSError as error:
        raise PipelineError(f"{folder}: cannot be written ({error.strerror or error})") from error
    files: dict[str, Path] = {}
    with temporary as inside:
        try:
            with _opened(place) as archive:
                for number, member in enumerate(archive.getmembers()):
                    path = Path(inside, f"{number}{PurePosixPath(member.name).suffix}")
                    _unpack(archive, member, path)
                    files[member.name] = path
        except BROKEN as error:
            raise FormatError(f"{place}: cannot be unpacked into {folder} ({error})") from error
        yield files


def _in_folder(place: Path) -> list[str]:
    if not place.is_dir():
        known = ", ".join(ARCHIVES)
        raise PipelineError(f"{place}: neither a folder nor an archive ({known}) of clips")
    names, visited = [], set()
    # Links are followed: a class's folder may lie on another disk.
    for folder, below, files in os.walk(place, followlinks=True):
        if os.path.realpath(folder) in visited:
            below.clear()
            continue
        visited.add(os.path.realpath(folder))
        names += [(Path(folder) / file).relative_to(place).as_posix() for file in files]
    return names


def _in_archive(place: Path) -> list[str]:
    try:
        with _opened(place) as archive:
            names = archive.getnames() if place.suffix.lower() == ".tar" else archive.namelist()
    except BROKEN as error:
        raise FormatError(f"{place}: cannot be read as an archive ({error})") from error
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise FormatError(f"{place}: member {name!r} points out of the archive; refused")
    return list(names)


@contextlib.contextmanager
def _opened(place: Path) -> Iterator[Any]:
    kind = place.suffix.lower()
    if kind == ".zip":
        with zipfile.ZipFile(place) as archive:
            yield archive
    elif kind == ".tar":
        # Not "r:*": a compressed archive would be read from its beginning for every clip.
        with tarfile.open(place, "r:") as archive:
            yield archive
    else:
        rarfile = _rarfile(place)
        try:
            with rarfile.RarFile(place) as archive:
                if archive.is_solid():
                    raise FormatError(
                        f"{place}: a solid RAR archive, which has to be unpacked as a whole; "
                        "unpack it and give the folder"
                    )
                yield archive
        except rarfile.RarCannotExec as error:
            raise PipelineError(
                f"{place}: needs one of the programs unrar, unar, 7z or bsdtar to be unpacked "
                "(Debian: apt-get install unar); install one, or unpack it and give the folder"
            ) from error
        except rarfile.Error as error:
            raise OSError(str(error) or type(error).__name__) from error


def _rarfile(place: Path) -> Any:
    try:
        import rarfile
    except ImportError as error:
        raise PipelineError(
            f"{place}: needs the package rarfile (pip install rarfile); or unpack it and give the "
            "folder"
        ) from error
    return rarfile


def _unpack(archive: Any, member: Any, path: Path) -> None:
    """Writes a member of an opened archive to a path."""
    if isinstance(archive, tarfile.TarFile):
        source: IO[bytes] | None = archive.extractfile(member)
        if source is None:
            raise OSError("it is no file")
    else:
        source = archive.open(member)
    with source, open(path, "wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
