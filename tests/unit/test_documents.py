"""The documents name what is there: rooms, files, modules, commands."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "avca_pipeline"
ARCHITECTURE = REPOSITORY / "docs/architecture.md"
DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "config/README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
# What a run makes, and what a user has: not in the repository.
ELSEWHERE = ("results/", "data/")


def rooms() -> set[str]:
    """Returns what ``ls avca_pipeline`` shows, but for Python's own names."""
    return {path.stem for path in PACKAGE.iterdir() if is_room(path)}


def is_room(path: Path) -> bool:
    """Returns whether a part of the package is none of Python's own."""
    return not path.name.startswith("__") and path.name != "py.typed"


def blocks(document: Path) -> list[str]:
    """Returns the blocks of code of a document."""
    return re.findall(r"^```\w*\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


def test_the_tree_of_the_parts_is_the_package() -> None:
    (tree,) = (block for block in blocks(ARCHITECTURE) if block.startswith("avca_pipeline/\n"))
    names = re.findall(r"[├└]── (\S+)", tree)
    assert len(set(names)) == len(names)
    assert set(names) == {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if is_room(path)
    }


def test_the_drawing_of_the_rooms_is_what_the_import_contract_says() -> None:
    """From top to bottom, and each room once."""
    drawing = next(block for block in blocks(ARCHITECTURE) if block.startswith(" cli"))
    row_of = {
        name: number
        for number, line in enumerate(drawing.splitlines())
        for name in re.split(r"\s+", line[:43].strip())
        if name not in ("", "│")
    }
    assert set(row_of) == rooms()
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    order: list[set[str]] = []
    for layer in layers:
        names = {name.split(".")[1] for name in re.split(r" [|:] ", layer)}
        # Modules of these two rooms lie in several layers: the highest one is drawn.
        drawn = {name for name in names if not any(name in above for above in order)}
        if drawn:
            order.append(drawn)
    assert set().union(*order) == rooms()
    for above, below in pairwise(order):
        highest, lowest = max(row_of[name] for name in above), min(row_of[name] for name in below)
        assert highest < lowest, (above, below)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(document: Path) -> None:
    text = document.read_text()
    for name in re.findall(r"`([\w.-]+/[\w./-]*)`", text):
        if name.startswith(ELSEWHERE):
            continue
        if name.split("/")[0] in {path.name for path in REPOSITORY.iterdir()}:
            assert (REPOSITORY / name).exists(), name
        elif name.split("/")[0] in rooms() and name.endswith((".py", ".json", ".csv", ".toml")):
            assert (PACKAGE / name).exists(), name
    for module in re.findall(r"-m (tests[\w.]*|avca_pipeline[\w.]*)", text):
        assert importlib.util.find_spec(module), module
    for target in re.findall(r"`make ([a-z]+)", text):
        assert f"\n{target}:" in (REPOSITORY / "Makefile").read_text(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_links_to_is_there(document: Path) -> None:
    """On the pages of a repository; of those in docs/ the site checks anchors, too."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_pictures_are_small() -> None:
    """Each clone of the repository has them, in every version."""
    pictures = list((REPOSITORY / "docs" / "images").iterdir())
    assert pictures
    assert all(picture.stat().st_size < 150_000 for picture in pictures)


def test_the_table_of_files_names_modules_that_read_them() -> None:
    modules = re.findall(r"^\| .* \| `(\w+)` \| ", ARCHITECTURE.read_text(), re.MULTILINE)
    assert len(modules) > 8
    for module in modules:
        assert (PACKAGE / "artifacts" / f"{module}.py").exists(), module


def test_a_commit_is_checked_as_make_lint_checks() -> None:
    """But for Snakemake's linter, which takes seconds, and each file alone where that is enough."""
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    entries = {hook["entry"] for repository in hooks for hook in repository["hooks"]}
    recipe = re.search(r"^lint: setup\n((?:\t.*\n)+)", (REPOSITORY / "Makefile").read_text(), re.M)
    assert recipe is not None
    commands = {line.strip().removesuffix(" .") for line in recipe[1].splitlines()}
    wanted = {command.replace("$(BIN)", ".venv/bin") for command in commands}
    assert entries == wanted - {".venv/bin/snakemake --lint"}
