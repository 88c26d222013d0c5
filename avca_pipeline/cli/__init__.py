"""The command line: one command for each stage, and a few that are no stages.

`commands` and `stage_commands` declare them with their options, `options` makes the parser from
that, and this module runs one of them. What a stage is asked for stands in ``--settings`` as JSON.
The workflow fills it in, so that a line pasted from a log runs by itself.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.records import Expected, within
from avca_pipeline.cli.commands import COMMANDS
from avca_pipeline.cli.options import Command, parser
from avca_pipeline.config import validated
from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime import logs
from avca_pipeline.runtime.circumstances import Stopwatch
from avca_pipeline.runtime.sealing import unsealed

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 1 for an error that a user can correct."""
    skip_the_last_collection()
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser(COMMANDS).parse_args(separated(words))
    _need_no_home()
    logs.show_on_screen()
    try:
        with logs.copied_to(getattr(options, "log", None)):
            try:
                _run(options.declared, options)
            except PipelineError as error:
                # Its lines say all that a user needs; a traceback would hide them.
                for line in error.lines:
                    logger.error(f"avca {options.command}: error: {line}")  # noqa: TRY400
                return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Not even the log can be written.
        print(
            f"avca {options.command}: error: {error.strerror}; make room and run the same again",
            file=sys.stderr,
        )
        return 1
    return 0


def skip_the_last_collection() -> None:
    """Keeps the garbage collector from all objects of this process when the process ends.

    Python would look through all that was imported once more, which takes 0.4 s with torch.
    """
    atexit.register(gc.freeze)


def separated(words: list[str]) -> list[str]:
    """Returns the words with ``--`` before those that are meant for another program."""
    passes_on = {command.name for command in COMMANDS if command.passes_words_on}
    if words[:1] and words[0] in passes_on and not {"-h", "--help"} & set(words):
        return [words[0], "--", *words[1:]]
    return words


def _need_no_home() -> None:
    """Keeps torchvision from making a folder for compiled code, of which we have none.

    Importing it makes one in TMPDIR, named after the user: without room there, or for a user whom
    the system has no name for, as in containers, that fails.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", "/")


def _run(command: Command, options: argparse.Namespace) -> None:
    """Parses the request and runs the command.

    Raises:
        PipelineError: the request is wrong; the rest of an address in it is not in the
            environment; the command fails for a reason that a user can put right.
    """
    asked_for = getattr(options, "settings", None)
    if command.request is not None:
        request = unsealed(asked_for)
        options.request = validated(command.request, request, "--settings")
    if getattr(options, "download", None) is not None:
        options.download = unsealed(options.download)
    if command.prepare is not None:
        command.prepare(options)
    if getattr(options, "made", None) is None:
        command.call(options)
    else:
        _run_recorded(command, options, asked_for)


def _run_recorded(command: Command, options: argparse.Namespace, asked_for: Any) -> None:
    """Runs a command of the workflow on the inputs that it expects, and records how.

    Args:
        command: the command.
        options: its options.
        asked_for: the request as the workflow shows it, without secrets.

    Raises:
        PipelineError: an input is not what the workflow expects, or was changed meanwhile.
    """
    stopwatch = Stopwatch()
    expected = Expected.from_json(options.made)
    inputs = {name: _as_list(getattr(options, name)) for name in expected.inputs}
    outputs = [getattr(options, name) for name in command.results]
    states = _states(inputs)
    digests = expected.check(inputs)
    made = None
    meanwhile = f"{outputs[0]}: its inputs changed meanwhile; run the same again"

    def is_changed() -> bool:
        return _states(inputs) != states and expected.check(inputs) != digests

    if expected.keep(outputs, digests):
        logger.info(
            f"avca {command.name}: made from the same as before, so it is kept: {outputs[0]}"
        )
    else:
        try:
            command.call(options)
        except Exception as error:  # what it has read may not go together
            if is_changed():
                raise PipelineError(meanwhile) from error
            raise
        made = stopwatch.read() | {"stage": _stage(command, options)}
        if options.log is not None:
            made["log"] = within(expected.results, options.log)
    if is_changed():
        raise PipelineError(meanwhile)
    expected.write(outputs, digests, asked_for, made)


def _stage(command: Command, options: argparse.Namespace) -> str:
    """Returns what the report calls a stage: training has two."""
    return f"{command.name} {options.stage}" if "stage" in options else command.name


def _as_list(value: Path | list[Path]) -> list[Path]:
    return value if isinstance(value, list) else [value]


def _states(files: dict[str, list[Path]]) -> list[tuple[int, ...]]:
    """Returns what changes when any of these files is replaced or written to."""
    states = [path.stat() for paths in files.values() for path in paths if path.exists()]
    return [(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns) for state in states]
