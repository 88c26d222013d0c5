"""A member that cannot be unpacked is the trouble of one clip, whatever is wrong with it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import fetched
from avca_pipeline.artifacts.fetched import OK, REJECTED
from avca_pipeline.datasets import demo
from avca_pipeline.errors import FormatError, PipelineError, TransientError
from avca_pipeline.fetching import archive_members, archives
from avca_pipeline.media import MediaError
from avca_pipeline.stages import fetch
from avca_pipeline.stages import manifest as manifest_stage
from tests.archiving import WRITERS, write_rar, write_tar, write_zip
from tests.builders import fetch_request, manifest_request

BAD, GOOD = "v_Archery_g01_c01", "v_Archery_g02_c01"
SECRET = b"what is outside is nobody's business"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    archives.media_by_stem.cache_clear()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = demo.Settings(num_classes=4, sources_per_class=1)
    return demo.locate(made, demo.clips(made)[0], tmp_path_factory.mktemp("film")).read_bytes()


Damage = Callable[[Path, bytes], Path]


def compressed(method: int, share: float = 0.5, damage: bytes = bytes(8)) -> Damage:
    """A ZIP whose first member is damaged somewhere in its compressed bytes."""

    def write(folder: Path, film: bytes) -> Path:
        path = folder / "a.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(f"{BAD}.avi", np.random.default_rng(0).bytes(500) * 20)
            info = archive.infolist()[0]
            begin = info.header_offset + 30 + len(info.filename)
            archive.writestr(f"{GOOD}.avi", film)
        content = bytearray(path.read_bytes())
        where = begin + int(share * info.compress_size)
        content[where : where + len(damage)] = damage
        path.write_bytes(content)
        return path

    return write


def method_93(folder: Path, film: bytes) -> Path:
    """A ZIP with a member in Zstandard, which Python reads from 3.14 on."""
    path = write_zip(folder / "a", {f"{BAD}.avi": b"x" * 100, f"{GOOD}.avi": film})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        where = content.index(mark)
        content[where + at] = 93
    path.write_bytes(content)
    return path


def encrypted(folder: Path, film: bytes) -> Path:
    path = write_zip(folder / "a", {f"{BAD}.avi": b"x" * 100, f"{GOOD}.avi": film})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        where = content.index(mark)
        content[where + at] |= 1
    path.write_bytes(content)
    return path


def wrong_local_header(folder: Path, film: bytes) -> Path:
    path = write_zip(folder / "a", {f"{BAD}.avi": b"x" * 100, f"{GOOD}.avi": film})
    path.write_bytes(path.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05", 1))
    return path


def wrong_checksum_in_rar(folder: Path, film: bytes) -> Path:
    path = write_rar(folder / "a", {f"{BAD}.avi": b"one two three", f"{GOOD}.avi": film})
    path.write_bytes(path.read_bytes().replace(b"one two", b"one too"))
    return path


def special(kind: bytes, target: str = "") -> Damage:
    """A TAR with a member that is no file."""

    def write(folder: Path, film: bytes) -> Path:
        (folder / "outside").write_bytes(SECRET)
        with tarfile.open(folder / "a.tar", "w") as archive:
            member = tarfile.TarInfo(f"{BAD}.avi")
            member.type, member.linkname = kind, target.format(folder=folder, bad=BAD)
            archive.addfile(member)
            good = tarfile.TarInfo(f"{GOOD}.avi")
            good.size = len(film)
            archive.addfile(good, io.BytesIO(film))
        return folder / "a.tar"

    return write


def with_gnu_tar(folder: Path, film: bytes) -> Path:
    """A TAR with a sparse member of two terabytes, in a few kilobytes."""
    (folder / "in").mkdir()
    with open(folder / f"in/{BAD}.avi", "wb") as file:
        file.truncate(2 << 40)
    (folder / f"in/{GOOD}.avi").write_bytes(film)
    names = sorted(path.name for path in (folder / "in").iterdir())
    subprocess.run(["tar", "-C", folder / "in", "-cSf", folder / "a.tar", *names], check=True)
    return folder / "a.tar"


def bomb(folder: Path, film: bytes) -> Path:
    """A ZIP whose directory says that 20 TB come out of a member."""
    path = write_zip(folder / "a", {f"{BAD}.avi": b"x" * 100, f"{GOOD}.avi": film})
    with zipfile.ZipFile(path, "a") as archive:
        archive.infolist()[0].file_size = 20 << 40
        archive._didModify = True  # type: ignore[attr-defined]
    return path


DAMAGED: dict[str, tuple[Damage, str]] = {
    "deflated": (compressed(zipfile.ZIP_DEFLATED), "damaged: a.zip has"),
    "no block of deflate": (compressed(zipfile.ZIP_DEFLATED, 0, b"\xff" * 8), "damaged: a.zip has"),
    "bzip2": (compressed(zipfile.ZIP_BZIP2), "damaged: a.zip has"),
    "lzma": (compressed(zipfile.ZIP_LZMA), "damaged: a.zip has"),
    "stored": (compressed(zipfile.ZIP_STORED), "damaged: a.zip has"),
    "zstandard": (method_93, "cannot be unpacked: a.zip has"),
    "encrypted": (encrypted, "cannot be unpacked: a.zip has"),
    "no local header": (wrong_local_header, "damaged: a.zip has"),
    "rar": (wrong_checksum_in_rar, "damaged: a.rar has"),
    "folder": (special(tarfile.DIRTYPE), ""),
    "pipe": (special(tarfile.FIFOTYPE), "damaged: a.tar has"),
    "device": (special(tarfile.CHRTYPE), "damaged: a.tar has"),
    "link to nothing": (special(tarfile.SYMTYPE, "nothing"), "damaged: a.tar has"),
    "link to itself": (special(tarfile.SYMTYPE, "{bad}.avi"), "damaged: a.tar has"),
    "link outside": (special(tarfile.SYMTYPE, "{folder}/outside"), "damaged: a.tar has"),
    "hard link outside": (special(tarfile.LNKTYPE, "{folder}/outside"), "damaged: a.tar has"),
    "unknown type": (special(b"Z"), ""),
    "sparse terabytes": (with_gnu_tar, "too large: a.tar has"),
    "bomb": (bomb, "too large: a.zip has"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_member_of_any_damage_is_one_row(kind: str, film: bytes, tmp_path: Path) -> None:
    write, reason = DAMAGED[kind]
    settings = {"path": str(write(tmp_path, film))}
    manifest_stage.run(
        manifest_request("ucf101", settings, 1), tmp_path / "manifest.csv", tmp_path / "shards"
    )
    clips, raw = tmp_path / "shards" / "00000-of-00001.csv", tmp_path / "raw"
    fetch.run(fetch_request("ucf101", settings), clips, raw, tmp_path / "fetched.csv")
    rows = {row.clip_id: row for row in fetched.read(tmp_path / "fetched.csv")}
    assert rows[GOOD].status == OK
    assert Path(rows[GOOD].path).read_bytes() == film
    if kind == "folder":
        assert list(rows) == [GOOD]
    else:
        assert rows[BAD].status == REJECTED
        assert rows[BAD].reason.startswith(reason)
    left = [path.read_bytes() for path in raw.iterdir()]
    assert SECRET not in left


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_disk_in_trouble_is_not_a_damaged_member(
    write: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path
) -> None:
    """It may pass, so that the row is tried again."""
    content = np.random.default_rng(0).bytes(100_000)  # more than the reader has in advance
    path = write(tmp_path / "a", {f"{BAD}.avi": content, f"{GOOD}.avi": content})
    settings = {"path": str(path)}
    manifest_stage.run(
        manifest_request("ucf101", settings, 1), tmp_path / "manifest.csv", tmp_path / "shards"
    )
    clips = tmp_path / "shards" / "00000-of-00001.csv"
    reader = archive_members.open_archive(path).archive  # type: ignore[attr-defined]
    descriptor = (reader.fp if write is write_zip else reader.fileobj).fileno()
    with open("/proc/self/mem", "rb") as unreadable:  # as a bad sector is
        os.dup2(unreadable.fileno(), descriptor)
    fetch.run(fetch_request("ucf101", settings), clips, tmp_path / "raw", tmp_path / "fetched.csv")
    for row in fetched.read(tmp_path / "fetched.csv"):
        assert row.reason.startswith(f"cannot be read: {path.name} has {row.clip_id}.avi but Input")
    assert (tmp_path / "fetched.tries").exists()


def test_a_disk_in_trouble_is_not_a_damaged_member_of_rar(tmp_path: Path) -> None:
    path = write_rar(tmp_path / "a", {f"{BAD}.avi": b"one two three"})
    archive = archive_members.open_archive(path)
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(TransientError, match=r"^cannot be read: a\.rar has .* but Input/output"):
        archive.copy_member(f"{BAD}.avi", tmp_path / "out")


def test_links_within_an_archive_lead_to_what_they_name(film: bytes, tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        path = special(kind, f"{GOOD}.avi")(tmp_path, film)
        if kind == tarfile.LNKTYPE:  # What a hard link leads to comes before it.
            path = write_tar(tmp_path / "b", {f"{GOOD}.avi": film})
            with tarfile.open(path, "a") as archive:
                member = tarfile.TarInfo(f"{BAD}.avi")
                member.type, member.linkname = kind, f"{GOOD}.avi"
                archive.addfile(member)
        found = archives.media_by_stem((path,))
        assert archives.unpack_if_needed(found[BAD], tmp_path / "raw").read_bytes() == film


@pytest.mark.parametrize("write", WRITERS[1:])
def test_no_more_is_unpacked_than_may_be(
    write: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "a", {"x.avi": bytes(1001), "y.avi": bytes(1000)})
    found = archives.media_by_stem((path,))
    with pytest.raises(MediaError, match=r"too large: .* has x\.avi of 1001 bytes"):
        archives.unpack_if_needed(found["x"], tmp_path / "raw", 1000)
    assert archives.unpack_if_needed(found["y"], tmp_path / "raw", 1000).stat().st_size == 1000
    assert len(list((tmp_path / "raw").iterdir())) == 1


@pytest.mark.parametrize("write", WRITERS[1:])
def test_another_archive_in_its_place_has_other_members(
    write: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path
) -> None:
    """Of the same name and size, so that nothing but the content tells them apart."""
    taken = []
    for number, content in enumerate((b"one", b"two")):
        archives.media_by_stem.cache_clear()
        path = write(tmp_path / f"{number}", {"x.avi": content})
        times = path.stat()
        path = path.rename(tmp_path / f"a{path.suffix}")
        os.utime(path, (times.st_atime, times.st_mtime + number))
        if write is write_tar:
            with tarfile.open(path, "w") as archive:
                member = tarfile.TarInfo("x.avi")
                member.size, member.mtime = 3, number
                archive.addfile(member, io.BytesIO(content))
        taken.append(
            archives.unpack_if_needed(
                archives.media_by_stem((path,))["x"], tmp_path / "raw"
            ).read_bytes()
        )
    assert taken == [b"one", b"two"]


def test_an_archive_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "a", {f"{number}.avi": b"x" for number in range(20)})
    found = archives.media_by_stem((path,))
    listed = []
    monkeypatch.setattr(
        tarfile.TarInfo, "fromtarfile", lambda *_: listed.append(1) or pytest.fail("listed again")
    )
    for item in found.values():
        assert archives.unpack_if_needed(item, tmp_path / "raw").read_bytes() == b"x"
    assert not listed


def test_a_damaged_header_is_not_the_end_of_an_archive(tmp_path: Path) -> None:
    """Members behind it would be missing, and nobody would be told."""
    path = write_tar(tmp_path / "a", {f"{number}.avi": bytes(600) for number in range(4)})
    content = bytearray(path.read_bytes())
    content[2 * (512 + 1024)] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.tar: damaged at byte 3072: .* after 2 members"):
        archives.media_by_stem((path,))


@pytest.mark.parametrize("size", [700, 1400, 2000])
def test_an_archive_that_was_cut_off_is_refused(size: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a", {f"{number}.avi": b"x" * 600 for number in range(4)})
    os.truncate(path, size)
    with pytest.raises(FormatError, match=r"a\.tar: "):
        archives.media_by_stem((path,))


def test_an_archive_without_an_end_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tar(tmp_path / "a", {f"{number}.avi": bytes(600) for number in range(4)})
    os.truncate(path, 2 * (512 + 1024))
    assert len(archives.media_by_stem((path,))) == 2
    assert "may have been cut off" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("write", WRITERS[1:])
def test_flipped_bits_end_in_files_rows_or_one_line(
    write: Callable[[Path, dict[str, bytes]], Path], seed: int, tmp_path: Path
) -> None:
    drawn = np.random.default_rng(seed)
    path = write(tmp_path / "a", {f"{number}.avi": drawn.bytes(300) for number in range(3)})
    content = path.read_bytes()
    for _ in range(30):
        damaged = bytearray(content)
        for position in drawn.integers(len(content), size=3):
            damaged[position] ^= 1 << int(drawn.integers(8))
        path.write_bytes(damaged)
        archive_members._open_archive.cache_clear()
        archives.media_by_stem.cache_clear()
        with contextlib.suppress(PipelineError):
            for item in archives.media_by_stem((path,)).values():
                with contextlib.suppress(MediaError):
                    archives.unpack_if_needed(item, tmp_path / "raw", 1 << 20)


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    (tmp_path / "clips").mkdir()
    with pytest.raises(PipelineError, match=r"clips: this folder cannot be read \(Permission"):
        archives.media_by_stem((tmp_path / "clips",))


def test_resource_forks_are_no_clips(tmp_path: Path) -> None:
    """Such files as macOS leaves: ``._clip.avi`` beside ``clip.avi``, on foreign disks."""
    path = write_zip(tmp_path / "a", {"clip.avi": b"one", "._clip.avi": b"two", ".x.avi": b"x"})
    assert list(archives.media_by_stem((path,))) == ["clip"]
