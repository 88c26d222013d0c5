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
