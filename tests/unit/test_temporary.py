"""What a killed job leaves is removed by the next one, and what a living one writes is not."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avca_pipeline.artifacts import atomic, temporary
from avca_pipeline.artifacts.temporary import (
    remove_stale_temporaries,
    temporary_file,
    temporary_folder,
)
from avca_pipeline.fetching import archives

# Writes a file or a folder, says so, and waits to be killed or told to end.
WRITING = """
import sys
from pathlib import Path
from avca_pipeline.artifacts.atomic import atomic_write, atomic_write_folder
kind = {"file": atomic_write, "folder": atomic_write_folder}[sys.argv[1]]
with kind(Path(sys.argv[2])) as path:
    (path if sys.argv[1] == "file" else path / "inside").write_text("whole")
    print(path, flush=True)
    sys.stdin.readline()
print("written", flush=True)
"""
SWEEPING = """
import sys
from pathlib import Path
from avca_pipeline.artifacts.temporary import remove_stale_temporaries
remove_stale_temporaries(Path(sys.argv[1]))
"""
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Writer:
    """Another process that is writing a file or a folder."""

    def __init__(self, kind: str, path: Path, *before: str) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", WRITING, kind, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.path = Path(self.process.stdout.readline().strip())
        assert self.path.exists()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        # Ends with the writer. One in a container outlives this process by a moment, and would
        # finish its file if its input ended meanwhile.
        self.process.stdout.read()
        self.process.communicate()

    def finish(self) -> None:
        said, _ = self.process.communicate("\n")
        assert said.strip() == "written"
        assert self.process.returncode == 0


@pytest.fixture
def container() -> list[str]:
    """What a command is run with in a PID namespace of its own, with this machine's name."""
    done = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no container can be made here: {done.stderr.strip()}")
    return CONTAINER


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_dead_writer_s_is_removed(kind: str, tmp_path: Path) -> None:
    writer = Writer(kind, tmp_path / "a")
    remove_stale_temporaries(tmp_path)
    assert writer.path.exists()
    writer.kill()
    remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == []


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    """Its parent has not yet asked how it ended, so that the system still knows its number."""
    writer = Writer("file", tmp_path / "a")
    os.kill(writer.process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writer.process.pid, os.WEXITED | os.WNOWAIT)
    remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == []
    writer.kill()


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("where", ["this machine", "another container"])
def test_a_container_s_is_removed_once_it_is_dead(
    kind: str, where: str, tmp_path: Path, container: list[str]
) -> None:
    """Containers share the machine's name and number their processes alike."""
    writer = Writer(kind, tmp_path / "a", *container)
    before = container if where == "another container" else []
    command = [*before, sys.executable, "-c", SWEEPING, str(tmp_path)]
    subprocess.run(command, check=True)
    assert writer.path.exists()
    writer.kill()
    subprocess.run(command, check=True)
    assert names(tmp_path) == []


def test_a_container_finishes_what_others_sweep(tmp_path: Path, container: list[str]) -> None:
    writer = Writer("file", tmp_path / "a", *container)
    subprocess.run([*container, sys.executable, "-c", SWEEPING, str(tmp_path)], check=True)
    remove_stale_temporaries(tmp_path)
    writer.finish()
    assert (tmp_path / "a").read_text() == "whole"
    assert names(tmp_path) == ["a"]


def test_a_number_given_anew_is_another_process(tmp_path: Path) -> None:
    """The process of that number lives, but it started later than the owner."""
    own = temporary._owner(os.getpid())
    with temporary_file(tmp_path / "a") as living:
        of_dead = living.name.replace(f"-{own.started}-", f"-{own.started - 1}-")
        assert of_dead != living.name
        (tmp_path / of_dead).touch()
        remove_stale_temporaries(tmp_path)
        assert names(tmp_path) == [living.name]


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)


def of_other(change: str, folder: Path) -> Path:
    """Returns a temporary name of another machine, or of another container on this one."""
    with temporary_file(folder / "a") as path:
        name = path.name
    own = temporary._owner(os.getpid())
    other = {
        "machine": name.replace(own.boot, "0123456789ab"),
        "container": name.replace(f"-{own.namespace}-", f"-{own.namespace + 1}-"),
    }[change]
    assert other != name
    return folder / other


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("change", ["machine", "container"])
@pytest.mark.usefixtures("without_locks")
def test_of_whom_nothing_is_known_only_what_is_forgotten_is_removed(
    change: str, tmp_path: Path
) -> None:
    """Another machine; or another container where the file system has no locks."""
    file, folder = of_other(change, tmp_path), of_other(change, tmp_path)
    file.touch()
    folder.mkdir()
    remove_stale_temporaries(tmp_path)
    assert set(tmp_path.iterdir()) == {file, folder}
    for path in (file, folder):
        age(path, temporary.STALE_FILE_S + 60)
    remove_stale_temporaries(tmp_path)
    assert set(tmp_path.iterdir()) == {folder}
    age(folder, temporary.STALE_FOLDER_S + 60)
    remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == []


