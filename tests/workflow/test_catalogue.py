"""The recipe of the catalogue of workflows: Snakemake alone is installed, and conda for the jobs.

Snakemake fetches the workflow from a repository; here git takes a copy of this one in its place. A
program stands in for conda: it makes an environment with the packages that the tests have, but
without this package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# As snakedeploy writes it.
SNAKEFILE = """\
from snakemake.utils import min_version

min_version("6.10.0")


configfile: "config/config.yaml"


module avca_pipeline:
    snakefile:
        github("somebody/avca_pipeline", path="workflow/Snakefile", tag="v1")
    config:
        config


use rule * from avca_pipeline
"""
# A Python without the package and the libraries that only stages need.
ONLY_SNAKEMAKE = """\
import sys
from importlib.machinery import PathFinder

ABSENT = {absent!r}


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in ABSENT else super().find_spec(name, path, target)


if sys.prefix == {prefix!r}:
    others = [finder for finder in sys.meta_path if "__editable__" not in str(finder)]
    sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in others]
"""
OF_STAGES = (
    "av", "h5py", "librosa", "safetensors", "scipy", "sklearn", "soxr", "timm",
    "tokenizers", "torch", "torchaudio", "torchvision", "transformers", "wordllama",
)  # fmt: skip
CONDA = """\
#!{python}
import sys, venv
from pathlib import Path

words = " ".join(sys.argv[1:])
if words == "info --json":
    print('{{"conda_prefix": "{base}", "platform": "linux-64"}}')
elif words == "--version":
    print("conda 25.1.0")
elif words == "config --get channel_priority --json":
    print('{{"get": {{"channel_priority": "strict"}}}}')
elif words.startswith("env create "):
    prefix = Path(sys.argv[sys.argv.index("--prefix") + 1])
    venv.create(prefix, symlinks=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    (site / "others.pth").write_text("import sys; sys.path.append({site!r})")
"""


def repository(folder: Path) -> None:
    """Makes a repository of the files of this one, with the tag v1."""
    folder.mkdir()
    for name in ("avca_pipeline", "config", "config.yaml", "envs", "workflow"):
        source = REPOSITORY / name
        copy = shutil.copyfile if source.is_file() else shutil.copytree
        copy(source, folder / name)
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "all"), ("tag", "v1")):
        subprocess.run(["git", *words], cwd=folder, check=True)


def only_snakemake(folder: Path, *more: str) -> dict[str, str]:
    """Returns an environment whose Python has none of what stages need, nor ``more``."""
    folder.mkdir()
    text = ONLY_SNAKEMAKE.format(absent={*OF_STAGES, *more}, prefix=sys.prefix)
    (folder / "sitecustomize.py").write_text(text)
    return os.environ | {"PYTHONPATH": str(folder)}


def snakemake(
    folder: Path, environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def deployed(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The folder that the recipe makes, and the environment that it is used in."""
    repository(tmp_path / "repository")
    folder, base = tmp_path / "work", tmp_path / "conda"
    (folder / "config").mkdir(parents=True)
    (folder / "Snakefile").write_text(SNAKEFILE)
    shutil.copyfile(REPOSITORY / "config/config.yaml", folder / "config/config.yaml")
    (base / "bin").mkdir(parents=True)
    site = sysconfig.get_path("purelib")
    conda = CONDA.format(base=base, python=sys.executable, site=site)
    (base / "bin/conda").write_text(conda)
    (base / "bin/conda").chmod(0o755)
    (base / "bin/activate").write_text('source "$1/bin/activate"\n')
    environment = only_snakemake(tmp_path / "light") | {
        "PATH": os.pathsep.join([str(base / "bin"), os.environ["PATH"]]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path / 'repository'}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/somebody/avca_pipeline",
    }
    return folder, environment


def test_the_recipe_of_the_catalogue(deployed: tuple[Path, dict[str, str]]) -> None:
    """The rules are read, conda makes the environment, and its ``avca`` runs a stage."""
    folder, environment = deployed
    done = snakemake(folder, environment, "results/demo/manifest.csv", "--sdm", "conda")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((folder / "results/demo/manifest.csv").read_text().splitlines()) == 120
    (own,) = folder.glob(".snakemake/conda/*/bin/avca")
    assert own.is_file()
    (package,) = folder.glob(".snakemake/conda/*/lib/python*/site-packages/avca_pipeline")
    assert folder / ".snakemake/avca" in package.resolve().parents


def test_without_a_library_that_the_rules_need(tmp_path: Path) -> None:
    """They are read from a folder whose package is not installed."""
    environment = only_snakemake(tmp_path / "light", "numpy")
    (tmp_path / "config.yaml").symlink_to(REPOSITORY / "config.yaml")
    snakefile = str(REPOSITORY / "workflow/Snakefile")
    done = snakemake(tmp_path, environment, "--snakefile", snakefile, "-n")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("avca: error: Snakemake's Python has no numpy, which the rules need")
    assert f"{sys.executable} -m pip install" in line


def test_without_a_command_for_the_jobs(tmp_path: Path) -> None:
    """Neither beside Snakemake's Python, nor in an environment of conda."""
    environment = only_snakemake(tmp_path / "light")
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    start = "import sys; sys.executable = sys.argv.pop(1); from snakemake.cli import main; main()"
    (tmp_path / "config.yaml").symlink_to(REPOSITORY / "config.yaml")
    done = subprocess.run(
        [sys.executable, "-c", start, python, "--snakefile", REPOSITORY / "workflow/Snakefile",
         "--cores", "1", "results/demo/manifest.csv"],
        cwd=tmp_path, env=environment | {"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert re.match(r"avca: error: there is no command avca beside .*; install the package", line)
