"""Every block of code in a document is right: configs pass the check, commands parse.

What a block does is tested where it can run: ``docs/adding.md`` in ``test_adding``,
``docs/classify.md`` in ``test_inference``, the module of ``docs/clusters.md`` in ``test_module``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from avca_pipeline import cli
from avca_pipeline.cli import separated
from avca_pipeline.cli.commands import COMMANDS
from avca_pipeline.cli.options import parser
from avca_pipeline.config import parse
from tests.conftest import REPOSITORY
from tests.unit.test_documents import DOCUMENTS

LANGUAGES = {"", "python", "sh", "snakemake", "text", "toml", "yaml"}
SCHEMA = json.loads(
    (REPOSITORY / "workflow/schemas/config.schema.json").read_text(encoding="utf-8")
)
# Programs of the shell and of other people, whose arguments are not ours to check.
OF_OTHERS = {"[", "cd", "conda", "docker", "export", "git", "pre-commit", "source"}
SHOWS_ONLY = {"explain", "list"}
"""Commands of ours that need no data, and are run as they stand."""


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes:
        document: that it is in.
        line: number of its first line.
        language: as written behind the three backticks.
        text: of the block.
    """

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(REPOSITORY)}:{self.line}"


def blocks() -> Iterator[Block]:
    """Yields the blocks of code of all documents."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(.*)\n((?:.*\n)*?)^```$", text, re.MULTILINE):
            line = text.count("\n", 0, found.start()) + 2
            yield Block(document, line, found[1].strip(), found[2])


def of(*languages: str) -> Any:
    """Returns a parameter for the blocks of these languages."""
    chosen = [block for block in blocks() if block.language in languages]
    assert chosen
    return pytest.mark.parametrize("block", chosen, ids=str)


def commands(text: str) -> Iterator[list[str]]:
    """Yields the words of each command of a block or a line of the shell, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.replace("&&", "\n&&\n"), comments=True)
        command: list[str] = []
        for word in words:
            if word in ("&&", "|"):
                yield command
                command = []
            elif command or not re.match(r"^[A-Z_]+=", word):
                command.append(word)
        if command:
            yield command


def test_every_block_has_a_language_that_is_checked() -> None:
    for block in blocks():
        assert block.language in LANGUAGES, block
        if block.language in ("", "text"):
            first = block.text.split()[0]
            assert first not in ("avca", "snakemake", "make", "pip", "python", "import"), block


@of("yaml")
def test_a_config_in_a_document_passes_the_check(block: Block) -> None:
    """A whole one all that needs no data; a part of one the schema of its sections."""
    written = yaml.safe_load(block.text)
    if written is None:
        assert block.text.startswith("# yaml-language-server: $schema="), block
        return
    if block.document.name == "adding.md":
        return  # It has plugins of its own, with which test_adding runs it.
    if "experiment" in written:
        parse(written)
    jsonschema.validate(written, SCHEMA | {"required": []})


@of("sh")
def test_a_command_in_a_document_is_one(block: Block) -> None:
    for words in commands(block.text):
        check_command(words)


def check_command(words: list[str]) -> None:
    """Asserts that a command can be called so."""
    program, *arguments = words
    if program == "avca":
        check_avca(arguments)
    elif program == "snakemake":
        check_snakemake(arguments)
    elif program == "make":
        targets = [word for word in arguments if "=" not in word]
        makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        assert all(f"\n{target}:" in makefile for target in targets), words
    elif program == "pip":
        check_pip(arguments)
    elif program == "python":
        assert arguments[0] == "-m", words
        assert importlib.util.find_spec(arguments[1]), words
    else:
        assert program in OF_OTHERS, words
        if program == "docker" and "snakemake" in arguments:
            check_snakemake(arguments[arguments.index("snakemake") + 1 :])
    for name in re.findall(r"(?<!\S)(?:envs|workflow|tests|docs)/[\w./-]+", " ".join(words)):
        assert (REPOSITORY / name).exists(), name


def check_avca(arguments: list[str]) -> None:
    """Asserts that our own parser takes the arguments, or Snakemake's where they are its."""
    if arguments[0] == "run":
        check_snakemake([word for word in arguments[1:] if not word.endswith(".yaml")])
        return
    try:
        parser(COMMANDS).parse_args(separated(arguments))
    except SystemExit as end:
        if end.code:
            pytest.fail(f"avca {shlex.join(arguments)}: not a call of a command")
        return
    if arguments[0] in SHOWS_ONLY:
        assert cli.main(arguments) == 0, arguments


def check_snakemake(arguments: list[str]) -> None:
    """Asserts that Snakemake's own parser takes the arguments."""
    from snakemake.cli import get_argument_parser

    get_argument_parser().parse_args(arguments)


def check_pip(arguments: list[str]) -> None:
    """Asserts that extras are those of the package."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"\[(.*)\]", " ".join(arguments)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), extras


@of("python")
def test_python_in_a_document_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@of("toml")
def test_toml_in_a_document_is_toml(block: Block) -> None:
    tomllib.loads(block.text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_within_sentences_are_commands(document: Path) -> None:
    """Their names and options; such a mention need not be a whole call."""
    parts = next(
        action.choices
        for action in parser(COMMANDS)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for mention in re.findall(r"`avca\s+([^`]*)`", text):
        name, *rest = mention.split()
        if name in ("COMMAND", "--help"):
            continue
        assert name in parts, mention
        known = {option for action in parts[name]._actions for option in action.option_strings}
        assert {word for word in rest if word.startswith("--")} <= known, mention
