"""The mistakes of the first hour: each is the last line on the screen, with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline import cli
from tests.conftest import REPOSITORY
from tests.media.synthetic import ffmpeg

CLASSES = ("barking", "rain", "sawing", "violin")
NOBODY = 65534


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four classes of three clips with sound."""
    folder = tmp_path_factory.mktemp("clips")
    picture, sound = "testsrc=size=32x32:rate=10:duration=0.5", "sine=duration=0.5"
    for name in CLASSES:
        (folder / name).mkdir()
    first = folder / CLASSES[0] / "0.mkv"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, first)
    for name in CLASSES:
        for number in range(3):
            path = folder / name / f"{number}.mkv"
            if path != first:
                shutil.copy(first, path)
    return folder


@pytest.fixture
def good(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The config that ``init`` writes for a copy of the clips, in the folder of the test."""
    shutil.copytree(clips, tmp_path / "clips")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "folder", "clips", "--weights", "random"]) == 0
    config: dict[str, Any] = yaml.safe_load(Path("config.yaml").read_text())
    return config


def last_line(
    capsys: pytest.CaptureFixture[str], content: dict[str, Any] | str, command: str = "check"
) -> str:
    """Writes the config and returns the line that the command ends with."""
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    Path("config.yaml").write_text(text)
    capsys.readouterr()
    assert cli.main([command, "config.yaml"]) == 1
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    assert not output.out
    line = output.err.splitlines()[-1]
    assert line.startswith(f"avca {command}: error: ")
    return line.removeprefix(f"avca {command}: error: ")


def test_the_config_has_no_mistake(good: dict[str, Any]) -> None:
    assert cli.main(["check", "config.yaml"]) == 0


def at(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        config = config[key]
    return config


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Returns a change of a config."""
    return lambda config: at(config, *keys[:-1]).update({keys[-1]: value})


def rename(*keys: str, to: str) -> Callable[[dict[str, Any]], None]:
    return lambda config: at(config, *keys[:-1]).update({to: at(config, *keys[:-1]).pop(keys[-1])})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            put("datasets", "mine", "path", value="/data/clip"),
            "datasets.mine: /data/clip: the raw folder cannot be read (No such file or directory); "
            "correct datasets.*.path",
        ),
        (lambda config: config.pop("models"), "models: is missing; add it: methods, with their"),
        (
            put("backbones", "sound", "plugin", value="vgish"),
            "backbones.sound.plugin: no plugin 'vgish'; did you mean 'vggish'?",
        ),
        (
            rename("models", "avca", "epochs", to="epoch"),
            "models.avca: unknown key 'epoch'; did you mean 'epochs'?",
        ),
        (
            put("experiment", "models", value=["avac"]),
            "experiment.models: 'avac' is not under models; did you mean 'avca'?",
        ),
        (put("results", value="~nobody-at-all/x"), "results: there is no such home folder; write"),
        (
            put("results", value="clips/rain/0.mkv/x"),
            "results: clips/rain/0.mkv/x: clips/rain/0.mkv is a file; name another folder",
        ),
    ],
    ids=["path", "section", "plugin", "key", "method", "home", "results in a file"],
)
def test_a_mistake_in_the_config(
    good: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    line: str,
) -> None:
    change(good)
    assert line in last_line(capsys, good)


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "datasets:\n  mine:\n    plugin: folder\n   path: clips\n",
            "config.yaml: line 4: cannot be read as YAML: the indentation differs from that of",
        ),
        (
            "datasets:\n\tmine: {plugin: folder}\n",
            "config.yaml: line 2: cannot be read as YAML: a tab begins here; indent with spaces",
        ),
    ],
    ids=["indentation", "tab"],
)
def test_a_mistake_in_the_form(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    text: str,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert last_line(capsys, text, command).startswith(line)


def only_first_class(clips: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(clips / name)


def two_clips(clips: Path) -> None:
    for path in clips.glob("*/2.mkv"):
        path.unlink()


def no_sound(clips: Path) -> None:
    for path in clips.glob("*/*.mkv"):
        ffmpeg("-i", path, "-c", "copy", "-an", path.with_suffix(".mp4"))
        path.unlink()


def no_files(clips: Path) -> None:
    for path in clips.glob("*/*.mkv"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (only_first_class, "splits.built: 1 class(es) are too few to split: 1 unseen for the test"),
        (two_clips, "splits.built: class '"),
        (no_sound, "backbones.sound: needs sound, which most clips of datasets.mine do not have"),
        (no_files, "no clip found; put media files into one subfolder for each class"),
    ],
    ids=["one class", "two clips a class", "no sound", "no files"],
)
def test_a_mistake_in_the_data(
    good: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    line: str,
) -> None:
    spoil(Path("clips"))
    found = last_line(capsys, good)
    assert line in found
    assert any(word in found for word in ("add ", "give ", "put "))


def test_an_empty_class_folder_is_named(
    good: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The other classes can be used, so this is no error."""
    (Path("clips") / "empty").mkdir()
    assert cli.main(["check", "config.yaml"]) == 0
    line = next(line for line in capsys.readouterr().err.splitlines() if "empty" in line)
    assert line.endswith("1 class folder(s) without a clip: empty")


@pytest.fixture
def folder_of_somebody_else(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process can read and cannot write to."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    is_root = os.geteuid() == 0
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)


def test_results_that_cannot_be_written(
    good: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    folder_of_somebody_else: Path,
) -> None:
    config = good | {"results": str(folder_of_somebody_else / "results")}
    assert cli.main(["check", "config.yaml"]) == 0  # all that it imports is there now
    Path("config.yaml").write_text(yaml.safe_dump(config))
    for path in (*Path().rglob("*"), Path.cwd(), *Path.cwd().parents):
        if path.stat().st_uid == os.geteuid() and os.geteuid() == 0:
            path.chmod(path.stat().st_mode | 0o555)
    capsys.readouterr()
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    assert cli.main(["check", "config.yaml"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    theirs = folder_of_somebody_else
    expected = f"results: {theirs}/results: {theirs} cannot be written; name another folder"
    assert line == f"avca check: error: {expected}"


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("exit 1", "avca: error: Python 3.11 or 3.12 is needed; name it with PYTHON=/path/to/"),
        (
            'test "$1" = -c',
            "avca: error: Python's venv module is missing; on Debian: apt-get install python3-venv",
        ),
    ],
    ids=["wrong Python", "no venv"],
)
def test_a_python_that_cannot_be_used(tmp_path: Path, script: str, line: str) -> None:
    """``make`` says it in the line above its own."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    # Below another make, which runs the tests, it would say first in which folder it is.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=alone,
    )  # fmt: skip
    assert done.returncode != 0
    assert (done.stdout + done.stderr).splitlines()[0].startswith(line)
