"""Runs several commands of this program, each in a process forked from one that has imported all.

Importing torch takes longer than a small training. A forked process has what its parent has
imported; all else is its own. So results, logs and records are those of the same commands, started
one by one. The workflow runs this as ``python -m avca_pipeline.cli.together``.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import logging
import multiprocessing as mp
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from avca_pipeline import cli
from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.records import Expected
from avca_pipeline.artifacts.text_files import read_json
from avca_pipeline.cli.commands import COMMANDS
from avca_pipeline.cli.options import parser, positive
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.runtime import logs

logger = logging.getLogger("avca_pipeline.cli.together")  # whose name is another where it is run

NAME = "avca together"
FORMAT_VERSION = 1
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


@dataclass(frozen=True)
class Member:
    """One of the commands.

    Attributes:
        arguments: its words, without the name of the program.
        after: numbers of the commands whose results it needs.
    """

    arguments: tuple[str, ...]
    after: tuple[int, ...] = ()


def read(path: Path) -> list[Member]:
    """Reads the commands that the workflow has written.

    Raises:
        FormatError: the file holds something else, or a command stands before one that it needs.
    """
    rows = read_json(path, FORMAT_VERSION).get("commands")
    try:
        members = [Member(tuple(row["arguments"]), tuple(row["after"])) for row in rows or ()]
        is_ordered = all(
            0 <= place < number for number, each in enumerate(members) for place in each.after
        )
    except (TypeError, KeyError) as error:
        raise FormatError(f"{path}: holds no list of commands ({error})") from error
    if not is_ordered:
        raise FormatError(f"{path}: a command stands before one that it needs")
    return members


@dataclass
class Together:
    """Runs commands, each one after those that it needs.

    Of those that can start, the one with most commands in a row behind it starts first. So all
    trainings of stage 1 precede those of stage 2, and no core is left with a whole run at the end.

    If one fails, those that need it are left out, and the others run. What a command has made is
    kept by a second name, because Snakemake removes all results of a job that fails or is killed.

    Attributes:
        members: the commands.
        num_processes: how many run at a time.
        waiting: numbers of those that have not begun, in the order in which they may.
        succeeded: numbers of those that have.
        running: number and process of those at work, by what tells of their end.
        errors: of those that failed.
    """

    members: Sequence[Member]
    num_processes: int
    waiting: list[int] = field(init=False)
    succeeded: set[int] = field(default_factory=set)
    running: dict[Any, tuple[int, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        behind = [0] * len(self.members)
        for number, member in reversed(list(enumerate(self.members))):
            for earlier in member.after:
                behind[earlier] = max(behind[earlier], behind[number] + 1)
        self.waiting = sorted(range(len(self.members)), key=lambda number: -behind[number])
        self.options = [parser(COMMANDS).parse_args(each.arguments) for each in self.members]

    def run(self) -> None:
        """Runs all.

        Raises:
            PipelineError: a command failed; with its own error.
        """
        for stage in {options.command for options in self.options}:
            importlib.import_module(f"avca_pipeline.stages.{stage}")
        importlib.import_module("torch")
        self._read_inputs()
        try:
            while self._start() or self.running:
                for sentinel in wait(list(self.running)):
                    self._ended(*self.running.pop(sentinel))
        finally:
            for _, process in self.running.values():
                process.terminate()
            for _, process in self.running.values():
                process.join()
        if self.errors:
            raise PipelineError(*self.errors)

    def _read_inputs(self) -> None:
        """Computes the digests of what is there before the first command, once for all of them."""
        for options in self.options:
            for name in Expected.from_json(options.made).inputs:
                value = getattr(options, name)
                for path in value if isinstance(value, list) else [value]:
                    if path.is_file():
                        records.digest_of(path)

    def _start(self) -> bool:
        """Starts what can be started; returns whether that was anything."""
        ready = [n for n in self.waiting if self.succeeded.issuperset(self.members[n].after)]
        chosen = ready[: self.num_processes - len(self.running)]
        for number in chosen:
            self.waiting.remove(number)
            arguments = self.members[number].arguments
            process = mp.get_context("fork").Process(target=_run_one, args=(arguments,))
            process.start()
            self.running[process.sentinel] = number, process
        return bool(chosen)

    def _ended(self, number: int, process: Any) -> None:
        """Keeps what a command has made, or says why it failed."""
        process.join()
        options = self.options[number]
        if process.exitcode == 0:
            self.succeeded.add(number)
            results = Expected.from_json(options.made).results
            outputs = [getattr(options, name) for name in options.declared.results]
            records.keep_more(results, [records.within(results, path) for path in outputs])
            return
        line = logs.why_it_failed([options.log]) or f"ended with exit code {process.exitcode}"
        self.errors.append(f"{options.log}: {re.sub(r'^avca( [a-z]+)?: error: ', '', line)}")


def _run_one(arguments: Sequence[str]) -> NoReturn:
    """Runs one command and ends this process with its exit code."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):  # other systems than Linux
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    sys.exit(cli.main(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the commands of a file; returns 1 if one failed."""
    own = argparse.ArgumentParser(prog=NAME, description=__doc__)
    own.add_argument("commands", type=Path, help="file with the commands")
    own.add_argument("--processes", type=positive, default=1, help="how many run at a time")
    own.add_argument("--log", type=Path, help="file to which all lines are written as well")
    options = own.parse_args(arguments)
    cli.skip_the_last_collection()
    logs.show_on_screen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with logs.copied_to(options.log):
        try:
            Together(read(options.commands), options.processes).run()
        except PipelineError as error:
            for line in error.lines:
                logger.error(f"{NAME}: error: {line}")  # noqa: TRY400 - the line says it all
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
