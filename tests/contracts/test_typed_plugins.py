"""What mypy says of plugins: each has its kind's protocol, and is used by it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from avca_pipeline import registry
from avca_pipeline.models import ModelSettings
from tests.conftest import REPOSITORY

# Names of the type variables of each protocol; both are chosen so that the plugin fits, or not.
VARIABLES = {
    kind: "SettingsT, NetworkT" if kind in ("backbones", "models") else "SettingsT"
    for kind in registry.KINDS
}
FITS = '''"""Every plugin of a kind is given to a function that takes what fits the protocol."""
{imports}
from avca_pipeline.{kind} import {protocol}, {variables}


def fits(plugin: {protocol}[{variables}]) -> tuple[{protocol}[{variables}], list[{first}]]:
    raise NotImplementedError


{calls}
'''
OVER_TIME = """

def over_time(plugin: ModelOverTime[SettingsT, NetworkT]) -> tuple[
    ModelOverTime[SettingsT, NetworkT], list[SettingsT]
]:
    raise NotImplementedError


{calls}
"""

DATASET = '''"""A dataset of a package."""

from pathlib import Path

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import defaults
from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """Nothing to choose."""


remarks = defaults.remarks
find = defaults.find
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    return []


def clips(settings: Settings) -> list[Clip]:
    return []


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int) -> Path:
    return folder
'''
USE = """import plugin
from avca_pipeline.datasets import Dataset

dataset: Dataset[plugin.Settings] = plugin
"""
WRONG_PLUGINS = {
    "lacks a function": ("def clips(", "def clip("),
    "has an argument too many": ("max_bytes: int)", "max_bytes: int, folders: int)"),
    "returns another type": (
        "def inputs(settings: Settings) -> list[Path]:\n    return []",
        "def inputs(settings: Settings) -> list[str]:\n    return []",
    ),
    "takes other settings": (
        "def inputs(settings: Settings)",
        "def inputs(settings: int)",
    ),
}
WRONG_CALLS = {
    'registry.load("models", "avca").stepz()': 'has no attribute "stepz"',
    'registry.load("datasets", "demo").download_all()': 'has no attribute "download_all"',
    'registry.load("backbones", "c3d").spec()': 'Missing positional argument "settings"',
    'registry.load("text_embeddings", "hashed").vectors(1, ["a"])': 'Argument 1 to "vectors"',
    'registry.load("splits", "built").inputs("a")': 'Argument 1 to "inputs"',
    'registry.load("backbone", "c3d")': "No overload variant",
}


def mypy(folder: Path, *names: str) -> dict[str, list[str]]:
    """Returns the errors in Python files, by the name of the file."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--config-file", "pyproject.toml",
            "--no-error-summary", "--hide-error-context", "--no-color-output", "--no-pretty",
            *(str(folder / name) for name in names),
        ],
        cwd=REPOSITORY, env={"PATH": "", "MYPYPATH": str(REPOSITORY)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors: dict[str, list[str]] = {name: [] for name in names}
    for path, message in re.findall(r"^(.+?):\d+: error: (.*)$", done.stdout, re.MULTILINE):
        if Path(path).name in errors:
            errors[Path(path).name].append(message)
    return errors


def looks_at_time(kind: registry.Kind, name: str) -> bool:
    settings = registry.load(kind, name).Settings
    return issubclass(settings, ModelSettings) and settings.over_time


def test_every_plugin_has_its_protocol(tmp_path: Path) -> None:
    for kind, protocol in registry.PROTOCOLS.items():
        names = registry.names(kind)
        over_time = [name for name in names if looks_at_time(kind, name)]
        imported = ["ModelOverTime", *names] if over_time else names
        text = FITS.format(
            kind=kind, protocol=protocol, variables=VARIABLES[kind],
            first=VARIABLES[kind].split(",")[0],
            imports=f"from avca_pipeline.{kind} import {', '.join(imported)}",
            calls="\n".join(f"fits({name})" for name in names if name not in over_time),
        )  # fmt: skip
        if over_time:
            text += OVER_TIME.format(calls="\n".join(f"over_time({name})" for name in over_time))
        (tmp_path / f"all_{kind}.py").write_text(text)
    names = [f"all_{kind}.py" for kind in registry.KINDS]
    assert mypy(tmp_path, *names) == {name: [] for name in names}


def test_a_wrong_call_of_a_plugin_is_an_error(tmp_path: Path) -> None:
    files = {f"call_{number}.py": call for number, call in enumerate(WRONG_CALLS)}
    for name, call in files.items():
        (tmp_path / name).write_text(f"from avca_pipeline import registry\n\n{call}\n")
    errors = mypy(tmp_path, *files)
    for name, call in files.items():
        assert len(errors[name]) == 1, (call, errors[name])
        assert WRONG_CALLS[call] in errors[name][0]


@pytest.mark.parametrize("mistake", ["", *WRONG_PLUGINS])
def test_a_plugin_that_does_not_fit_is_an_error(mistake: str, tmp_path: Path) -> None:
    right, wrong = WRONG_PLUGINS.get(mistake, ("", ""))
    assert right in DATASET
    (tmp_path / "plugin.py").write_text(DATASET.replace(right, wrong) if mistake else DATASET)
    (tmp_path / "use.py").write_text(USE)
    errors = mypy(tmp_path, "plugin.py", "use.py")
    assert errors["plugin.py"] == []
    assert [message for message in errors["use.py"] if "Dataset[" in message] == errors["use.py"]
    assert len(errors["use.py"]) == bool(mistake)
