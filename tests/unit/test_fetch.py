"""One clip's trouble is one row, the machine's is none, and what passes is tried again."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import demo
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import probing
from avca_pipeline.stages import fetch
from tests.builders import fetch_request
from tests.serving import Request, serving

DYING = """
import os, sys
from avca_pipeline.media import probing
real = probing.probe
def probe(path):
    if path.stem == "bad":
        os.kill(os.getpid(), 11)
    return real(path)
probing.probe = probe
probing.main(int(sys.argv[1]))
"""
NETWORK = {"attempts": 2, "back_off_s": 0.0, "timeout_s": 5.0}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = demo.Settings(num_classes=4, sources_per_class=1)
    return demo.locate(made, demo.clips(made)[0], tmp_path_factory.mktemp("film")).read_bytes()


def run(
    folder: Path, *paths: str, network: dict[str, Any] | None = None, **limits: int
) -> dict[str, FetchedClip]:
    """Fetches clips of a table, named by the last part of their paths; returns their rows."""
    table = folder / "clips.csv"
    manifest.write(
        table, [Clip(path.rpartition("/")[2], f"s{n}", "k", path) for n, path in enumerate(paths)]
    )
    settings, out = {"path": str(table)}, folder / "fetched.csv"
    fetch.run(
        fetch_request("table", settings, **limits), table, folder / "raw", out, network or NETWORK
    )
    rows = fetched.read(out)
    assert [row.clip_id for row in rows] == [clip.clip_id for clip in manifest.read(table)]
    return {row.clip_id: row for row in rows}


def flipped_sign(path: Path, film: bytes) -> None:
    """A Matroska file whose header says that it lasts less than nothing."""
    import av

    (path.parent / "film.mp4").write_bytes(film)
    with (
        av.open(str(path.parent / "film.mp4")) as source,
        av.open(str(path), "w", format="matroska") as target,
    ):
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x44\x89\x88") + 3] ^= 0x80
    path.write_bytes(content)


def unreadable(path: Path, film: bytes) -> None:
    """Reading the first byte of this file is an input/output error, as of a bad sector."""
    path.symlink_to("/proc/self/mem")


def bind(path: Path, film: bytes) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(before)


ODD: dict[str, tuple[Callable[[Path, bytes], object], str, bool]] = {
    "negative duration": (flipped_sign, "", False),
    "unreadable sector": (unreadable, "cannot be read: Input/output error", True),
    "pipe": (lambda path, _: os.mkfifo(path), "not a media file: a folder, pipe", False),
    "socket": (bind, "not a media file: a folder, pipe", False),
    "folder": (lambda path, _: path.mkdir(), "not a media file: a folder, pipe", False),
    "device": (lambda path, _: path.symlink_to("/dev/zero"), "not a media file: a folder", False),
    "nothing": (lambda path, _: None, "missing file", False),
    "dangling link": (lambda path, _: path.symlink_to("nowhere"), "missing file", False),
    "link to itself": (lambda path, _: path.symlink_to(path.name), "cannot be read: Too", False),
    "empty": (lambda path, _: path.touch(), "empty file", False),
    "crash": (lambda path, film: path.write_bytes(film), "decoder died: signal 11", False),
    "too large": (lambda path, _: os.truncate(path, 1 << 43), "too large: 8796093022208", False),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_about_one_file_is_one_row(
    kind: str, film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, reason, passes = ODD[kind]
    if kind == "crash":
        monkeypatch.setattr(probing, "COMMAND", (sys.executable, "-c", DYING))
    if kind == "too large":
        (tmp_path / "bad.mkv").touch()
    make(tmp_path / "bad.mkv", film)
    (tmp_path / "good.mp4").write_bytes(film)
    rows = run(tmp_path, "bad.mkv", "good.mp4")
    assert rows["good.mp4"].status == OK
    if kind == "negative duration":
        assert rows["bad.mkv"].status == OK
        assert rows["bad.mkv"].duration_s is None
    else:
        assert rows["bad.mkv"].status == REJECTED
        assert rows["bad.mkv"].reason.startswith(reason)
        assert rows["bad.mkv"].path == str(tmp_path / "bad.mkv")
    assert (tmp_path / "fetched.tries").exists() == passes


def test_a_segment_begins_before_the_end_of_its_file(film: bytes, tmp_path: Path) -> None:
    """One that begins with the end has nothing in it, and no decoder is asked."""
    (tmp_path / "film.mp4").write_bytes(film)
    end_s = run(tmp_path, "film.mp4")["film.mp4"].duration_s
    assert end_s is not None
    starts_s = {"last": end_s - 0.01, "at": end_s, "behind": end_s + 1}
    manifest.write(
        tmp_path / "clips.csv",
        [Clip(name, "s", "k", "film.mp4", start, None) for name, start in starts_s.items()],
    )
    settings, out = {"path": str(tmp_path / "clips.csv")}, tmp_path / "fetched.csv"
    request = fetch_request("table", settings)
    fetch.run(request, tmp_path / "clips.csv", tmp_path / "raw", out, NETWORK)
    assert {row.clip_id: row.reason.partition(" s of")[0] for row in fetched.read(out)} == {
        "last": "",
        "at": f"nothing in segment: begins at {end_s:g}",
        "behind": f"nothing in segment: begins at {end_s + 1:g}",
    }


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://[clip]/bad.mp4", "odd address: "),
        ("http://a..b/bad.mp4", "odd address: "),
        ("ftp://me:word@host/bad.mp4", "odd address: "),
        (f"http://{'a' * 70}.example/bad.mp4", "odd address: "),
        ("HTTPS://:80/bad.mp4", "odd address: "),
        ("http://me:pass/word@host/bad.mp4", "odd address: "),
        ("{base}/404/bad.mp4", "removed: "),
        ("{base}/451/bad.mp4", "blocked: "),
        ("{base}/large/bad.mp4", "too large: "),
        ("{base}/302/bad.mp4", "odd address: "),
    ],
)
def test_an_address_without_a_file_is_one_row(
    address: str, reason: str, film: bytes, tmp_path: Path
) -> None:
    def handle(request: Request) -> None:
        if "good" in request.path:
            request.answer(film)
        elif "large" in request.path:
            request.begin(Content_Length="1" + "0" * 14)
        else:
            request.answer(b"", int(request.path[1:4]), Location="ftp://127.0.0.1/x")

    with serving(handle) as base:
        rows = run(tmp_path, address.format(base=base), f"{base}/good.mp4")
    assert rows["good.mp4"].status == OK
    assert rows["bad.mp4"].reason.startswith(reason)
    assert "word@" not in (tmp_path / "fetched.csv").read_text()
    assert not (tmp_path / "fetched.tries").exists()


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_what_passes_is_counted_and_tried_again(
    status: int, film: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted to one above the runs that the config allows, which says that it is enough."""
    is_up = False

    def handle(request: Request) -> None:
        request.answer(film if is_up else b"", 200 if is_up else status)

    tries = tmp_path / "fetched.tries"
    with serving(handle) as base:
        address = base.replace("://", "://me:hunter2@") + "/a.mp4"
        for count in (1, 2, 3, 3):
            row = run(tmp_path, address, network=NETWORK | {"runs": 2})["a.mp4"]
            assert row.reason.startswith("download failed: ")
            assert f"HTTP {status}" in row.reason
            assert tries.read_text().split()[0] == str(count)
        is_up = True
        assert run(tmp_path, address)["a.mp4"].status == OK
    assert not tries.exists()  # so that trouble that comes later is tried again
    seen = (tmp_path / "fetched.csv").read_text() + "".join(capsys.readouterr())
    assert "hunter2" not in seen
    assert "1 of them for now, to be tried again" in seen


