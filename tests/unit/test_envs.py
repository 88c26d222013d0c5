"""The lock, the conda environment and the container recipe say the same."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

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
    assert all(line.endswith("\\") for line in packages)


def test_torch_trio_matches() -> None:
    versions = update().locked((REPOSITORY / "requirements.lock").read_text())
    minor = versions["torch"].split(".")[1]
    assert versions["torchaudio"] == versions["torch"]
    assert int(versions["torchvision"].split(".")[1]) == int(minor) + 15


def test_container_installs_the_lock() -> None:
    recipe = (REPOSITORY / "envs" / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in recipe
    assert "python:3.11" in recipe
