"""The plugins of ``docs/adding.md``, installed as the package that the page describes."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from avca_pipeline.datasets import demo
from tests.conftest import REPOSITORY
from tests.packaging import install, with_packages
from tests.workflow.driving import planned, snakemake

MAX_LINES = 40
FENCE = re.compile(r"^`(?P<name>\S+)`:\n\n```\w+\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def files_of_the_page() -> dict[str, str]:
    """Returns the files that the page shows, by their names."""
    page = (REPOSITORY / "docs/adding.md").read_text(encoding="utf-8")
    return {match["name"]: match["text"] for match in FENCE.finditer(page)}


def modules_of_the_page() -> dict[str, str]:
    return {
        Path(name).stem: text for name, text in files_of_the_page().items() if name.endswith(".py")
    }


def install_the_page(site: Path, version: str = "") -> None:
    project = tomllib.loads(files_of_the_page()["pyproject.toml"])["project"]
    groups = project["entry-points"]
    install(
        site,
        project["name"],
        modules_of_the_page(),
        {
            group.removeprefix("avca_pipeline."): {
                name: value.removeprefix(f"{project['name']}.") for name, value in plugins.items()
            }
            for group, plugins in groups.items()
        },
        version or project["version"],
    )


def make_birds(folder: Path) -> None:
    """Makes videos of six birds, three recordings of each, with picture and sound."""
    settings = demo.Settings(num_classes=6, sources_per_class=3)
    folder.mkdir(parents=True)
    for clip in demo.clips(settings):
        words, _, recording = clip.source_id.rpartition("-s")
        if recording.isdigit():
            path = demo.locate(settings, clip, folder.parent / "demo")
            shutil.copy(path, folder / f"{words}_{recording}_1.mp4")


def test_each_plugin_of_the_page_is_short() -> None:
    modules = modules_of_the_page()
    assert sorted(modules) == ["bird_calls", "regression", "spectrum"]
    assert [name for name, text in modules.items() if len(text.splitlines()) > MAX_LINES] == []


def test_the_plugins_of_the_page_have_the_types_of_their_kinds(tmp_path: Path) -> None:
    install_the_page(tmp_path)
    (tmp_path / "use.py").write_text(
        """import torch
from avca_pipeline.backbones import Backbone
from avca_pipeline.datasets import Dataset
from avca_pipeline.models import Model
from birds import bird_calls, regression, spectrum

dataset: Dataset[bird_calls.Settings] = bird_calls
backbone: Backbone[spectrum.Settings, torch.nn.Linear] = spectrum
method: Model[regression.Settings, torch.nn.Module] = regression
"""
    )
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--config-file", "pyproject.toml",
            str(tmp_path / "birds"), str(tmp_path / "use.py"),
        ],
        cwd=REPOSITORY, env=with_packages(tmp_path) | {"MYPYPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_workflow_runs_with_the_plugins_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_the_page(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    folder = tmp_path / "run"
    make_birds(folder / "data/birds")
    config = yaml.safe_load(files_of_the_page()["config.yaml"]) | {"results": "results"}
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(folder / "results/table.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["model"] == "regression"
    assert 0 <= float(row["hm_mean_percent"]) <= 100
    assert planned(folder, config) == {}
    shutil.rmtree(tmp_path / "site")
    install_the_page(tmp_path / "site", version="2.0")
    assert {"fetch", "extract", "train_stage1"} <= planned(folder, config).keys()
