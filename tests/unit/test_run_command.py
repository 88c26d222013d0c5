"""``avca run``: which command line of Snakemake a user's words become."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from avca_pipeline import cli
from avca_pipeline.commands import run
from tests.conftest import REPOSITORY

BEGINNING = [sys.executable, "-m", "snakemake"]
SNAKEFILE = ["--snakefile", str(REPOSITORY / "workflow/Snakefile")]
ALL = ["--cores", "all"]
QUIET = ["--quiet", "host", "reason", "rules"]


@pytest.fixture(autouse=True)
def in_a_folder_with_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("config.yaml", "mine.yml"):
        Path(name).write_text("results: x\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [*SNAKEFILE, "--configfile", "config.yaml", *ALL, *QUIET]),
        ("mine.yml", [*SNAKEFILE, "--configfile", "mine.yml", *ALL, *QUIET]),
        ("mine.yml features", ["features", *SNAKEFILE, "--configfile", "mine.yml", *ALL, *QUIET]),
        ("features mine.yml", ["features", *SNAKEFILE, "--configfile", "mine.yml", *ALL, *QUIET]),
        ("-n features mine.yml", ["features", *SNAKEFILE, "--configfile", "mine.yml", *ALL, "-n"]),
        (
            "--cores 2 mine.yml -p a/features features",
            [
                "a/features",
                "features",
                *SNAKEFILE,
                "--configfile",
                "mine.yml",
                "--cores",
                "2",
                "-p",
            ],
        ),
        # The same word as a target and as the value of an option.
        (
            "features --until features -- mine.yml",
            [
                "features",
                *SNAKEFILE,
                "--configfile",
                "mine.yml",
                *ALL,
                *QUIET,
                "--until",
                "features",
            ],
        ),
        ("--configfile a.yaml -j1", [*SNAKEFILE, *QUIET, "--configfile", "a.yaml", "-j1"]),
        (
            "--workflow-profile slurm mine.yml",
            [*SNAKEFILE, "--configfile", "mine.yml", "--workflow-profile", "slurm"],
        ),
    ],
)
def test_words_in_any_order(words: str, expected: list[str]) -> None:
    assert run.command_line(words.split()) == [*BEGINNING, *expected]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("confg.yaml", "'confg.yaml': no such file; did you mean 'config.yaml'?"),
        ("--corse 2", "unrecognized arguments: --corse; 'snakemake --help' lists the options"),
        ("--cores two", "Error parsing number of cores (--cores, -c): must be integer or 'all'"),
        ("config.yaml mine.yml", "found 2 configs; name one"),
        ("mine.yml --configfile config.yaml", "found 2 configs; name one"),
        ("-n -R evaluate mine.yml", "'mine.yml': an option before it takes all words that follow;"),
        ("--config a=1 mine.yml", "'mine.yml': an option before it takes all words that follow;"),
        ("--resources gpu=1 mine.yml", "an option cannot be read ("),
        ("tab.yaml", "tab.yaml: line 2: cannot be read as YAML: a tab begins here; indent with"),
    ],
)
def test_a_mistake_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tab.yaml").write_text("datasets:\n\tdemo: {}\n")
    assert cli.main(["run", *words.split()]) == 1
    found = capsys.readouterr().err.splitlines()
    assert len(found) == 1
    assert found[0].startswith(f"avca run: error: {line}")


def test_no_config_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").unlink()
    assert cli.main(["run"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"avca run: error: {tmp_path}/config.yaml: no such file; name the config"
    )
