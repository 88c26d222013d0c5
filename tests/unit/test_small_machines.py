"""Stages where nothing but the results can be written, for a user whom the system cannot name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.fetched import FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from tests.conftest import REPOSITORY

BACKBONES = {
    "vggish": {"weights": "random"},
    "timm_frames": {"weights": "random", "model": "test_resnet.r160_in1k"},
}


@pytest.fixture
def nameless() -> list[str]:
    """What a command is run with as a user without a name."""
    command = ["unshare", "--user", "--map-user=54321"]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no user can be made up here: {done.stderr.strip()}")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_no_home_no_name_no_temporary_folder(
    name: str, nameless: list[str], tmp_path: Path
) -> None:
    """Whatever the libraries would like to keep there: numba's cache and torch's."""
    manifest.write(tmp_path / "clips.csv", [Clip("a", "a", "one", "a.mp4")])
    fetched.write(tmp_path / "fetched.csv", [FetchedClip("a", fetched.REJECTED, reason="gone")])
    out = tmp_path / "out.h5"
    limits = {"max_pixels": 10**9, "max_duration_s": 60}
    settings = json.dumps(
        {"backbone": name, "plugin": name, "settings": BACKBONES[name], "shard": "clips",
         "limits": limits}
    )  # fmt: skip
    left_out = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {"TMPDIR": "/proc/none", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [
            *nameless, sys.executable, "-m", "avca_pipeline.cli", "extract",
            "--settings", settings, "--clips", str(tmp_path / "clips.csv"),
            "--fetched", str(tmp_path / "fetched.csv"), "--out", str(out),
            "--cache", str(tmp_path / "cache"), "--threads", "1",
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(features.read(out).clip_ids) == []
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["clips.csv", "fetched.csv", "out.h5"]


def test_filters_of_sound_need_no_compiler() -> None:
    """The library librosa compiles functions and keeps them in its folder or the home folder."""
    code = (
        "import sys; from avca_pipeline.backbones import selavi_audio, vggish; "
        "vggish.mel_matrix(); selavi_audio.filter_bank(26); "
        "sys.exit(bool({'numba', 'librosa'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_librosa_s_filters_need_no_folder_to_write_to() -> None:
    """Without a home folder, and where numba finds no place for its cache."""
    code = (
        "from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []; "
        "from avca_pipeline.media.filters import librosa_filters; import os, numba; "
        "print(librosa_filters().mel(sr=48_000, n_fft=1024, n_mels=64).shape, "
        "'XDG_CACHE_HOME' in os.environ, numba.config.DISABLE_JIT)"
    )
    left_out = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "(64, 513) False 0\n"), done.stderr
