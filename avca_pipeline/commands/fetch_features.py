"""Command ``fetch-features``: features that authors publish, downloaded, checked and unpacked."""

from __future__ import annotations

import logging
import shutil
import zipfile
import zlib
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import archive_members, pinned, web_files
from avca_pipeline.fetching.archive_members import Archive
from avca_pipeline.media import MediaError
from avca_pipeline.published.feature_archives import ARCHIVES, FeatureArchive, place_of_member
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.runtime.paths import expanded
from avca_pipeline.runtime.progress import Progress
from avca_pipeline.settings import nearest

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20


def run(name: str, out: Path, archive: Path | None = None, address: str | None = None) -> None:
    """Unpacks an archive of features below a folder, in the layout that configs expect.

    What is there and right is left alone, so that the same command goes on where it broke off.

    Args:
        name: of `ARCHIVES`.
        out: the folder.
        archive: the archive, where it is on this machine already.
        address: of a mirror.

    Raises:
        PipelineError: there is no such archive; the download failed, or is no archive; it is
            damaged, has changed since its first use, or has no features in it; there is no room.
    """
    if name not in ARCHIVES:
        raise PipelineError(f"no archive {name!r}; {nearest(name, ARCHIVES)}")
    source, out = ARCHIVES[name], expanded(out)
    if archive is None:
        packed = _download(source, address or source.address, out / f"{name}.zip")
    else:
        packed = expanded(archive)
        _check_zip(packed, str(packed), source)
    folder = out / source.below
    num_files, num_new = _unpack(packed, folder)
    logger.info(f"fetch-features: {name}: {num_files} files below {folder}, {num_new} of them new")


def _download(source: FeatureArchive, address: str, path: Path) -> Path:
    web_files.download(
        address, path, verify=lambda arrived: _check_zip(arrived, shown(address), source)
    )
    pinned.obtain(address, path, kind="features", remedy="another archive than at first")
    return path


def _check_zip(path: Path, name: str, source: FeatureArchive) -> None:
    """Raises `PipelineError` where a file is no archive, such as a page that a server sends."""
    try:
        if zipfile.is_zipfile(path):
            return
        with open(path, "rb") as file:
            start = file.read(512).lstrip().lower()
    except OSError as error:
        raise PipelineError(f"{name}: cannot be read ({error.strerror})") from error
    what = "a page for people" if start.startswith(b"<") else "no ZIP archive"
    raise PipelineError(
        f"{name}: is {what}; download the archive from {source.page} in a browser, and name it "
        "with --archive"
    )


def _unpack(path: Path, folder: Path) -> tuple[int, int]:
    """Unpacks the features of an archive, and returns how many files they are and how many new."""
    archive = archive_members.open_archive(path)
    targets: dict[Path, str] = {}
    for member in sorted(archive.members):
        place = place_of_member(member)
        if place is not None and targets.setdefault(folder / place, member) != member:
            raise PipelineError(f"{path}: has {place} twice; it is no archive of features")
    if not targets:
        raise PipelineError(f"{path}: no features in it, such as UCF/features/…")
    missing = {
        target: member
        for target, member in targets.items()
        if not _is_there(archive, member, target)
    }
    _check_room(sum(archive.members[member].file_size for member in missing.values()), folder)
    with Progress("fetch-features", len(missing), "files") as progress:
        for target, member in missing.items():
            try:
                with atomic_write(target) as temporary:
                    archive.copy_member(member, temporary)
            except MediaError as error:
                raise PipelineError(f"{path}: {error}; download the archive again") from error
            progress.advance()
    return len(targets), len(missing)


def _is_there(archive: Archive, member: str, target: Path) -> bool:
    """Returns whether a member has been unpacked already, whole and unchanged."""
    expected = archive.members[member]
    if not target.is_file() or target.stat().st_size != expected.file_size:
        return False
    checksum = 0
    with open(target, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return bool(checksum == expected.CRC)


def _check_room(num_bytes: int, folder: Path) -> None:
    """Raises `PipelineError` where a disk has no room for so many bytes."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if num_bytes > free:
        raise PipelineError(
            f"{folder}: {num_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; make "
            "room or choose another --out"
        )
