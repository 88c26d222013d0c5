"""What fetch records of media, and that extract takes no other media than those."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.fetched import OK, REJECTED
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import demo
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.stages import extract, fetch
from tests.builders import extract_request, fetch_request

SETTINGS = {"model": "test_resnet.r160_in1k"}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small media files of the same size with different content."""
    folder = tmp_path_factory.mktemp("films")
    settings = demo.Settings(num_classes=4, sources_per_class=2)
    listed = [clip for clip in demo.clips(settings) if clip.start_s is None]
    paths = [demo.locate(settings, clip, folder) for clip in listed[:2]]
    size = max(path.stat().st_size for path in paths)
    for path in paths:  # zeros after the end are no part of an MP4
        os.truncate(path, size)
    return paths


@pytest.fixture
def media(tmp_path: Path, films: list[Path]) -> Path:
    """A folder with a table of three clips: a good one, a broken one, and one without a file."""
    shutil.copy(films[0], tmp_path / "good.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    manifest.write(
        tmp_path / "clips.csv",
        [Clip(f"{name}.mp4", name, "class", f"{name}.mp4") for name in ("good", "broken", "none")],
    )
    return tmp_path


def run_fetch(folder: Path) -> list[fetched.FetchedClip]:
    clips, table = folder / "clips.csv", folder / "fetched.csv"
    fetch.run(fetch_request("table", {"path": str(clips)}), clips, folder / "raw", table)
    return fetched.read(table)


def run_extract(folder: Path) -> features.Features:
    paths = folder / "clips.csv", folder / "fetched.csv", folder / "frames.h5"
    extract.run(
        extract_request("timm_frames", SETTINGS), *paths, cache=folder, device="cpu", workers=1
    )  # fmt: skip
    return features.read(folder / "frames.h5")


def test_each_row_names_the_file_that_was_looked_at(media: Path) -> None:
    broken, good, none = run_fetch(media)
    assert (broken.status, good.status, none.status) == (REJECTED, OK, REJECTED)
    for row, name in ((broken, "broken.mp4"), (good, "good.mp4")):
        status = (media / name).stat()
        assert row.path == str(media / name)
        assert (row.size, row.modified_ns) == (status.st_size, status.st_mtime_ns)
    assert none.path == str(media / "none.mp4")
    assert (none.size, none.modified_ns, none.sha256) == (None, None, "")


def test_a_name_that_is_almost_all_ending_travels(tmp_path: Path) -> None:
    """The name in an archive has a checksum before the ending, and still has to be a name."""
    path = tmp_path / f"a.{'x' * 253}"
    path.write_bytes(b"film")
    name = fetched.FetchedClip("a", OK, path=str(path), sha256="0" * 64).name
    archives.pack({name: path}, tmp_path / "media.tar")
    with archives.unpacked(tmp_path / "media.tar", tmp_path) as files:
        assert files[name].read_bytes() == b"film"
    assert len(name) < 100
    foreign = "b." + "y" * 253
    archives.pack({foreign: path}, tmp_path / "media.tar")
    with archives.unpacked(tmp_path / "media.tar", tmp_path) as files:
        assert files[foreign].read_bytes() == b"film"


def test_a_date_is_no_content(media: Path) -> None:
    """A file that was merely touched gives the same row, and its features are made."""
    before = run_fetch(media), fetched.without_dates(media / "fetched.csv")
    os.utime(media / "good.mp4", (2e9, 2e9))
    assert run_extract(media).clip_ids == ["good.mp4"]
    after = run_fetch(media), fetched.without_dates(media / "fetched.csv")
    assert before == after
    assert after[0][1].modified_ns == 2 * 10**18


def replaced_in_place(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


def replaced_by_rename(path: Path, other: Path) -> None:
    shutil.copy(other, path.with_name("new"))
    path.with_name("new").replace(path)


def longer(path: Path, other: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    os.truncate(path, path.stat().st_size + 1)
    os.utime(path, ns=times)


@pytest.mark.parametrize("change", [replaced_in_place, replaced_by_rename, longer])
def test_another_content_is_not_extracted(
    media: Path, films: list[Path], change: Callable[[Path, Path], None]
) -> None:
    run_fetch(media)
    change(media / "good.mp4", films[1])
    os.utime(media / "good.mp4", (2e9, 2e9))
    with pytest.raises(PipelineError, match=r"good\.mp4: this file has another content than when"):
        run_extract(media)
    assert not (media / "frames.h5").exists()
    run_fetch(media)
    assert run_extract(media).clip_ids == ["good.mp4"]


def test_no_file_is_there(media: Path) -> None:
    """Its disk is not mounted: that is no property of any clip."""
    run_fetch(media)
    (media / "good.mp4").rename(media / "away")
    with pytest.raises(PipelineError, match=re.escape("No such file or directory")) as error:
        run_extract(media)
    assert "mount the disk" in str(error.value)
    assert not (media / "frames.h5").exists()
    (media / "away").rename(media / "good.mp4")
    assert run_extract(media).rejected == {}


def test_one_file_is_away(media: Path, films: list[Path]) -> None:
    """It is a row with a reason, and noted until a later run finds it."""
    shutil.copy(films[1], media / "broken.mp4")
    run_fetch(media)
    (media / "good.mp4").rename(media / "away")
    found = run_extract(media)
    assert found.clip_ids == ["broken.mp4"]
    assert found.rejected["good.mp4"].startswith("missing file: it was there")
    assert (media / "frames.away").read_text() == f"{media / 'good.mp4'}\n"
    (media / "away").rename(media / "good.mp4")
    assert run_extract(media).rejected == {}
    assert not (media / "frames.away").exists()


def test_a_file_that_goes_away_meanwhile(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoder finds no file, which says nothing about the clip."""
    run_fetch(media)
    looked = fetched.away

    def then_gone(rows: list[fetched.FetchedClip]) -> dict[str, str]:
        found = looked(rows)
        (media / "good.mp4").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(fetched, "away", then_gone)
    with pytest.raises(PipelineError, match="mount the disk"):
        run_extract(media)
    assert not (media / "frames.h5").exists()


def test_a_clip_without_a_row_is_no_missing_line(media: Path) -> None:
    rows = run_fetch(media)
    fetched.write(media / "fetched.csv", rows[:1])
    with pytest.raises(PipelineError, match="has no row for clip"):
        run_extract(media)
