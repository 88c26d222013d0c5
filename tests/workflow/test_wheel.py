"""The package alone, as it is installed from a wheel that was built from the sdist."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.media.synthetic import ffmpeg


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; all else is that of the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    # Without a choice of its own, `build` builds the wheel from the sdist that it has built.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Not as a folder of installed packages, which would add the editable installation too.
    others = sysconfig.get_path("purelib")
    (site / "others.pth").write_text(f"import sys; sys.path.append({others!r})\n")
    avca = environment / "bin/avca"
    python = environment / "bin/python"
    avca.write_text(
        f"#!{python}\nimport sys\nfrom avca_pipeline.cli import main\nsys.exit(main())\n"
    )
    avca.chmod(0o755)
    return avca


def test_a_folder_of_clips_becomes_a_report(installed: Path, tmp_path: Path) -> None:
    """In an empty folder, by two commands."""

    def avca(*words: str) -> str:
        done = subprocess.run(
            [installed, *words],
            cwd=tmp_path,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    for hue, name in enumerate(("dog: barking", "rain", "sawing", "it's {odd}")):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for number in range(3):
            picture = f"testsrc=size=32x32:rate=10:duration=0.6,hue=h={80 * hue + 9 * number}"
            ffmpeg("-f", "lavfi", "-i", picture, tmp_path / "clips" / name / f"{number}.mkv")
    assert "have no sound" in avca("init", "folder", "clips", "--weights", "random")
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    config["models"]["avca"] |= {"epochs": 1, "batches_per_epoch": 2, "search": {}}
    config["experiment"]["seeds"] = [0]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    output = avca("run", "config.yaml", "--cores", "2")
    site = installed.parents[1]
    assert f"--snakefile {site}" in output.splitlines()[0]
    assert str(REPOSITORY) not in output.splitlines()[0]
    assert "dog: barking" in (tmp_path / "results/report.html").read_text()
    (row,) = (tmp_path / "results/table.csv").read_text().splitlines()[1:]
    assert row.startswith("mine,built,mine,")
