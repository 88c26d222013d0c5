"""UCF101, ActivityNet and VGGSound: from annotation to the clip's file, whatever its wrapping."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.datasets import activitynet, demo, ucf101, vggsound
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.media import MediaError
from avca_pipeline.stages import fetch
from avca_pipeline.stages import manifest as manifest_stage
from tests.archiving import WRITERS, write_folder, write_rar, write_tar, write_zip
from tests.builders import fetch_request, manifest_request

UCF = {
    "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi": b"one",
    "UCF-101/HandstandPushups/v_HandStandPushups_g01_c02.avi": b"two",
    "UCF-101/Archery/v_Archery_g25_c07.avi": b"three",
    "UCF-101/Biking/v_Biking_g01_c01.avi": b"has no sound",
    "UCF-101/readme.txt": b"no clip",
}


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    archives.media_by_stem.cache_clear()


@pytest.mark.parametrize("write", WRITERS)
def test_ucf101(write: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    settings = ucf101.Settings(path=write(tmp_path / "ucf", UCF))
    clips = {clip.clip_id: clip for clip in ucf101.clips(settings)}
    assert sorted(clips) == [
        "v_Archery_g25_c07", "v_HandStandPushups_g01_c01", "v_HandStandPushups_g01_c02"
    ]  # fmt: skip
    one, two = clips["v_HandStandPushups_g01_c01"], clips["v_HandStandPushups_g01_c02"]
    assert one.class_name == "HandstandPushups"
    assert one.source_id == two.source_id == "v_HandStandPushups_g01"
    assert ucf101.locate(settings, two, tmp_path / "raw").read_bytes() == b"two"
    every = ucf101.clips(ucf101.Settings(path=settings.path, classes="all"))
    assert {clip.class_name for clip in every} == {"Archery", "Biking", "HandstandPushups"}
    assert ucf101.inputs(settings)


@pytest.mark.parametrize("write", WRITERS[1:])
@pytest.mark.parametrize("name", ["../v_Archery_g01_c01.avi", "/v_Archery_g01_c01.avi"])
def test_an_archive_that_points_outside_is_refused(
    write: Callable[[Path, dict[str, bytes]], Path], name: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "ucf", {**UCF, name: b"x"})
    before = sorted(tmp_path.parent.rglob("*"))
    settings = {"path": str(path)}
    with pytest.raises(PipelineError, match="points out of the archive; refused") as caught:
        manifest_stage.run(
            manifest_request("ucf101", settings, 1), tmp_path / "manifest.csv", tmp_path / "shards"
        )
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.parent.rglob("*")) == before


def write_link(path: Path, name: str) -> None:
    """Writes an archive of a link to a file beside it."""
    secret = path.with_name("secret")
    secret.write_bytes(b"secret")
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)


def test_a_link_in_an_archive_leads_nowhere(tmp_path: Path) -> None:
    write_link(tmp_path / "ucf.tar", "v_Archery_g01_c01.avi")
    settings = ucf101.Settings(path=tmp_path / "ucf.tar")
    with pytest.raises(MediaError, match="damaged: "):
        ucf101.locate(settings, ucf101.clips(settings)[0], tmp_path / "raw")
    assert not list((tmp_path / "raw").glob("*"))


@pytest.mark.parametrize("write", WRITERS)
def test_hidden_files_are_no_media(
    write: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path
) -> None:
    """Such as those that macOS leaves beside each file of a disk that is not its own."""
    place = write(tmp_path / "raw", {"a/clip.mp4": b"one", "a/._clip.mp4": b"x", ".b.mp4": b"y"})
    assert list(archives.media_by_stem((place,))) == ["clip"]


def test_a_linked_folder_is_looked_into_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", UCF)
    (tmp_path / "ucf").mkdir()
    (tmp_path / "ucf/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "ucf")
    assert len(ucf101.clips(ucf101.Settings(path=tmp_path / "ucf"))) == 3


def test_archives_that_cannot_be_read_clip_by_clip_say_what_to_do(tmp_path: Path) -> None:
    solid = write_rar(tmp_path / "solid", UCF, is_solid=True)
    with pytest.raises(PipelineError, match="solid RAR archive"):
        ucf101.clips(ucf101.Settings(path=solid))
    for name in ("ucf.rar", "ucf.zip", "ucf.tar"):
        (tmp_path / name).write_bytes(b"no archive at all" * 100)
        with pytest.raises(PipelineError, match=f"{name}: cannot be read as an archive"):
            ucf101.clips(ucf101.Settings(path=tmp_path / name))


def test_without_an_unpacking_program_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    packed = write_rar(tmp_path / "packed", UCF, method=0x33)
    settings = ucf101.Settings(path=packed)
    clip = ucf101.clips(settings)[0]
    with pytest.raises(PipelineError, match="one of the programs unrar, unar, 7z or bsdtar"):
        ucf101.locate(settings, clip, tmp_path / "raw")
    assert not list((tmp_path / "raw").glob("*"))


def test_a_damaged_member_is_a_reason(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "ucf", UCF)
    path.write_bytes(path.read_bytes().replace(b"three", b"thrEe"))
    settings = ucf101.Settings(path=path)
    clip = next(clip for clip in ucf101.clips(settings) if "Archery" in clip.clip_id)
    with pytest.raises(MediaError, match=r"damaged: ucf\.zip has"):
        ucf101.locate(settings, clip, tmp_path / "raw")
    assert not list((tmp_path / "raw").glob("*"))


def test_what_is_packed_is_unpacked_and_gone_afterwards(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", {"a.mp4": b"one", "b": b""})
    archives.pack({"first.mp4": folder / "a.mp4", "second": folder / "b"}, tmp_path / "1.tar")
    (folder / "a.mp4").touch()
    archives.pack({"second": folder / "b", "first.mp4": folder / "a.mp4"}, tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with archives.unpacked(tmp_path / "1.tar", tmp_path / "features") as files:
        assert {n: path.read_bytes() for n, path in files.items()} == {
            "first.mp4": b"one",
            "second": b"",
        }
        assert files["first.mp4"].suffix == ".mp4"
        assert all(tmp_path / "features" in path.parents for path in files.values())
    assert not list((tmp_path / "features").iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.mp4": b"", "../b.mp4": b"x"}, "points out of the archive; refused"),
        ({"a.mp4": b"", "/b.mp4": b"x"}, "points out of the archive; refused"),
        (None, "cannot be read as an archive"),
    ],
)
def test_a_hostile_or_damaged_pack_leaves_nothing(
    content: dict[str, bytes] | None, message: str, tmp_path: Path
) -> None:
    path = write_tar(tmp_path / "pack", content or {})
    if content is None:
        path.write_bytes(b"no archive at all" * 100)
    (tmp_path / "features").mkdir()
    before = sorted(tmp_path.parent.rglob("*"))
    with (
        pytest.raises(PipelineError, match=message),
        archives.unpacked(path, tmp_path / "features"),
    ):
        pass
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_link_in_a_pack_leads_nowhere(tmp_path: Path) -> None:
    write_link(tmp_path / "pack.tar", "a.mp4")
    with (
        pytest.raises(PipelineError, match=r"pack\.tar: cannot be unpacked"),
        archives.unpacked(tmp_path / "pack.tar", tmp_path / "features"),
    ):
        pass
    assert not list((tmp_path / "features").iterdir())


def test_only_what_fetch_got_itself_is_packed(tmp_path: Path) -> None:
    """A file that the config names is where it is for every job; and the same file goes once."""
    clip = demo.clips(demo.Settings(num_classes=4, sources_per_class=1))[0]
    settings = {"num_classes": 4, "sources_per_class": 1}
    twice = [clip, dataclasses.replace(clip, clip_id="again", end_s=0.5)]
    manifest.write(tmp_path / "clips.csv", twice)
    raw, pack = tmp_path / "raw", tmp_path / "pack.tar"
    arguments = (tmp_path / "clips.csv", raw, tmp_path / "fetched.csv")
    fetch.run(fetch_request("demo", settings), *arguments, pack=pack)
    rows = fetched.read(tmp_path / "fetched.csv")
    assert [row.status for row in rows] == [fetched.OK, fetched.OK]
    with archives.unpacked(pack, tmp_path) as files:
        assert {name: path.read_bytes() for name, path in files.items()} == {
            rows[0].name: Path(rows[0].path).read_bytes()
        }
    (tmp_path / "mine").mkdir()
    Path(rows[0].path).rename(tmp_path / "mine" / clip.path_or_url)
    manifest.write(
        tmp_path / "clips.csv",
        [dataclasses.replace(one, path_or_url=f"mine/{one.path_or_url}") for one in twice],
    )
    fetch.run(fetch_request("table", {"path": str(tmp_path / "clips.csv")}), *arguments, pack=pack)
    assert {row.status for row in fetched.read(tmp_path / "fetched.csv")} == {fetched.OK}
    with archives.unpacked(pack, tmp_path) as files:
        assert files == {}


ANNOTATIONS = {
    "version": "VERSION 1.3",
    "database": {
        "abc-_defghij": {
            "duration": 100.0,
            "subset": "training",
            "annotations": [
                {"label": "Applying sunscreen", "segment": [0.5, 1.5]},
                {"label": "Archery", "segment": [2.0, 2.0]},
            ],
        },
        "zzzzzzzzzzz": {"subset": "testing", "annotations": []},
    },
}


def test_activitynet(tmp_path: Path) -> None:
    path = tmp_path / "activity_net.v1-3.min.json"
    path.write_text(json.dumps(ANNOTATIONS))
    media = write_folder(tmp_path / "media", {"a/v_abc-_defghij.mkv": b"video"})
    settings = activitynet.Settings(annotations=path, media=(media,))
    first, second = activitynet.clips(settings)
    assert (first.clip_id, first.source_id) == ("abc-_defghij_0", "abc-_defghij")
    assert (first.class_name, first.start_s, first.end_s) == ("Applying sunscreen", 0.5, 1.5)
    assert activitynet.locate(settings, first, tmp_path).read_bytes() == b"video"
    with pytest.raises(MediaError, match=r"nothing in segment: annotated as .* from 2 to 2 s"):
        activitynet.locate(settings, second, tmp_path)
    trimmed = activitynet.Settings(annotations=path, media=(media,), is_trimmed=True)
    first = activitynet.clips(trimmed)[0]
    assert (first.start_s, first.end_s) == (None, None)
    with pytest.raises(MediaError, match=r"missing file: no abc-_defghij_0\.\*"):
        activitynet.locate(trimmed, first, tmp_path)


VGGSOUND = '-abcdefghij,5,"dog barking, loudly",train\nabcdefghijk,430,playing oboe,test\n'


@pytest.mark.parametrize("time", ["000430", "430", "430000_440000"])
def test_vggsound(time: str, tmp_path: Path) -> None:
    path = tmp_path / "vggsound.csv"
    path.write_text(VGGSOUND)
    files = {f"video/abcdefghijk_{time}.mp4": b"ten seconds", f"abcdefghijk_{time}.wav": b"no"}
    settings = vggsound.Settings(csv=path, media=(write_tar(tmp_path / "clips", files),))
    first, second = vggsound.clips(settings)
    assert (first.clip_id, first.source_id) == ("-abcdefghij_000005", "-abcdefghij")
    assert first.class_name == "dog barking, loudly"
    assert vggsound.locate(settings, second, tmp_path / "raw").read_bytes() == b"ten seconds"
    with pytest.raises(MediaError, match="missing file"):
        vggsound.locate(settings, first, tmp_path / "raw")


def annotated(content: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "a.json").write_text(text)
        return {"annotations": str(folder / "a.json"), "media": []}

    return write


def listed(text: str) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        (folder / "v.csv").write_bytes(text.encode("latin-1"))
        return {"csv": str(folder / "v.csv")}

    return write


SEGMENT = {"label": "Archery", "segment": [1, "x"]}


@pytest.mark.parametrize(
    ("plugin", "write", "message"),
    [
        (activitynet, annotated("{"), "cannot be read as (annotations|JSON)"),
        (activitynet, annotated([]), "cannot be read as (annotations|JSON)"),
        (activitynet, annotated({"database": {"a": {"annotations": [SEGMENT]}}}), "cannot be read"),
        (
            activitynet,
            annotated({"database": {"a": {"annotations": [{"label": 3, "segment": [1, 2]}]}}}),
            "annotation 0: needs a label",
        ),
        (activitynet, annotated({"database": {}}), "has no annotated segment"),
        (vggsound, listed("abc,5,label\n"), "line 1: expected a YouTube id"),
        (vggsound, listed("abc,5,label,train\nabc,x,label,train\n"), "line 2: expected"),
        (vggsound, listed("../abc,5,label,train\n"), "line 1: expected a YouTube id"),
        (vggsound, listed("abc,5,label,train\n" * 2), "'abc_000005' occurs twice"),
        (vggsound, listed('abc,5,"label,train\n'), "cannot be read as UTF-8 CSV"),
        (vggsound, listed("abc,5,\xff,train\n"), "cannot be read as UTF-8 CSV"),
        (vggsound, listed(""), "has no row"),
    ],
)
def test_malformed_annotations_are_one_line(
    plugin: ModuleType, write: Callable[[Path], dict[str, Any]], message: str, tmp_path: Path
) -> None:
    name = plugin.__name__.rpartition(".")[2]
    settings = write(tmp_path)
    with pytest.raises(PipelineError, match=message) as caught:
        manifest_stage.run(
            manifest_request(name, settings, 2), tmp_path / "manifest.csv", tmp_path / "shards"
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "manifest.csv").exists()
    assert not list(tmp_path.glob("shards/*"))


def test_real_media_in_an_archive_are_fetched(tmp_path: Path) -> None:
    """From the archive to a row of the table, with what is missing beside it."""
    made = demo.Settings(num_classes=4, sources_per_class=1)
    path = demo.locate(made, demo.clips(made)[0], tmp_path)
    files = {"x/abcdefghijk_000430.mp4": path.read_bytes()}
    (tmp_path / "vggsound.csv").write_text(VGGSOUND)
    archive = write_tar(tmp_path / "clips", files)
    settings = {"csv": str(tmp_path / "vggsound.csv"), "media": [str(archive)]}
    manifest_stage.run(
        manifest_request("vggsound", settings, 1), tmp_path / "manifest.csv", tmp_path / "shards"
    )
    clips = tmp_path / "shards" / "00000-of-00001.csv"
    fetch.run(
        fetch_request("vggsound", settings), clips, tmp_path / "raw", tmp_path / "fetched.csv"
    )
    missing, there = fetched.read(tmp_path / "fetched.csv")
    assert [clip.clip_id for clip in manifest.read(clips)] == [missing.clip_id, there.clip_id]
    assert missing.reason.startswith("missing file")
    assert there.status == fetched.OK
    assert there.has_video
    assert there.has_audio
    assert Path(there.path).read_bytes() == path.read_bytes()


def test_a_table_of_addresses_is_downloaded_and_what_is_not_there_is_a_reason(
    tmp_path: Path,
) -> None:
    """From a real server on this machine, into a folder that is not there yet."""
    made = demo.Settings(num_classes=4, sources_per_class=1)
    content = demo.locate(made, demo.clips(made)[0], tmp_path / "served").read_bytes()
    (tmp_path / "served/clip.mp4").write_bytes(content)
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}"
        rows = [f"a,a,one,{address}/clip.mp4,,", f"b,b,one,{address}/absent.mp4,,"]
        header = ",".join(manifest.COLUMNS)
        (tmp_path / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
        settings = {"path": str(tmp_path / "clips.csv")}
        clips, out = tmp_path / "clips.csv", tmp_path / "fetched.csv"
        fetch.run(fetch_request("table", settings), clips, tmp_path / "raw", out)
        running.shutdown()
    there, absent = fetched.read(out)
    assert Path(there.path).read_bytes() == content
    assert absent.reason.startswith("removed: ")
    assert "HTTP 404" in absent.reason


def test_each_clip_is_in_the_shard_of_its_id(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / f"media/class {number % 2}/clip {number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no film")
    request = manifest_request("folder", {"path": str(tmp_path / "media")}, 3)
    manifest_stage.run(request, tmp_path / "manifest.csv", tmp_path / "shards")
    expected: dict[str, list[str]] = {f"0000{index}-of-00003.csv": [] for index in range(3)}
    for clip in manifest.read(tmp_path / "manifest.csv"):
        digest = hashlib.sha256(clip.clip_id.encode()).digest()
        index = int.from_bytes(digest[:8], "big") % 3
        expected[f"0000{index}-of-00003.csv"].append(clip.clip_id)
    assert sum(map(len, expected.values())) == 12
    assert {
        path.name: [clip.clip_id for clip in manifest.read(path)]
        for path in (tmp_path / "shards").iterdir()
    } == expected
