"""Locks that processes share through a file."""

from __future__ import annotations

import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.runtime import locks

RISK = "two may work at once"


def test_one_at_a_time_and_no_file_is_left(tmp_path: Path) -> None:
    """Each of eight threads is inside alone."""
    inside, most, entered = 0, 0, 0
    counting, start = threading.Lock(), threading.Barrier(8)

    def work(_: int) -> None:
        nonlocal inside, most, entered
        start.wait()
        for _ in range(50):
            with locks.one_at_a_time(tmp_path / "a.lock", RISK) as is_alone:
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


def test_who_waited_for_a_file_since_removed_keeps_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first removes the file for which the second waits; the third finds none and makes one."""
    path, flock, asks = tmp_path / "a.lock", fcntl.flock, threading.Event()
    second_is_in, second_may_go, third_is_in = (threading.Event() for _ in range(3))

    def announced(*arguments: Any) -> None:
        asks.set()
        flock(*arguments)

    def second() -> None:
        with locks.one_at_a_time(path, RISK):
            second_is_in.set()
            second_may_go.wait(30)

    def third() -> None:
        with locks.one_at_a_time(path, RISK):
            third_is_in.set()

    with ThreadPoolExecutor(2) as pool:
        with locks.one_at_a_time(path, RISK):
            monkeypatch.setattr(fcntl, "flock", announced)
            pool.submit(second)
            asks.wait(30)
        assert second_is_in.wait(30)
        pool.submit(third)
        try:
            assert not third_is_in.wait(0.3)
        finally:
            second_may_go.set()
        assert third_is_in.wait(30)
    assert not path.exists()


@pytest.mark.parametrize("number", [37, 38, 95, 524])
def test_without_locks_it_goes_on_and_says_so(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    risk = f"{RISK} (error {number})"  # each risk is said once in a process

    def flock(*_: object) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.one_at_a_time(tmp_path / "a.lock", risk) as is_alone:
        assert not is_alone
    with locks.one_at_a_time(tmp_path / "b.lock", risk):
        pass
    assert caplog.messages == [f"{tmp_path}: its file system has no locks: {risk}"]
    assert not list(tmp_path.iterdir())


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        locks.one_at_a_time(tmp_path / "none" / "a.lock", RISK),
    ):
        pass
