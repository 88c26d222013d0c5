"""What `make mutants` is told about modules, tests and equivalent mutants is true of the code."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.mutants.__main__ import Mutant, is_wording

FOLDER = REPOSITORY / "tests" / "mutants"
MODULES = tomllib.loads((FOLDER / "modules.toml").read_text(encoding="utf-8"))
EQUIVALENT = tomllib.loads((FOLDER / "equivalent.toml").read_text(encoding="utf-8"))["mutant"]


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_their_tests_are_there(name: str) -> None:
    for file in MODULES[name]["files"]:
        assert (REPOSITORY / "avca_pipeline" / file).is_file(), file
    for test in MODULES[name]["tests"]:
        assert (REPOSITORY / test.partition("::")[0]).exists(), test


def function(path: Path, name: str) -> str:
    """Returns the text of a function or method, as Python itself writes it, in one line."""
    *of_class, own = name.split(".")
    tree: Any = ast.parse(path.read_text(encoding="utf-8"))
    for each in of_class:
        tree = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == each)
    (found,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == own)
    return " ".join(line.strip() for line in ast.unparse(found).splitlines())


@pytest.mark.parametrize("entry", EQUIVALENT, ids=lambda entry: entry["function"])
def test_equivalent_mutants_are_of_the_code_as_it_is(entry: dict[str, str]) -> None:
    assert entry["line"] in function(REPOSITORY / entry["file"], entry["function"])
    assert entry["line"] != entry["mutated"]
    assert len(entry["reason"].split()) > 3


def test_another_text_of_the_same_error_is_no_other_behaviour() -> None:
    def mutant(line: str, mutated: str) -> Mutant:
        return Mutant("file", "function", line, mutated)

    assert is_wording(mutant("raise PipelineError('a clip')", "raise PipelineError('XXa clipXX')"))
    assert not is_wording(mutant("raise PipelineError('a clip')", "raise PipelineError(None)"))
    assert not is_wording(mutant("raise PipelineError('a')", "raise FormatError('a')"))
    assert not is_wording(mutant("if a < b:", "if a <= b:"))