def test_a_server_that_is_away_is_counted_too(film: bytes, tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/a.mp4"
    assert run(tmp_path, address)["a.mp4"].reason.startswith("download failed: ")
    assert (tmp_path / "fetched.tries").read_text().split()[0] == "1"


def test_trouble_of_a_list_that_grew_is_counted_anew(tmp_path: Path) -> None:
    """Enough was tried for the clips that were there, nothing for one that has come."""
    with serving(lambda request: request.answer(b"", 503)) as base:
        counts = []
        for names in ("a", "a", "a", "ab"):
            run(tmp_path, *(f"{base}/{name}.mp4" for name in names), network=NETWORK | {"runs": 1})
            counts.append((tmp_path / "fetched.tries").read_text().split()[0])
    assert counts == ["1", "2", "2", "1"]


def test_a_file_that_somebody_is_writing_was_not_downloaded(
    film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = fetch.file_sha256

    def written_to(path: Path) -> str:
        if path.name == "a.mp4":
            with open(path, "ab") as file:
                file.write(b"more")
        return digest(path)

    monkeypatch.setattr(fetch, "file_sha256", written_to)
    (tmp_path / "a.mp4").write_bytes(film)
    assert run(tmp_path, "a.mp4")["a.mp4"].reason == "cannot be read: somebody is writing it"
    assert (tmp_path / "fetched.tries").exists()


def test_stretches_of_one_address_are_downloaded_once(film: bytes, tmp_path: Path) -> None:
    """By several workers of one job at a time."""
    asked = []

    def handle(request: Request) -> None:
        asked.append(request.path)
        request.answer(film)

    with serving(handle) as base:
        table = tmp_path / "clips.csv"
        listed = [
            Clip(f"c{n}", "s", "k", f"{base}/long.mp4", 0.1 * n, 0.1 * n + 0.1) for n in range(4)
        ]
        manifest.write(table, listed)
        fetch.run(
            fetch_request("table", {"path": str(table)}),
            table,
            tmp_path / "raw",
            tmp_path / "f.csv",
            NETWORK | {"workers": 4},
        )
    assert asked == ["/long.mp4"]
    assert {row.status for row in fetched.read(tmp_path / "f.csv")} == {OK}
    assert len(list((tmp_path / "raw").iterdir())) == 1


def test_what_was_downloaded_and_is_usable_is_packed(film: bytes, tmp_path: Path) -> None:
    """Files of the user are read where they are, by whatever machine."""
    (tmp_path / "mine.mp4").write_bytes(film + b"\0")
    table, packed = tmp_path / "clips.csv", tmp_path / "media.tar"
    with serving(
        lambda request: request.answer(film if "good" in request.path else b"no film")
    ) as base:
        places = ("mine.mp4", f"{base}/good.mp4", f"{base}/bad.mp4")
        clips = [Clip(place.rpartition("/")[2], place, "k", place) for place in places]
        manifest.write(table, clips)
        fetch.run(
            fetch_request("table", {"path": str(table)}), table, tmp_path / "raw",
            tmp_path / "fetched.csv", NETWORK, packed,
        )  # fmt: skip
    found = {row.clip_id: row.status for row in fetched.read(tmp_path / "fetched.csv")}
    assert found == {"bad.mp4": REJECTED, "good.mp4": OK, "mine.mp4": OK}
    with tarfile.open(packed) as archive:
        assert archive.getnames() == [f"{hashlib.sha256(film).hexdigest()}.mp4"]


def test_a_folder_that_cannot_be_written_ends_the_job(film: bytes, tmp_path: Path) -> None:
    """In one line that names it; a table that rejects the clips would say it is their fault."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw").rmdir()
    (tmp_path / "raw").symlink_to("/proc/self")  # nobody writes there, root neither
    with (
        serving(lambda request: request.answer(film)) as base,
        pytest.raises(PipelineError, match="raw: cannot be written") as caught,
    ):
        run(tmp_path, f"{base}/a.mp4", f"{base}/b.mp4")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fetched.csv").exists()


def test_an_error_of_ours_costs_one_clip(
    film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a plugin raises; the log keeps its traceback."""
    from avca_pipeline.datasets import table

    locate = table.locate

    def surprise(settings: Any, clip: Clip, folder: Path, max_bytes: int) -> Path:
        if clip.clip_id == "bad.mp4":
            raise KeyError("what nobody expected")
        return locate(settings, clip, folder, max_bytes)

    monkeypatch.setattr(table, "locate", surprise)
    (tmp_path / "good.mp4").write_bytes(film)
    rows = run(tmp_path, "bad.mp4", "good.mp4")
    assert rows["bad.mp4"].reason == "cannot be read: KeyError: 'what nobody expected'"
    assert rows["good.mp4"].status == OK


def test_videos_without_sound_are_counted_before_anything_needs_it(
    film: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = demo.Settings(num_classes=4, sources_per_class=1)
    silent = next(clip for clip in demo.clips(made) if clip.clip_id.endswith("no-audio"))
    (tmp_path / "a.mp4").write_bytes(film)
    run(tmp_path, "a.mp4")
    assert "no sound" not in capsys.readouterr().err
    (tmp_path / "b.mp4").write_bytes(demo.locate(made, silent, tmp_path).read_bytes())
    run(tmp_path, "a.mp4", "b.mp4")
    assert "1 of the usable clips have no sound" in capsys.readouterr().err


def test_the_limit_of_a_file_is_the_config_s(film: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(film)
    limits = {"max_bytes": len(film) - 1}
    assert run(tmp_path, "a.mp4", **limits)["a.mp4"].reason.startswith("too large: ")
    limits = {"max_bytes": len(film)}
    assert run(tmp_path, "a.mp4", **limits)["a.mp4"].status == OK
