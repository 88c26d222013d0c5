"""Locks keep runs apart, and where a file system has none the work goes on with a warning."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from avca_pipeline.runtime import locks

RISK = "two may do the same"
SHARING = """
import sys
from pathlib import Path
from avca_pipeline.runtime import locks
share = locks.join(Path(sys.argv[1]), "")
print("ready", flush=True)
for line in sys.stdin:
    num_alone = 0
    for _ in range(int(line)):
        with locks.alone(share) as is_alone:
            num_alone += is_alone
    print(num_alone, flush=True)
"""


class Run:
    """Another process that has a share of a lock until it ends."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHARING, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.read() == "ready"

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def try_alone(self, times: int) -> None:
        """Has it ask whether it is alone, again and again; `read` returns how often it was."""
        assert self.process.stdin is not None
        print(times, file=self.process.stdin, flush=True)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_lock_is_held_until_the_end(tmp_path: Path) -> None:
    assert locks.hold(tmp_path / "lock", RISK)
    assert not locks.hold(tmp_path / "lock", RISK)
    assert locks.hold(tmp_path / "other", RISK)


def test_who_asks_whether_he_is_alone_does_not_lose_his_share(tmp_path: Path) -> None:
    """Of two runs that start together none may take the other for dead, at any moment."""
    runs = [Run(tmp_path / "lock") for _ in range(2)]
    for run in runs:
        run.try_alone(5000)
    assert [run.read() for run in runs] == ["0", "0"]
    runs[0].end()
    runs[1].try_alone(3)
    assert runs[1].read() == "3"
    runs[1].end()


def test_who_joins_while_another_is_alone_waits_for_his_share(tmp_path: Path) -> None:
    first = locks.join(tmp_path / "lock", RISK)
    begun, ended, joined = threading.Event(), threading.Event(), threading.Event()

    def join() -> None:
        begun.set()
        locks.join(tmp_path / "lock", RISK)
        assert ended.is_set()
        joined.set()

    second = threading.Thread(target=join, daemon=True)
    with locks.alone(first) as is_alone:
        assert is_alone
        second.start()
        assert begun.wait(60)
        ended.set()
    assert joined.wait(60)
    with locks.alone(first) as is_alone:
        assert not is_alone


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_without_locks_the_work_goes_on(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As on Lustre without its option flock, NFS without lockd and Cray's DVS."""

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    for name in ("held", "joined"):
        monkeypatch.setattr(locks, "_warned", set())
        path = tmp_path / name
        if name == "held":
            assert locks.hold(path, RISK)
            assert locks.hold(path, RISK)
        else:
            with locks.alone(locks.join(path, RISK)) as is_alone:
                assert not is_alone
        said = capsys.readouterr().err
        assert said == f"{tmp_path}: its file system has no locks: {RISK}\n"
