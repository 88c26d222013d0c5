"""What is damaged on disk is found out when it is read; what a killed process left is removed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.artifacts import atomic, checkpoint, features
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import network_weights

KILLED = """
import os, signal, sys
from pathlib import Path
from avca_pipeline.artifacts.atomic import atomic_write, atomic_write_folder
folder = Path(sys.argv[1])
with atomic_write(folder / "a.csv") as file, atomic_write_folder(folder / "b") as folder:
    file.touch()
    (folder / "x").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Features]:
    path = tmp_path_factory.mktemp("features") / "00000-of-00001.h5"
    value = Features(
        clip_ids=[f"clip {number}" for number in range(20)],
        features=np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32),
        num_windows=np.full(20, 2),
        is_padded=np.zeros(20, bool),
        rejected={"clip 20": "no video stream"},
        attributes={"backbone": "c3d", "weights": "random:0", "preprocessing": "{}"},
        windows=FeatureWindows(
            np.random.default_rng(1).normal(size=(40, 30)).astype(np.float32), np.arange(40) / 4
        ),
    )
    features.write(path, value)
    return path.read_bytes(), features.read(path, with_windows=True)


def same(one: Features, other: Features) -> bool:
    return (
        list(one.clip_ids) == list(other.clip_ids)
        and one.rejected == other.rejected
        and one.attributes == other.attributes
        and all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in ("features", "num_windows", "is_padded")
        )
        and one.windows is not None
        and other.windows is not None
        and np.array_equal(one.windows.values, other.windows.values)
        and np.array_equal(one.windows.starts_s, other.windows.starts_s)
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_is_found_or_harmless(
    written: tuple[bytes, Features], tmp_path: Path, seed: int
) -> None:
    content, value = written
    drawn = np.random.default_rng(seed)
    path = tmp_path / "damaged.h5"
    found = 0
    for position in drawn.integers(len(content), size=100):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(drawn.integers(8))
        path.write_bytes(damaged)
        try:
            assert same(features.read(path, with_windows=True), value), (
                f"bit flipped in byte {position}"
            )
        except FormatError as error:
            assert str(path) in str(error)  # noqa: PT017 - which of the two it is, is left open
            found += 1
    assert found


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_in_a_checkpoint_is_found_or_harmless(tmp_path: Path, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    path = tmp_path / "model.pt"
    value = torch.from_numpy(drawn.normal(size=(20, 30)))
    checkpoint.write(path, {"state": {"weight": value}, "epoch": 3})
    content = path.read_bytes()
    found = 0
    for position in drawn.integers(len(content), size=100):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(drawn.integers(8))
        path.write_bytes(damaged)
        try:
            assert torch.equal(checkpoint.read(path)["state"]["weight"], value)
        except FormatError as error:
            assert str(path) in str(error)  # noqa: PT017 - which of the two it is, is left open
            found += 1
    assert found > 80  # The rest is padding, dates and the like.


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_weights_are_refused_in_one_line(tmp_path: Path, seed: int, is_new: bool) -> None:
    """Whatever is left of the file; that its numbers are the published ones, SHA-256 says."""
    drawn = np.random.default_rng(seed)
    path = tmp_path / "weights.pth"
    state = {"state_dict": {"weight": torch.ones(20, 30), "means": np.arange(4.0)}}
    torch.save(state, path, _use_new_zipfile_serialization=is_new)
    content = path.read_bytes()
    refused = 0
    for number in range(200):
        damaged = bytearray(content if number % 2 else drawn.bytes(2000))
        damaged[int(drawn.integers(len(damaged)))] ^= 1 << int(drawn.integers(8))
        path.write_bytes(damaged)
        try:
            network_weights.read_state_dict(path)
        except PipelineError as error:
            assert str(error).startswith(f"weights {path}: ")  # noqa: PT017 - as above
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_file_cut_off_is_found(
    written: tuple[bytes, Features], tmp_path: Path, share: float
) -> None:
    content, _ = written
    path = tmp_path / "damaged.h5"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"damaged\.h5: damaged .*delete the file and run again"):
        features.read(path)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """But not what another process, alive or on another machine, is writing."""
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".b.csv.00000000-1.tmp").touch()
    (tmp_path / "mine.csv").touch()
    with atomic.atomic_write(tmp_path / "c.csv") as temporary:
        temporary.touch()
        atomic.remove_stale_temporaries(tmp_path)
        assert temporary.exists()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".b.csv.00000000-1.tmp", "c.csv", "mine.csv"]
