"""Published features: downloaded from a server on this machine, checked and unpacked."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from avca_pipeline import cli
from avca_pipeline.config import check_inputs, parse
from avca_pipeline.errors import PipelineError
from avca_pipeline.published import layout
from avca_pipeline.published.feature_archives import ARCHIVES, how_to_get
from tests.conftest import REPOSITORY
from tests.serving import Request, serving

FEATURES = "avgzsl_benchmark_datasets/UCF/features/main_features"
MEMBER = "UCF/features/main_features/video/stage_1_train/Archery.h5"


def features_file(seed: int) -> bytes:
    """Returns a file of features as the published code writes it."""
    file = io.BytesIO()
    with h5py.File(file, "w") as data:
        data["data"] = np.random.default_rng(seed).random((3, 512), np.float32)
        data["video_urls"] = np.array([f"v_Archery_g0{n}_c01.avi" for n in range(3)], "S80")
    return file.getvalue()


def packed(members: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


MEMBERS = {
    f"some folder/{MEMBER}": features_file(0),
    f"some folder/{MEMBER.replace('video', 'audio')}": features_file(1),
    "some folder/UCF/_features_preprocessed/cache.pkl": b"not wanted",
    "some folder/read me.txt": b"hello",
}


class Server:
    """Serves one answer, and counts how often it was asked."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.num_asked = 0

    def handle(self, request: Request) -> None:
        self.num_asked += 1
        request.answer(self.body)


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    answers = Server(packed(MEMBERS))
    with serving(answers.handle) as address:
        yield answers, f"{address}/features.zip"


def fetch(out: Path, address: str, *more: str, name: str = "avca") -> int:
    return cli.main(["fetch-features", name, "--out", str(out), "--address", address, *more])


def test_features_arrive_where_configs_look_for_them(
    server: tuple[Server, str], tmp_path: Path
) -> None:
    assert fetch(tmp_path, server[1]) == 0
    ((path, class_name, clips, data),) = layout.read(tmp_path / FEATURES, "video")
    assert (class_name, len(clips)) == ("Archery", 3)
    np.testing.assert_array_equal(data, np.random.default_rng(0).random((3, 512), np.float32))
    assert path.read_bytes() == MEMBERS[f"some folder/{MEMBER}"]
    files = {found.name for found in tmp_path.rglob("*") if found.is_file()}
    assert files == {"Archery.h5", "avca.zip", "avca.zip.sha256"}


def test_archives_of_others_have_no_folder_around_the_benchmarks(
    server: tuple[Server, str], tmp_path: Path
) -> None:
    assert fetch(tmp_path, server[1], name="tcaf-ucf") == 0
    assert (tmp_path / MEMBER).is_file()


def test_the_same_again_downloads_nothing_and_repairs_what_is_wrong(
    server: tuple[Server, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(tmp_path, server[1])
    path = tmp_path / "avgzsl_benchmark_datasets" / MEMBER
    path.write_bytes(path.read_bytes()[:-1] + b"x")  # as long as before
    capsys.readouterr()
    assert fetch(tmp_path, server[1]) == 0
    assert server[0].num_asked == 1
    assert path.read_bytes() == MEMBERS[f"some folder/{MEMBER}"]
    assert "2 files below" in (err := capsys.readouterr().err)
    assert "1 of them new" in err


def test_a_page_in_place_of_the_archive_is_one_line_and_is_not_kept(
    server: tuple[Server, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server[0].body = b"<!DOCTYPE html><html>Google Drive cannot scan this file for viruses"
    assert fetch(tmp_path, server[1]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert (
        f"{server[1]}: is a page for people; download the archive from https://drive.google.com/"
        in line
    )
    assert "--archive" in line
    assert not list(tmp_path.rglob("*.zip"))


def test_an_archive_from_a_browser(tmp_path: Path) -> None:
    (tmp_path / "download.zip").write_bytes(packed(MEMBERS))
    out, archive = tmp_path / "out", tmp_path / "download.zip"
    assert cli.main(["fetch-features", "avca", "--out", str(out), "--archive", str(archive)]) == 0
    assert (out / "avgzsl_benchmark_datasets" / MEMBER).is_file()


def test_an_archive_that_has_changed_since_its_first_use_is_refused(
    server: tuple[Server, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(tmp_path, server[1])
    (tmp_path / "avca.zip").write_bytes(packed(MEMBERS | {"more": b"x"}))
    assert fetch(tmp_path, server[1]) == 1
    assert "SHA-256" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"read me.txt": b"hello"}, "no features in it"),
        ({"../UCF/features/x/a.h5": b"x"}, "points out of the archive"),
        ({f"a/{MEMBER}": b"x", f"b/{MEMBER}": b"y"}, "twice"),
    ],
    ids=["none", "outside", "twice"],
)
def test_an_archive_that_is_not_one_of_features_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], members: dict[str, bytes], message: str
) -> None:
    archive, out = tmp_path / "a.zip", tmp_path / "out"
    archive.write_bytes(packed(members))
    assert cli.main(["fetch-features", "avca", "--out", str(out), "--archive", str(archive)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not out.exists()


def test_a_damaged_member_is_one_line_and_no_half_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(packed(MEMBERS))
    content[content.index(MEMBERS[f"some folder/{MEMBER}"]) + 900] ^= 1
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    arguments = ["--out", str(tmp_path), "--archive", str(archive)]
    assert cli.main(["fetch-features", "avca", *arguments]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "damaged" in line
    assert "download the archive again" in line
    assert not (tmp_path / "avgzsl_benchmark_datasets" / MEMBER).exists()


def test_a_full_disk_is_noticed_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    archive, out = tmp_path / "a.zip", tmp_path / "out"
    archive.write_bytes(packed(MEMBERS))
    assert cli.main(["fetch-features", "avca", "--out", str(out), "--archive", str(archive)]) == 1
    assert "make room" in capsys.readouterr().err
    assert not out.exists()


def test_a_wrong_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fetch-features", "tcaf-ufc", "--out", "x"]) == 1
    assert "did you mean 'tcaf-ucf'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        (f"data/official/{FEATURES}", "avca fetch-features avca --out data/official "),
        ("d/UCF/features/cls_features", "avca fetch-features avca --out d "),
        ("my d/UCF/features/cls_features_non_averaged", "fetch-features tcaf-ucf --out 'my d' "),
        ("d/ClipClap/VGGSound/features/cls_features_non_averaged", "fetch-features clipclap --out"),
        ("d/Mine/features/main_features", ""),
        ("features", ""),
    ],
)
def test_the_command_for_a_folder_that_is_missing(folder: str, command: str) -> None:
    assert command in how_to_get(Path(folder))
    assert bool(command) == bool(how_to_get(Path(folder)))


def test_a_ready_benchmark_says_in_one_line_how_to_get_its_data(tmp_path: Path) -> None:
    text = (REPOSITORY / "workflow/benchmarks/ucf-gzsl.yaml").read_text()
    config = parse(yaml.safe_load(text.replace("data/official", str(tmp_path / "data"))))
    with pytest.raises(PipelineError) as error:
        check_inputs(config)
    assert error.value.lines[-1] == (
        "published data are missing; to get them: "
        f"avca lists --benchmark UCF --out {tmp_path / 'data'}; "
        f"avca fetch-features avca --out {tmp_path / 'data'} (from {ARCHIVES['avca'].page})"
    )