def test_what_another_machine_has_locked_is_not_forgotten(tmp_path: Path) -> None:
    """Its clock or ours may be wrong. An open lock says nothing: not every one is seen here."""
    path = of_other("machine", tmp_path)
    path.touch()
    remove_stale_temporaries(tmp_path)
    assert path.exists()
    age(path, 10 * temporary.STALE_FOLDER_S)
    with open(path) as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        remove_stale_temporaries(tmp_path)
        assert path.exists()
    remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.usefixtures("without_locks")
def test_without_locks_files_are_written_and_swept(tmp_path: Path) -> None:
    writer = Writer("file", tmp_path / "b")
    atomic.write_json(tmp_path / "a", {})
    assert writer.path.exists()
    writer.kill()
    remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == ["a"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    strange = ["a.tmp", ".a.tmp", ".a.0123456789ab-1-1-1-1", ".a.00000000-1.tmp", "tmp"]
    for name in strange:
        (tmp_path / name).touch()
    (tmp_path / ".link.0123456789ab-1-1-1-1.tmp").symlink_to(tmp_path / "tmp")
    remove_stale_temporaries(tmp_path)
    remove_stale_temporaries(tmp_path / "no folder")
    assert set(strange) <= set(names(tmp_path))


def test_the_next_job_sweeps_the_folders_that_it_writes_to(tmp_path: Path) -> None:
    """Whatever it writes: a stage need not think of it."""
    writers = [Writer(kind, tmp_path / kind) for kind in ("file", "folder")]
    for writer in writers:
        writer.kill()
    assert len(names(tmp_path)) == 2
    code = "import sys; from pathlib import Path; from avca_pipeline.artifacts import atomic\n"
    code += "atomic.write_json(Path(sys.argv[1]), {})"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.json")], check=True)
    assert names(tmp_path) == ["a.json"]


def test_unpacked_media_are_removed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "media.tar", "w") as archive:
        archive.add(__file__, "clip.py")
    room = tmp_path / "room"
    with archives.unpacked(tmp_path / "media.tar", room) as files:
        assert files["clip.py"].read_bytes() == Path(__file__).read_bytes()
        (folder,) = room.iterdir()
        assert temporary.NAME.fullmatch(folder.name)  # so that the next job knows it
    assert names(room) == []


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "🎥" * 63, ".." + "x" * 200, "a\nb"])
@pytest.mark.parametrize("make", [temporary_file, temporary_folder])
def test_every_name_that_the_target_may_have(
    name: str, make: Callable[[Path], object], tmp_path: Path
) -> None:
    with make(tmp_path / name) as path:  # type: ignore[attr-defined]
        assert temporary.NAME.fullmatch(path.name)
        os.rename(path, tmp_path / name)  # noqa: PTH104 - a folder as well as a file
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_where_there_is_no_folder_nothing_is_written(kind: str, tmp_path: Path) -> None:
    """Such as one that was removed while a job wrote into it; in a process that may be ended."""
    code = "import sys; from pathlib import Path; from avca_pipeline.artifacts import temporary\n"
    code += f"with temporary.temporary_{kind}(Path(sys.argv[1])): pass"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "gone" / "a")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "FileNotFoundError" in done.stderr.splitlines()[-1]
    assert names(tmp_path) == []


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for number in range(2):
        with atomic.atomic_write_folder(tmp_path / "a") as folder:
            (folder / str(number)).touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["1"]


def test_a_file_has_its_name_only_once_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a loss of power a file that exists is whole; also each file of a folder."""
    on_disk: list[bytes] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        real(descriptor)
        assert not (tmp_path / "a").exists()
        on_disk.append(os.pread(descriptor, 100, 0))

    monkeypatch.setattr(os, "fsync", noted)
    with atomic.atomic_write(tmp_path / "a") as path:
        path.write_bytes(b"content")
    assert on_disk == [b"content"]
    (tmp_path / "a").unlink()
    with atomic.atomic_write_folder(tmp_path / "a") as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_bytes(b"of a folder")
    assert on_disk == [b"content", b"of a folder"]
