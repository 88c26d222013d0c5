"""Files that crash, hold up or surprise the demuxer, in a real process that looks at them."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from pathlib import Path

import av
import pytest

from avca_pipeline.datasets import demo
from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.media import MediaError, probing
from avca_pipeline.media.container import opened, probe
from avca_pipeline.media.probing import Prober

# What a file's name says happens in the process that opens it.
STAND_IN = """
import os, signal, sys, time
from avca_pipeline.media import probing
real = probing.probe
def probe(path):
    name = path.stem
    if name.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, name))
    elif name == "exit":
        os._exit(3)
    elif name == "spin":
        while True:
            pass
    elif name == "sleep":
        time.sleep(600)
    elif name == "surprise":
        raise RecursionError("too deep\\nto say")
    elif name == "once" and path.exists():
        path.unlink()
        os._exit(1)
    elif name == "noise":
        os.write(1, b"a library prints this\\n")
        print("and this")
    return real(path)
probing.probe = probe
probing.main(int(sys.argv[1]))
"""
COMMAND = (sys.executable, "-c", STAND_IN)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = demo.Settings(num_classes=4, sources_per_class=1)
    return demo.locate(made, demo.clips(made)[0], tmp_path_factory.mktemp("film"))


@pytest.fixture
def prober(monkeypatch: pytest.MonkeyPatch) -> Prober:
    monkeypatch.setattr(probing, "TICK_S", 0.05)
    return Prober(COMMAND, cpu_limit_s=1, silence_s=0.2)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SIGSEGV", "decoder died: signal 11"),
        ("SIGABRT", "decoder died: signal 6"),
        ("SIGFPE", "decoder died: signal 8"),
        ("exit", "decoder died: exit code 3"),
        ("surprise", "not a media file: RecursionError: too deep"),
        ("absent", "missing file"),
    ],
)
def test_a_file_that_ends_the_process_is_one_file(
    name: str, reason: str, film: Path, tmp_path: Path
) -> None:
    with Prober(COMMAND) as prober:
        assert prober.probe(film) == probe(film)
        with pytest.raises(MediaError) as caught:
            prober.probe(tmp_path / name)
        assert str(caught.value) == reason
        assert prober.probe(film) == probe(film)


def test_what_dies_once_is_tried_again(film: Path, tmp_path: Path) -> None:
    """The second process finds the file away, which is what it says: it was asked anew."""
    (tmp_path / "once").touch()
    with Prober(COMMAND) as prober, pytest.raises(MediaError, match="missing file"):
        prober.probe(tmp_path / "once")


def test_what_takes_the_processor_for_too_long_is_given_up(prober: Prober, tmp_path: Path) -> None:
    prober.silence_s = 60
    with prober, pytest.raises(MediaError, match="decoder died: opening took over 1 s"):
        prober.probe(tmp_path / "spin")


def test_a_disk_that_does_not_answer_is_no_fault_of_the_file(
    prober: Prober, tmp_path: Path
) -> None:
    with prober, pytest.raises(TransientError, match=r"cannot be read: no answer for 0\.2 s"):
        prober.probe(tmp_path / "sleep")


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EACCES, errno.ENODEV])
def test_a_disk_that_goes_away_in_reading_is_no_fault_of_the_file(number: int, film: Path) -> None:
    with pytest.raises(TransientError, match=os.strerror(number)), opened(film):
        av.error.err_check(-number)


def test_an_error_of_reading_is_looked_into(film: Path, tmp_path: Path) -> None:
    """FFmpeg says of a file cut off what the system says of a bad sector, and -1 of anything."""
    path = tmp_path / "a.mp4"
    path.write_bytes(film.read_bytes())
    for number in (errno.EIO, errno.EPERM):
        with pytest.raises(MediaError, match=f"damaged: {os.strerror(number)}"), opened(path):
            av.error.err_check(-number)
    container = opened(path)
    container.__enter__()
    path.unlink()
    error = av.error.OSError(errno.EIO, "Input/output error")
    with pytest.raises(TransientError, match="Input/output error"):
        container.__exit__(type(error), error, None)


def test_too_many_open_files_are_no_fault_of_the_file(film: Path) -> None:
    assert probe(film).has_video
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as next_one:
        lowest = next_one.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(TransientError, match="Too many open files"):
            probe(film)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_process_ended_from_outside_is_no_fault_of_the_file(
    name: str, film: Path, tmp_path: Path
) -> None:
    with Prober(COMMAND) as prober:
        with pytest.raises(TransientError, match="ended by signal"):
            prober.probe(tmp_path / name)
        assert prober.probe(film) == probe(film)


def test_time_stands_still_while_the_process_is_stopped(
    prober: Prober, film: Path, tmp_path: Path
) -> None:
    """Stopped for many times the silence that it may keep, it is taken up again and answers."""
    with prober:
        prober.probe(film)
        assert prober.process is not None
        process = prober.process.pid
        os.kill(process, signal.SIGSTOP)
        state_of, states = probing.state_of, []

        def look(pid: int) -> str:
            states.append(state_of(pid))
            if len(states) == 12:  # of 0.05 s each; it may be silent for 0.2 s
                os.kill(process, signal.SIGCONT)
            return states[-1]

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(probing, "state_of", look)
            assert prober.probe(film) == probe(film)
        assert states[:12] == ["T"] * 12


def test_what_libraries_print_is_no_answer(film: Path, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.symlink_to(film)
    with Prober(COMMAND) as prober:
        assert prober.probe(noise) == probe(film)


def test_odd_names(film: Path, tmp_path: Path) -> None:
    with Prober() as prober:
        for name in (b"new\nline", b"\xff\xfe", "é ❤".encode()):
            path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".mp4"))
            path.symlink_to(film)
            assert prober.probe(path) == probe(film)


def test_a_process_that_cannot_start_is_one_line() -> None:
    with (
        Prober((sys.executable, "-c", "import sys; sys.exit(7)")) as prober,
        pytest.raises(PipelineError, match=r"cannot start \(exit code 7\)"),
    ):
        prober.probe(Path("x"))
