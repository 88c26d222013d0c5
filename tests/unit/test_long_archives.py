"""What a clip costs does not grow with its archive, nor with the number of archives."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.fetching import archives
from tests.archiving import write_tar, write_zip

LENGTHS = (40, 400)


def reads_and_calls(paths: list[Path], folder: Path, num_clips: int = 20) -> tuple[int, int]:
    """Returns what reading so many clips takes once the archives are listed.

    That is the number of system calls that read, and of calls of Python functions.
    """
    media = list(archives.media_by_stem(tuple(paths)).values())
    archives.unpack_if_needed(media[-1], folder / "first")
    num_calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal num_calls
        num_calls += event == "call"

    before = num_reads()
    sys.setprofile(count)
    for number in range(num_clips):
        archives.unpack_if_needed(media[number * 7919 % len(media)], folder)
    sys.setprofile(None)
    return num_reads() - before, num_calls


def assert_equal_but_for_noise(costs: list[tuple[int, int]]) -> None:
    """The collection of garbage calls functions, too; a search would call ten times as many."""
    for short, long in zip(*costs, strict=True):
        assert long < 1.5 * short, costs


def num_reads() -> int:
    """Returns how often this process has read so far."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["syscr"])


def linked(path: Path, length: int, kind: bytes) -> Path:
    """Writes a TAR whose members are links to its first one."""
    with tarfile.open(path, "w") as archive:
        first = tarfile.TarInfo("c/first.mp4")
        first.size = 4
        archive.addfile(first, io.BytesIO(b"clip"))
        for number in range(length):
            link = tarfile.TarInfo(f"c/{number:04}.mp4")
            link.type = kind
            link.linkname = "c/first.mp4" if kind == tarfile.LNKTYPE else "first.mp4"
            archive.addfile(link)
    return path


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_a_clip_of_a_long_archive_costs_as_much(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    costs = []
    for length in LENGTHS:
        members = {f"c/{number:04}.mp4": bytes(1000) for number in range(length)}
        path = write(tmp_path / str(length), members)
        costs.append(reads_and_calls([path], tmp_path / str(length)))
    assert_equal_but_for_noise(costs)


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_a_link_is_followed_without_a_search(tmp_path: Path, kind: bytes) -> None:
    costs = [
        reads_and_calls([linked(tmp_path / f"{length}.tar", length, kind)], tmp_path / str(length))
        for length in LENGTHS
    ]
    assert_equal_but_for_noise(costs)


def test_many_archives_are_listed_once(tmp_path: Path) -> None:
    paths = [
        write_tar(
            tmp_path / f"{place}.tar",
            {f"c/{place}-{number}.mp4": bytes(5000) for number in range(30)},
        )
        for place in range(30)
    ]
    num_reads_of_all, _ = reads_and_calls(paths, tmp_path, num_clips=40)
    assert (
        num_reads_of_all < 10 * 40
    )  # an archive that is listed again takes 30 more for its headers
