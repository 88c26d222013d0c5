"""Large files are read once for their digest, and again when they may have changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avca_pipeline import config as avca_config
from avca_pipeline.artifacts import atomic, features, records
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.records import Record
from avca_pipeline.commands import check
from avca_pipeline.errors import FormatError
from avca_pipeline.planning.digests import Digests
from tests.workflow.driving import tiny

NUM_BYTES = 1_000_000


def bytes_read() -> int:
    """Returns how much this process has read so far."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has files of this moment count as old ones: nobody can set the date of their last change."""
    monkeypatch.setattr(atomic, "SETTLED_NS", 0)


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    path = tmp_path / "file"
    path.write_bytes(bytes(NUM_BYTES))
    begin = bytes_read()
    first = file_sha256(path)
    assert bytes_read() - begin >= NUM_BYTES
    begin = bytes_read()
    assert file_sha256(path) == first
    assert bytes_read() - begin < NUM_BYTES
    assert file_sha256(path, 1) != first
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:  # until the system's clock for files has ticked
        path.write_bytes(b"1" + bytes(NUM_BYTES - 1))
    assert file_sha256(path) != first


def test_a_file_of_this_moment_is_read_each_time(tmp_path: Path) -> None:
    """It may change at the same tick of the system's clock, and keep its size and dates."""
    path = tmp_path / "file"
    path.write_bytes(bytes(NUM_BYTES))
    for _ in range(2):
        begin = bytes_read()
        file_sha256(path)
        assert bytes_read() - begin >= NUM_BYTES


def test_a_check_reads_no_features_that_are_as_recorded(tmp_path: Path) -> None:
    results = tmp_path / "results"
    path = results / "tiny/features/frames.h5"
    rows = np.zeros((NUM_BYTES // 40, 10), np.float32)
    count = np.ones(len(rows), np.int64)
    ids = [str(number) for number in range(len(rows))]
    features.write(path, Features(ids, rows, count, count > 1))
    records.write(results, path, Record("recipe", digest=records.digest_of(path)))
    config = avca_config.parse(tiny(results=str(results)))
    digests = Digests(results / records.FOLDER / "digests.json")
    digests.of(path)
    digests.save()
    check.run(config)  # imports what it needs
    begin = bytes_read()
    check.run(config)
    assert bytes_read() - begin < path.stat().st_size
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"frames\.h5: damaged"):
        check.run(config)
