"""What a command and its options are, and the parser that is made from them."""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avca_pipeline import __version__
from avca_pipeline.artifacts.text_files import parse_json
from avca_pipeline.requests import Request
from avca_pipeline.settings import descriptions

DESCRIPTION = """\
Audio-visual zero-shot learning, from raw video to a table of results.

Begin with 'avca init', which writes a config. 'avca check' says whether it makes sense, and 'avca
run' runs all that it asks for. Each stage is a command of its own, which the workflow calls."""
EPILOG = "'avca COMMAND --help' explains the options of a command."
SETTINGS_HELP = "the request of the stage, as JSON with the keys below"


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: without dashes.
        help: what it is for, without a full stop.
        is_result: whether the command makes this file, and a later stage may read it.
        is_positional: whether it is given by its place, without its name.
        settings: keyword arguments of ``add_argument``.
    """

    name: str
    help: str
    is_result: bool = False
    is_positional: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: of the command.
        help: what it does, in one sentence without a full stop.
        call: runs it with its options.
        options: its own options.
        request: class of what ``--settings`` holds; ``None`` for a command without a request.
        uses_device: whether it computes on a GPU, and has the options for that.
        prepare: completes its options once they are parsed.
        has_arguments_file: whether ``@FILE`` stands for arguments that are the lines of a file.
        passes_words_on: whether all its words are those of another program, options too.
    """

    name: str
    help: str
    call: Callable[[argparse.Namespace], None]
    options: tuple[Option, ...]
    request: type[Request] | None = None
    uses_device: bool = False
    prepare: Callable[[argparse.Namespace], None] | None = None
    has_arguments_file: bool = False
    passes_words_on: bool = False

    @property
    def results(self) -> list[str]:
        """Names of the options whose files later stages read."""
        return [option.name for option in self.options if option.is_result]


def path(name: str, help: str, **settings: Any) -> Option:
    """Returns an option for a path that must be given, unless ``settings`` say otherwise."""
    standard = {"type": Path, "required": True, "metavar": "PATH"}
    return Option(name, help, settings=standard | settings)


def reads(name: str, help: str, **settings: Any) -> Option:
    """Returns an option for a file that the command reads."""
    return path(name, help, **{"metavar": "FILE", **settings})


def reads_all(name: str, help: str, **settings: Any) -> Option:
    """Returns an option for several files that the command reads."""
    return reads(name, help, nargs="*", **settings)


def makes(name: str, help: str) -> Option:
    """Returns an option for a result of the command, which gets a record."""
    settings = {"type": Path, "required": True, "metavar": "FILE"}
    return Option(name, help, is_result=True, settings=settings)


def json_value(text: str) -> Any:
    """Returns the value of a JSON text, for an option."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def positive(text: str) -> int:
    """Returns a whole number from 1 on, for an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text!r}")
    return int(text)


def port(text: str) -> int:
    """Returns the number of a port, for an option."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, found {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Returns a number of seconds above 0, for an option."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return found


def named_file(text: str) -> tuple[str, str]:
    """Returns a name and a file, for an option."""
    name, separator, file = text.partition("=")
    if not (name and separator and file):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, found {text!r}")
    return name, file


DEVICE_OPTIONS = (
    Option(
        "device",
        "where to compute: a GPU if there is one (auto), the CPU, or a GPU and nothing else (cuda)",
        settings={"choices": ("auto", "cpu", "cuda"), "default": "auto"},
    ),
    Option(
        "threads",
        "number of CPU threads (default: all)",
        settings={"type": positive, "metavar": "NUMBER"},
    ),
    Option(
        "jobs-per-gpu",
        "number of jobs that may use one GPU at a time (default: 1)",
        settings={"type": positive, "default": 1, "metavar": "NUMBER"},
    ),
)
MADE = Option(
    "made",
    "what the result has to be made from, as JSON from the workflow; the command stops if an input "
    "differs, and writes a record of the result",
    settings={"metavar": "JSON"},
)
LOG = Option(
    "log", "file to which all lines are written as well", settings={"type": Path, "metavar": "FILE"}
)


class _Part(argparse.ArgumentParser):
    """The parser of one command, whose help says what the keys of its request mean."""

    request: type[Request] | None = None

    def format_help(self) -> str:
        """Returns the help; the texts of the keys are read only for it."""
        if self.request is not None:
            self.epilog = _keys_in_words(self.request)
        return super().format_help()


def parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    whole = argparse.ArgumentParser(
        prog="avca",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {__version__}",
        help="show the version and exit",
    )
    parts = whole.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Part
    )
    for command in commands:
        sentence = command.help[0].upper() + command.help[1:] + "."
        part = parts.add_parser(
            command.name,
            help=command.help,
            description=textwrap.fill(sentence),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            fromfile_prefix_chars="@" if command.has_arguments_file else None,
        )
        part.request = command.request
        part.set_defaults(declared=command)
        for option in _all_options(command):
            flag = option.name if option.is_positional else f"--{option.name}"
            part.add_argument(flag, help=option.help, **option.settings)
    return whole


def _keys_in_words(request: type[Request]) -> str:
    """Returns what the keys of a request mean, a paragraph for each."""
    paragraphs = [
        textwrap.fill(
            f"{name:<20}  {' '.join(text.split())}",
            initial_indent="  ",
            subsequent_indent=" " * 24,
        )
        for name, text in descriptions(request).items()
    ]
    return "\n".join(["keys of --settings:", *paragraphs])


def _all_options(command: Command) -> list[Option]:
    """Returns the options of a command, those that it shares with others last."""
    options = list(command.options)
    if command.request is not None:
        settings = {"type": json_value, "required": True, "metavar": "JSON"}
        options.insert(0, Option("settings", SETTINGS_HELP, settings=settings))
    if command.uses_device:
        options += DEVICE_OPTIONS
    if command.results and command.request is not None:
        options.append(MADE)
    return options if command.passes_words_on else [*options, LOG]
