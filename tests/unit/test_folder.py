"""A folder of the user's: whatever lies in it is a clip, a row with a reason, or named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.fetched import REJECTED
from avca_pipeline.datasets import folder as plugin
from avca_pipeline.errors import PipelineError
from avca_pipeline.stages import fetch
from avca_pipeline.stages import manifest as stage
from tests.builders import fetch_request, manifest_request


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with one file in each of two classes; the files are no media."""
    for name in ("a", "b"):
        (tmp_path / "media" / name).mkdir(parents=True)
        (tmp_path / "media" / name / "1.mp4").write_text(name)
    return tmp_path / "media"


def reasons(media: Path) -> dict[str, str]:
    """Returns the id of each clip and why the stages `manifest` and `fetch` reject it."""
    out = media.parent
    settings = {"path": str(media)}
    stage.run(manifest_request("folder", settings, 1), out / "manifest.csv", out / "shards")
    fetch.run(
        fetch_request("folder", settings), out / "manifest.csv", out / "raw", out / "fetched.csv"
    )
    rows = fetched.read(out / "fetched.csv")
    assert {row.status for row in rows} == {REJECTED}
    assert [row.clip_id for row in rows] == [c.clip_id for c in manifest.read(out / "manifest.csv")]
    return {row.clip_id: row.reason.split(":")[0] for row in rows}


NO_MEDIA = {"a:1.mp4": "not a media file", "b:1.mp4": "not a media file"}


def test_links_to_files_that_are_not_there(media: Path) -> None:
    (media / "a/2.mp4").symlink_to("/not mounted/2.mp4")
    (media / "a/3.mp4").symlink_to("3.mp4")  # to itself
    found = reasons(media)
    assert found["a:2.mp4"] == "missing file"
    assert set(found) == {*NO_MEDIA, "a:2.mp4", "a:3.mp4"}


def test_a_link_that_cannot_be_followed(media: Path) -> None:
    """It leads to no name that a file can have, which `stat` answers with an error of its own."""
    (media / "a/2.mp4").symlink_to("x" * 300)
    assert reasons(media) == NO_MEDIA | {"a:2.mp4": "cannot be read"}
    (media / ".hidden").symlink_to("x" * 300)
    assert reasons(media) == NO_MEDIA | {"a:2.mp4": "cannot be read"}
    (media / "c").symlink_to("x" * 300)
    with pytest.raises(PipelineError, match=r"media/c: cannot be read \(File name too long\)"):
        reasons(media)


def test_what_is_no_regular_file(media: Path) -> None:
    os.mkfifo(media / "a/pipe.mp4")
    (media / "b/none").mkdir()
    (media / "b/link").symlink_to("..")  # its own parent
    expected = dict.fromkeys(("a:pipe.mp4", "b:none", "b:link"), "not a media file")
    assert reasons(media) == NO_MEDIA | expected


def test_clips_in_nested_folders(media: Path) -> None:
    (media / "a/deep/deeper").mkdir(parents=True)
    for name in ("deep/x.mp4", "deep/deeper/y.mp4"):
        (media / "a" / name).write_text(name)
    (media / "a/.hidden").mkdir()
    (media / "a/.hidden/z.mp4").write_text("z")
    expected = dict.fromkeys(("a:deep/x.mp4", "a:deep/deeper/y.mp4"), "nested folder")
    assert reasons(media) == NO_MEDIA | expected


def test_a_class_on_a_disk_that_is_not_mounted(media: Path) -> None:
    (media / "c").symlink_to("/not mounted/c")
    with pytest.raises(PipelineError, match=r"media/c: a link to /not mounted/c, which is not"):
        reasons(media)


def test_a_class_on_another_disk(media: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/1.mp4").write_text("c")
    (media / "c").symlink_to(tmp_path / "elsewhere")
    assert set(reasons(media)) == {*NO_MEDIA, "c:1.mp4"}


def test_what_is_no_clip_is_counted_and_named(
    media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "hidden only"):
        (media / name).mkdir()
    (media / "hidden only/.DS_Store").write_text("x")
    (media / "stray.mp4").write_text("x")
    (media / ".stray").write_text("x")
    assert reasons(media) == NO_MEDIA
    said = "".join(capsys.readouterr())
    assert "2 class folder(s) without a clip: empty, hidden only" in said
    assert "1 file(s) in no class folder, which are no clips: stray.mp4" in said


def test_the_same_clips_whatever_else_changes(media: Path) -> None:
    """Neither dates nor hidden files nor an empty class belong to the list of clips."""
    settings = plugin.Settings(path=media)
    before = plugin.clips(settings)
    (media / "a/.DS_Store").write_text("x")
    (media / "c").mkdir()
    os.utime(media / "a", (2e9, 2e9))
    assert plugin.clips(settings) == before
