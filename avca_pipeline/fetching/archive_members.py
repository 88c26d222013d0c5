"""Archives of media, read one member at a time: ZIP, TAR and RAR.

An archive is opened and listed once. The caller decides where a member is written, never the
archive, and an archive with a member that points out of it is refused as a whole. If one member is
damaged, only its clip is lost.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import posixpath
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from avca_pipeline.errors import (
    MAY_PASS,
    FormatError,
    PipelineError,
    TransientError,
    machine_trouble,
)
from avca_pipeline.media import MediaError

logger = logging.getLogger(__name__)

ARCHIVE_SUFFIXES = (".zip", ".tar", ".rar")
MAX_BYTES = 16 << 30
"""Largest size of one member: an hour of video at 38 Mbit/s."""

MAX_OPEN = 256
"""Archives that stay open: one that was closed is listed anew for its next clip."""

CHUNK_BYTES = 1 << 20
IS_ENCRYPTED = 1  # a flag of a ZIP's member


def open_archive(path: Path) -> Archive:
    """Opens an archive and lists its members, once for as long as its file stays as it is.

    Args:
        path: a file with one of `ARCHIVE_SUFFIXES`.

    Raises:
        PipelineError: the archive is missing, damaged, of a kind that cannot be read member by
            member, or has a member that points out of it.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read as an archive ({error.strerror})") from error
    return _open_archive(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=MAX_OPEN)
def _open_archive(path: Path, *_: int) -> Archive:
    kinds = {".zip": _Zip, ".tar": _Tar, ".rar": _Rar}
    try:
        return kinds[path.suffix.lower()](path)
    except PipelineError:
        raise
    except Exception as error:  # Damaged archives make the readers raise errors of any type.
        if trouble := machine_trouble(error):
            raise PipelineError(f"{path}: cannot be read ({trouble})") from error
        raise FormatError(f"{path}: cannot be read as an archive ({_one_line(error)})") from error


class Archive:
    """An archive and its members; of members of one name the last counts, as in unpacking all.

    Attributes:
        path: of the archive.
        lock: held while a member is read: the readers are not safe with several threads.
        members: name to what the archive's reader knows of the member.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.members = self.list_members()
        for name in self.members:
            inside = PurePosixPath(name.replace("\\", "/"))
            if inside.is_absolute() or ".." in inside.parts:
                raise FormatError(f"{path}: member {name!r} points out of the archive; refused")

    def list_members(self) -> dict[str, Any]:
        """Opens the archive and returns its members by name."""
        raise NotImplementedError

    def open_member(self, member: Any) -> IO[bytes]:
        """Returns the content of a member as a file to read from."""
        raise NotImplementedError

    def size_and_version(self, member: Any) -> tuple[int, object]:
        """Returns the size of a member in bytes, and a value that another content changes."""
        raise NotImplementedError

    def version_of_member(self, name: str) -> str:
        """Returns a text that changes when another member takes this name."""
        return ":".join(map(str, self.size_and_version(self.members[name])))

    def copy_member(self, name: str, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Writes the content of a member to a file.

        Args:
            name: of the member.
            path: of the file.
            max_bytes: of the content.

        Raises:
            MediaError: the member is damaged, too large, no file, or of a kind that nobody reads.
            TransientError: the archive's disk is in trouble that may pass.
            PipelineError: the machine lacks something.
            OSError: the file cannot be written.
        """
        where = f"{self.path.name} has {name}"
        size = self.size_and_version(self.members[name])[0]
        if size > max_bytes:
            raise MediaError(f"too large: {where} of {size} bytes, and limits.max_bytes is less")
        num_bytes = 0
        with self.lock, open(path, "wb") as out:
            for chunk in self._chunks(name, where):
                num_bytes += len(chunk)
                if num_bytes > size:
                    raise MediaError(f"damaged: {where}, which is longer than it says")
                out.write(chunk)
        if num_bytes != size:
            raise MediaError(f"damaged: {where}, which ends after {num_bytes} of {size} bytes")

    def _chunks(self, name: str, where: str) -> Iterator[bytes]:
        try:
            with self.open_member(self.members[name]) as source:
                while chunk := source.read(CHUNK_BYTES):
                    yield chunk
        except PipelineError:
            raise
        except NotImplementedError as error:
            raise MediaError(f"cannot be unpacked: {where} but {_one_line(error)}") from error
        except Exception as error:  # Damaged archives make the readers raise errors of any type.
            if trouble := machine_trouble(error):
                raise PipelineError(f"{self.path}: cannot be read ({trouble})") from error
            if isinstance(error, OSError) and error.errno in MAY_PASS:
                raise TransientError(f"cannot be read: {where} but {_one_line(error)}") from error
            raise MediaError(f"damaged: {where} but {_one_line(error)}") from error


