"""The workflow as a part of another one, and as the catalog of workflows deploys it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY
from tests.workflow.driving import results, tiny

# Names, a config of its own and a folder of its own: all that another workflow may want.
OTHER = """\
configfile: "other.yaml"


module avca:
    snakefile:
        {snakefile!r}
    config:
        config["avca"]
    prefix:
        {prefix!r}


use rule * from avca as avca_*


rule best:
    default_target: True
    input:
        {table!r},
    output:
        "best.txt",
    shell:
        "tail -n 1 {{input}} > {{output}}"
"""


def write(folder: Path, prefix: str = "") -> None:
    text = OTHER.format(
        snakefile=str(REPOSITORY / "workflow" / "Snakefile"),
        prefix=prefix,
        table=f"{prefix}/results/table.csv".lstrip("/"),
    )
    if not prefix:
        text = text.replace("    prefix:\n        ''\n", "")
    (folder / "Snakefile").write_text(text)
    (folder / "other.yaml").write_text(yaml.safe_dump({"avca": tiny()}))


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_another_workflow_goes_on_from_what_is_there(finished: Path, folder: Path) -> None:
    """A workflow that imports ours finds the results of ours up to date, and adds its own."""
    (folder / "config.yaml").unlink()
    write(folder)
    output = run(folder)
    assert "(Rule: best)" in output
    assert "(Rule: avca_" not in output
    assert (folder / "best.txt").read_text().startswith("tiny,built,both,hashed,avca")
    assert results(folder) == results(finished)


def test_a_folder_of_its_own(finished: Path, tmp_path: Path) -> None:
    """Under a prefix all paths move, those that only a job knows too."""
    write(tmp_path, prefix="inner")
    features = "inner/results/tiny/features/vggish/00001-of-00002.h5"
    run(tmp_path, features)
    made = results(tmp_path / "inner")
    for name, value in made.items():
        assert value == results(finished)[name]
    assert len(made) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        ".snakemake",
        "inner",
    ]


def test_what_the_catalog_asks_for() -> None:
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"]
    assert (REPOSITORY / "config" / "README.md").is_file()
    deployed = (REPOSITORY / "config" / "config.yaml").read_text()
    assert deployed == (REPOSITORY / "config.yaml").read_text()
