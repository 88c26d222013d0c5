"""What the workflow does with a config that says two things."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.workflow.driving import snakemake, tiny

TWICE = yaml.safe_dump(tiny()) + "\nmodels:\n  avca: {epochs: 1}\n"


def test_a_key_given_twice_stops_before_anything_runs(tmp_path: Path) -> None:
    done = snakemake(tmp_path, TWICE, "--dry-run")
    assert done.returncode == 1
    assert "avca: error: " in done.stderr
    assert "the key 'models' is given twice" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TWICE, "the key 'models' is given twice"),
        ("__use_yte__: true\n?open('ran', 'w').close(): 1\n", "templates run code"),
    ],
    ids=["twice", "template"],
)
def test_the_config_in_the_working_folder_is_read_before_snakemake_reads_it(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "workflow" / "Snakefile",
         "--directory", tmp_path, "--cores", "1", "--dry-run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "avca: error: config.yaml: " in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_folder_without_a_config_is_one_line_with_both_options(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "workflow" / "Snakefile",
         "--directory", tmp_path, "--cores", "1", "--dry-run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "config.yaml" in line]
    assert line.startswith(f"avca: error: {tmp_path / 'config.yaml'}: no such file")
    assert "--configfile" in line
    assert "--directory" in line


THREE_MISTAKES = [
    "feature_sets.both.video: 'frame' is not under backbones or imported; did you mean 'frames'?",
    "models.avca: unknown key 'epoch'; did you mean 'epochs'?",
    "splits.built.seed: expected a whole number, found 'x'",
]


def three_mistakes() -> str:
    config = tiny()
    config["feature_sets"]["both"]["video"] = "frame"
    config["models"]["avca"]["epoch"] = 3
    config["splits"]["built"]["seed"] = "x"
    return yaml.safe_dump(config)


def test_three_mistakes_are_the_last_three_lines_on_the_screen(tmp_path: Path) -> None:
    done = snakemake(tmp_path, three_mistakes(), "--dry-run")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    expected = [f"avca: error: {line}" for line in THREE_MISTAKES]
    assert sorted(done.stderr.splitlines()[-3:]) == expected


def test_the_command_check_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(three_mistakes())
    done = subprocess.run(
        [sys.executable, "-m", "avca_pipeline.cli", "check", tmp_path / "config.yaml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    expected = [f"avca check: error: {line}" for line in THREE_MISTAKES]
    assert sorted(done.stderr.splitlines()) == expected