class _Zip(Archive):
    def list_members(self) -> dict[str, Any]:
        self.archive = zipfile.ZipFile(self.path)
        return {info.filename: info for info in self.archive.infolist() if not info.is_dir()}

    def size_and_version(self, member: Any) -> tuple[int, object]:
        return member.file_size, member.CRC

    def open_member(self, member: Any) -> IO[bytes]:
        if member.flag_bits & IS_ENCRYPTED:
            raise NotImplementedError("it is encrypted")
        return self.archive.open(member)


class _Tar(Archive):
    def list_members(self) -> dict[str, Any]:
        # Not "r:*": a compressed archive would be read from its beginning for every clip.
        self.archive = tarfile.open(self.path, "r:")  # noqa: SIM115 - read until the end
        members = {member.name: member for member in self.archive if not member.isdir()}
        # The reader mistakes a damaged header for the end of the archive.
        with open(self.path, "rb") as file:
            file.seek(self.archive.offset)
            rest = file.read(tarfile.BLOCKSIZE)
        if rest.strip(b"\0"):
            raise FormatError(
                f"{self.path}: damaged at byte {self.archive.offset}: what comes there, after "
                f"{len(members)} members, is no member"
            )
        if not rest:
            logger.warning(
                f"{self.path}: ends without the mark of the end; it may have been cut off"
            )
        return members

    def size_and_version(self, member: Any) -> tuple[int, object]:
        if member.islnk() or member.issym():
            with contextlib.suppress(KeyError, RecursionError):
                member = self._target(member)
        return member.size, member.mtime

    def open_member(self, member: Any) -> IO[bytes]:
        member = self._target(member)
        source = self.archive.extractfile(member) if member.isreg() else None
        if source is None:
            raise OSError("it is no file")
        return source

    def _target(self, member: Any) -> Any:
        """Follows links to a member of the same archive.

        Raises:
            KeyError: there is no such member, or the links form a circle.
        """
        for _ in range(len(self.members)):
            if not (member.islnk() or member.issym()):
                return member
            name = member.linkname
            if member.issym():  # An absolute one is below the archive, too.
                name = "/".join(filter(None, (posixpath.dirname(member.name), name)))
            places = self._places.get(posixpath.normpath(name), [])
            # A second name is one of a member that came before.
            if member.islnk():
                places = [place for place in places if place < member.offset]
            if not places:
                raise KeyError(f"linkname {name!r} not found")
            member = self._by_offset[places[-1]]
        raise KeyError("it is a link to itself")

    @functools.cached_property
    def _by_offset(self) -> dict[int, Any]:
        """The place of each member in the archive to the member; all that share a name."""
        return {member.offset: member for member in self.archive.getmembers()}

    @functools.cached_property
    def _places(self) -> dict[str, list[int]]:
        """Name of a member to the places of all members of that name, in their order."""
        places: dict[str, list[int]] = {}
        for place, member in self._by_offset.items():
            places.setdefault(posixpath.normpath(member.name), []).append(place)
        return places


class _Rar(Archive):
    def list_members(self) -> dict[str, Any]:
        try:
            import rarfile
        except ImportError as error:
            raise PipelineError(
                f"{self.path}: needs the package rarfile (pip install rarfile); or unpack it and "
                "give the folder"
            ) from error
        self.rarfile = rarfile
        self.archive = rarfile.RarFile(self.path)
        if self.archive.is_solid():
            raise FormatError(
                f"{self.path}: a solid RAR archive, which has to be unpacked as a whole; "
                "unpack it and give the folder"
            )
        return {info.filename: info for info in self.archive.infolist() if not info.is_dir()}

    def size_and_version(self, member: Any) -> tuple[int, object]:
        return member.file_size, member.CRC

    def open_member(self, member: Any) -> IO[bytes]:
        if member.needs_password():
            raise NotImplementedError("it is encrypted")
        try:
            source: IO[bytes] = self.archive.open(member)
        except self.rarfile.RarCannotExec as error:
            raise PipelineError(
                f"{self.path}: needs one of the programs unrar, unar, 7z or bsdtar to be unpacked "
                "(Debian: apt-get install unar); install one, or unpack it and give the folder"
            ) from error
        return source


def _one_line(error: Exception) -> str:
    """Returns the message of an error in one line, or its type if it has none."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__
