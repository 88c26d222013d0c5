"""The lines of the modules on the screen and in log files."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from avca_pipeline.runtime import logs, progress
from avca_pipeline.runtime.progress import Progress

logger = logging.getLogger("avca_pipeline.tests")

ON_A_TERMINAL = """
import logging, sys, time
from pathlib import Path
from avca_pipeline.runtime import logs, progress
logs.show_on_screen()
progress.LINE_EVERY_S = 0
with logs.copied_to(Path(sys.argv[1])), progress.Progress("counting", 2, "clips") as bar:
    bar.advance("the first")
    logging.getLogger("avca_pipeline.tests").info("a line meanwhile")
    bar.advance()
"""


def lines_of(path: Path) -> list[str]:
    """Returns the lines of a log file without the time of day, which each one must have."""
    matches = [re.fullmatch(r"\d\d:\d\d:\d\d (.*)", line) for line in path.read_text().splitlines()]
    assert all(matches), path.read_text()
    return [match[1] for match in matches if match]


def test_a_line_is_on_the_screen_and_in_the_log_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.info("before")
    with logs.copied_to(tmp_path / "logs/a.log"):
        logger.info("100 % of https://me:secret@host/a.mp4?token=1")
        logger.warning("a warning")
        logger.debug("not for users")
    logger.error("after")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "before\n100 % of https://host/a.mp4\na warning\nafter\n"
    assert lines_of(tmp_path / "logs/a.log") == ["100 % of https://host/a.mp4", "a warning"]


def test_a_log_file_is_written_anew(tmp_path: Path) -> None:
    for number in range(2):
        with logs.copied_to(tmp_path / "a.log"):
            logger.info(f"line {number}")
    assert lines_of(tmp_path / "a.log") == ["line 1"]


def test_each_line_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the screen is asked for again, as by each command in one process."""
    logs.show_on_screen()
    logs.show_on_screen()
    logger.info("once")
    assert capsys.readouterr().err == "once\n"


def test_a_line_that_cannot_be_written_ends_the_command(tmp_path: Path) -> None:
    """Instead of Python's traceback for each line, after which the command would go on."""
    full = tmp_path / "full.log"
    full.symlink_to("/dev/full")
    written = []

    def write_two() -> None:
        with logs.copied_to(full):
            for line in ("the first", "the second"):
                written.append(line)
                logger.info(line)

    with pytest.raises(OSError, match="No space left"):
        write_two()
    assert written == ["the first"]


def test_progress_elsewhere_is_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with logs.copied_to(tmp_path / "a.log"), Progress("counting", 2, "clips") as progress:
        progress.advance()
        progress.advance()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"counting: 2/2 clips, [\d.e+]+/s, done in \d+\.\d s", line)
    assert lines_of(tmp_path / "a.log") == [line]


def test_a_line_of_progress_says_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a clock that stands still but for a minute between two clips."""
    seconds = iter((0.0, 60.0, 60.0, 60.0, 120.0, 120.0, 120.0, 120.0, 120.0))
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    with Progress("counting", 4, "clips") as counting:
        counting.advance()
        counting.advance("a note")
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "counting: 1/4 clips, 0.0167/s, 3 min left"
    assert second == "counting: 2/4 clips, 0.0167/s, 2 min left, a note"
    assert "2/4 clips" in last


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (5000, "83 min"), (5400, "1.5 h")],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert progress.in_words(seconds) == words


def test_progress_on_a_terminal_is_a_bar(tmp_path: Path) -> None:
    """Its lines are in the log file only; other lines stand above the bar."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))  # without a width a bar is not drawn
    command = [sys.executable, "-c", ON_A_TERMINAL, str(tmp_path / "a.log")]
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        screen = b""
        while chunk := _read(ours):
            screen += chunk
        assert process.wait() == 0, screen
    os.close(ours)
    text = screen.decode()
    assert "a line meanwhile\r\n" in text
    assert "\rcounting: " in text
    assert "counting: 1/2" not in text
    first, meanwhile, second, done = lines_of(tmp_path / "a.log")
    assert first.startswith("counting: 1/2 clips, ")
    assert first.endswith(", the first")
    assert meanwhile == "a line meanwhile"
    assert second.startswith("counting: 2/2 clips, ")
    assert "done in" in done


def _read(terminal: int) -> bytes:
    """Returns what comes next from a terminal; nothing once its other end is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux reports the other end as an error
        return b""


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["10:00:00 a\n10:00:01 avca split: error: too few\n"], "avca split: error: too few"),
        (["10:00:00 a\n", "avca fetch: error: full\nRemoving output\n"], "avca fetch: error: full"),
        (
            ["10:00:00 avca train: error: nan\n10:00:01 avca together: error: b.log: nan\n"],
            "avca together: error: b.log: nan",
        ),
        (
            ["10:00:00 a\n10:00:01 train: 3/20 epochs\n\n", "b\n"],
            "avca: error: a job ended without an error of its own; {0} ends with: "
            "10:00:01 train: 3/20 epochs",
        ),
        (["", "\n"], ""),
        ([], ""),
    ],
)
def test_why_jobs_failed(tmp_path: Path, texts: list[str], line: str) -> None:
    """The first error of a command, else the end of the first log; a file may be missing."""
    paths = [
        tmp_path / "missing.log",
        *(tmp_path / f"{number}.log" for number in range(len(texts))),
    ]
    for path, text in zip(paths[1:], texts, strict=True):
        path.write_text(text)
    assert logs.why_it_failed(paths) == line.format(*map(str, paths[1:]))
