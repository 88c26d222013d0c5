"""The workflow as a part of another one, and as the catalog of workflows deploys it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY
from tests.workflow.driving import results, tiny

# Other names for the rules, and a config that is a part of its own.
OTHER = """\
configfile: "other.yaml"


{module}


rule best:
    default_target: True
    input:
        "results/table.csv",
    output:
        "best.txt",
    shell:
        "tail -n 1 {{input}} > {{output}}"
"""


def write(folder: Path, **sections: str) -> None:
    snakefile = str(REPOSITORY / "workflow" / "Snakefile")
    page = (REPOSITORY / "docs/clusters.md").read_text()
    module = page.partition("```snakemake\n")[2].partition("```")[0]
    assert "path/to/avca_pipeline/workflow/Snakefile" in module
    module = module.replace("path/to/avca_pipeline/workflow/Snakefile", snakefile)
    (folder / "Snakefile").write_text(OTHER.format(module=module))
    (folder / "other.yaml").write_text(yaml.safe_dump({"avca": tiny(**sections)}))


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
    memory = folder / "results/records/digests.json"
    memory.unlink(missing_ok=True)
    write(folder)
    output = run(folder)
    assert memory.exists()  # what was read is not read again the next time
    assert "(Rule: best)" in output
    assert "(Rule: avca_" not in output
    assert (folder / "best.txt").read_text().startswith("tiny,built,both,hashed,avca")
    assert results(folder) == results(finished)


def test_a_folder_of_its_own(finished: Path, tmp_path: Path) -> None:
    """Where another workflow says that our results go, all go, those that only a job knows too."""
    write(tmp_path, results="inner/results")
    run(tmp_path, "inner/results/tiny/features/vggish/00001-of-00002.h5")
    made = results(tmp_path / "inner")
    for name, value in made.items():
        assert value == results(finished)[name]
    assert len(made) == 2
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert folders == [".snakemake", "inner"]


def test_what_the_catalog_asks_for() -> None:
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"]
    assert (REPOSITORY / "config" / "README.md").is_file()
    deployed = (REPOSITORY / "config" / "config.yaml").read_text()
    assert deployed == (REPOSITORY / "config.yaml").read_text()
