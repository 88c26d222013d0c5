"""The lock, the conda environment and the container recipe say the same."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from types import ModuleType, SimpleNamespace

import tqdm

import avca_pipeline
from tests.conftest import REPOSITORY


def update() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update", REPOSITORY / "envs" / "update.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_conda_environment_has_the_locked_versions() -> None:
    written = (REPOSITORY / "envs" / "avca.yaml").read_text()
    assert written == update().environment(REPOSITORY)


def test_lock_has_hashes_and_no_addresses() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    assert "://" not in lock
    packages = re.findall(r"^[a-z0-9].*==.*$", lock, flags=re.MULTILINE)
    assert packages
    assert all(line.endswith("\\") for line in packages)


def test_torch_trio_matches() -> None:
    versions = update().locked((REPOSITORY / "requirements.lock").read_text())
    minor = versions["torch"].split(".")[1]
    assert versions["torchaudio"] == versions["torch"]
    assert int(versions["torchvision"].split(".")[1]) == int(minor) + 15


def test_container_adds_nothing_else_than_what_is_locked() -> None:
    lock, more = (
        update().locked((REPOSITORY / name).read_text())
        for name in ("requirements.lock", "envs/container.lock")
    )
    assert "snakemake-storage-plugin-s3" in more
    assert {name: lock[name] for name in more if name in lock}.items() <= more.items()


def test_container_recipe() -> None:
    """What can be known of it where nothing can build it."""
    recipe = (REPOSITORY / "envs" / "Dockerfile").read_text().replace("\\\n", " ")
    commands = [line for line in recipe.splitlines() if line and not line.startswith("#")]
    python = re.findall(r"python=(\S+)", (REPOSITORY / "envs" / "avca.yaml").read_text())[0]
    assert commands[0].startswith(f"FROM python:{python}-slim")
    ignored = (REPOSITORY / "envs" / "Dockerfile.dockerignore").read_text().splitlines()
    for command in commands:
        if command.startswith("COPY "):
            for source in command.split()[1:-1]:
                assert (REPOSITORY / source).exists(), command
                assert f"!{source.split('/')[0]}" in ignored, command
    installed = [
        part
        for command in commands
        for part in command.split("&&")
        if re.search(r"\bpip (install|download)\b", part)
    ]
    assert len(installed) == 4
    for part in installed:
        assert ("--require-hashes" in part) != ("--no-build-isolation /tmp/avca" in part), part
    assert commands.index("USER 1000") < len(commands) - 1
    assert commands[-1].startswith("CMD ")


def test_conda_environment_gets_the_package_that_snakemake_runs(tmp_path: Path) -> None:
    """The script is run as Snakemake does it: a copy, elsewhere, in the activated environment."""
    from snakemake.deployment.conda import Conda

    environment, conda = tmp_path / "env_", tmp_path / "conda"
    venv.create(environment, symlinks=True)
    (conda / "bin").mkdir(parents=True)
    (conda / "bin" / "activate").write_text('source "$1/bin/activate"\n')
    script = Path(f"{environment}.post-deploy.sh")
    shutil.copy(REPOSITORY / "envs" / "avca.post-deploy.sh", script)
    interpreter = script.read_text().splitlines()[0].removeprefix("#!")
    as_snakemake = SimpleNamespace(bin_path=lambda: str(conda / "bin"))

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", Conda.shellcmd(as_snakemake, str(environment), command)],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(f"{interpreter} {script}")
    assert done.returncode == 0, done.stderr
    own = run("command -v avca && env -u PYTHONPATH python -P -c 'import avca_pipeline'")
    assert own.returncode == 0, own.stderr
    assert own.stdout.splitlines() == [str(environment / "bin" / "avca")]
    linked = next(environment.glob("lib/python*/site-packages/avca_pipeline"))
    assert linked.resolve() == Path(avca_pipeline.__file__).parent.resolve()
    # Its dependencies are in the environment's own list, which nothing has installed here.
    version = run(f"PYTHONPATH={Path(tqdm.__file__).parents[1]} avca --version")
    assert version.stdout.strip() == f"avca {avca_pipeline.__version__}", version.stderr


def test_conda_environment_without_snakemakes_python_says_so(tmp_path: Path) -> None:
    (tmp_path / "bash").symlink_to(shutil.which("bash") or "")
    done = subprocess.run(
        [tmp_path / "bash", REPOSITORY / "envs" / "avca.post-deploy.sh"],
        cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("avca: error: no Python on the PATH has avca_pipeline")
