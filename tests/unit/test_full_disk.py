"""A disk that fills while a file is written: one line, nothing left, and no signal."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import h5py
import numpy as np
import pytest

from avca_pipeline.artifacts.sink import REMEMBERED_BYTES, Sink

# Writes every kind of file into a folder, and prints what it is told.
WRITE = """
import sys
from pathlib import Path
import numpy as np, torch
from avca_pipeline.artifacts import checkpoint, features, labels, scores, split
from avca_pipeline.artifacts.atomic import atomic_write, write_json
from avca_pipeline.errors import PipelineError
from avca_pipeline.published import export
folder = Path(sys.argv[1])
ids = [f"clip {number} of a class" for number in range(500)]
table = np.random.default_rng(0).normal(size=(500, 512)).astype(np.float32)
ones, names = np.ones(500, int), ["one", "two"]
value = features.Features(ids, table, ones, ones > 1)
words = labels.Labels(ids, table, "drawn")
embeddings = scores.Embeddings(ids, ["one"] * 500, table, names, np.zeros(2, bool), table[:2])
rows = [split.SplitClip(name, "one", name, "train") for name in ids]
long_rows = [split.SplitClip(name * 20, "one", name, "train") for name in ids]
whole = export.Export("tiny", "main", rows, {"video": value, "audio": value},
                      labels.Labels(names, table[:2], "drawn"))
def text(path):
    with atomic_write(path) as temporary:
        temporary.write_text("".join(ids) * 100)
writers = {
    "features": lambda path: features.write(path, value),
    "embeddings": lambda path: scores.write_embeddings(path, embeddings),
    "labels": lambda path: labels.write(path, words),
    "checkpoint": lambda path: checkpoint.write(path, {"w": torch.from_numpy(table)}),
    "json": lambda path: write_json(path, {"epochs": ids * 100}),
    "csv": lambda path: split.write(path, long_rows * 100),
    "text": text,
    "export": lambda path: export.write(path, whole),
}
for kind, write in writers.items():
    try:
        write(folder / kind)
        print("written:", kind)
    except PipelineError as error:
        print("refused:", kind, error)
"""
KINDS = ["features", "embeddings", "labels", "checkpoint", "json", "csv", "text", "export"]


def disk_of(size: str, folder: Path) -> None:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be made here: {done.stderr.strip()}")


@pytest.fixture(params=["4k", "300k"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder on a small disk."""
    folder = tmp_path / "disk"
    disk_of(request.param, folder)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_it_is_said_in_one_line_and_nothing_is_left(disk: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["refused:", kind] for kind in KINDS]
    assert all(line.endswith("cannot be written (No space left on device)") for line in lines)
    assert list(disk.iterdir()) == []


def test_with_room_it_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"written: {kind}" for kind in KINDS]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(KINDS)


def full_after(num_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the system write so many bytes of a file and no more."""
    real = os.pwrite

    def written(descriptor: int, data: bytes, offset: int) -> int:
        if offset >= num_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: num_bytes - offset], offset)

    monkeypatch.setattr(os, "pwrite", written)


@pytest.mark.parametrize("num_bytes", [0, 1, 600, 3000, 10_000, 100_000, 1_200_000])
def test_hdf5_notices_nothing(
    num_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads back the structure that found no room, closes, and can be used again."""
    full_after(num_bytes, monkeypatch)
    with open(tmp_path / "a.h5", "w+b", buffering=0) as raw:
        sink = Sink(raw)
        with h5py.File(sink, "w", userblock_size=512) as file:
            for number in range(30):
                file[f"group {number}/table"] = np.full((2000,), number)
            file["large"] = np.zeros(2 * REMEMBERED_BYTES, np.uint8)
            texts = [f"text {number}" for number in range(3000)]
            file.create_dataset("texts", data=texts, dtype=h5py.string_dtype())
            file.flush()
            assert len(file) == 32
            assert file["group 7/table"][()].tolist() == [7] * 2000
            assert list(file["texts"].asstr()[()]) == texts
        assert sink.error is not None
        assert sink.error.errno == errno.ENOSPC
        assert sum(map(len, sink.remembered.values())) < 2 * REMEMBERED_BYTES


def test_a_sink_is_a_file(tmp_path: Path) -> None:
    """The same calls on it and on a real file give the same answers and bytes."""
    generator = np.random.default_rng(0)
    with open(tmp_path / "ours", "w+b", buffering=0) as raw, open(tmp_path / "real", "w+b") as real:
        sink = Sink(cast(BinaryIO, raw))
        for _ in range(300):
            action, size = int(generator.integers(4)), int(generator.integers(1, 3000))
            data = generator.bytes(size)
            if action == 0:
                assert sink.write(data) == real.write(data)
            elif action == 1:
                assert sink.seek(size) == real.seek(size)
            elif action == 2:
                place = sink.tell()
                assert place == real.tell()
                assert sink.read(size).rstrip(b"\0") == real.read(size).rstrip(b"\0")
                assert sink.seek(place) == real.seek(place)
            else:
                end = sink.seek(0, os.SEEK_END)
                assert end == real.seek(0, os.SEEK_END)
                assert sink.truncate(end + 5) == real.truncate(end + 5)
        real.flush()
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "real").read_bytes()
