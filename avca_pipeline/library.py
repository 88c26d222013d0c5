"""Finds clips by name in folders and archives, whatever folders are in them.

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
import zipfile
from collections.abc import Iterator
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
            with writing(path) as temporary, _member(item) as member, open(temporary, "wb") as out:
                shutil.copyfileobj(member, out, 1 << 20)
        except BROKEN as error:
            raise MediaError(f"damaged: {item.place.name} has {item.name} but {error}") from error
    return path


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
            f"{place}: needs the package rarfile; pip install 'avca_pipeline[rar]', or unpack it "
            "and give the folder"
        ) from error
    return rarfile


@contextlib.contextmanager
def _member(item: Item) -> Iterator[IO[bytes]]:
    with _opened(item.place) as archive:
        if item.place.suffix.lower() == ".tar":
            member = archive.extractfile(item.name)
            if member is None:
                raise OSError("it is no file")
        else:
            member = archive.open(item.name)
        with member:
            yield member
