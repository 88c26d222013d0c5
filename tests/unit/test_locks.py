"""Locks that processes share through a file."""

from __future__ import annotations

import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from avca_pipeline import locks


def test_one_at_a_time_and_no_file_is_left(tmp_path: Path) -> None:
    """Each of eight threads is inside alone, also those that waited for a file since removed."""
    inside, most, entered = 0, 0, 0
    counting, start = threading.Lock(), threading.Barrier(8)

    def work(_: int) -> None:
        nonlocal inside, most, entered
        start.wait()
        for _ in range(50):
            with locks.one_at_a_time(tmp_path / "a.lock") as is_alone:
                assert is_alone
                with counting:
                    inside, entered = inside + 1, entered + 1
                    most = max(most, inside)
                with counting:
                    inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (most, entered) == (1, 400)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [37, 38, 95, 524])
def test_without_locks_it_goes_on_and_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.one_at_a_time(tmp_path / "a.lock") as is_alone:
        assert not is_alone


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        locks.one_at_a_time(tmp_path / "none" / "a.lock"),
    ):
        pass
