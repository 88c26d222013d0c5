"""Plugins that other packages register by entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.packaging import install, with_packages

LETTERS = '''"""Vectors made from the letters of a name."""

import numpy as np

from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """Nothing to choose."""


def inputs(settings):
    return []


def describe(settings):
    return "letters"


def vectors(settings, class_names):
    return np.array([[name.count(letter) for letter in "aeiou"] for name in class_names], "f4")
'''
KIND = "text_embeddings"

LOAD = f"""
import sys
from avca_pipeline import registry
from avca_pipeline.errors import PipelineError
try:
    plugin = registry.load("{KIND}", sys.argv[1])
    print(plugin.vectors(plugin.Settings(), ["aida"]).tolist())
    print(registry.names("{KIND}"))
    print(registry.package("{KIND}", sys.argv[1]))
except PipelineError as error:
    print(error)
"""


def load(site: Path, name: str) -> list[str]:
    """Returns what a process prints that loads a plugin and uses it, or its error."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, name],
        cwd=REPOSITORY, env=with_packages(site), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_registered_plugin_is_loaded_like_our_own(tmp_path: Path) -> None:
    install(tmp_path, "toy", {"letters": LETTERS}, {KIND: {"letters": "letters"}})
    vectors, names, package = load(tmp_path, "letters")
    assert vectors == "[[2.0, 0.0, 1.0, 0.0, 0.0]]"
    assert {"letters", "hashed"} <= set(eval(names))
    assert package == "toy 1.0"


def test_the_name_of_a_registered_plugin_is_proposed(tmp_path: Path) -> None:
    install(tmp_path, "toy", {"letters": LETTERS}, {KIND: {"letters": "letters"}})
    assert load(tmp_path, "leters") == [f"{KIND}: no plugin 'leters'; did you mean 'letters'?"]


def test_a_registered_plugin_cannot_hide_our_own(tmp_path: Path) -> None:
    install(tmp_path, "toy", {"letters": LETTERS}, {KIND: {"hashed": "letters"}})
    assert load(tmp_path, "hashed") == [
        f"{KIND}: the package toy 1.0 registers the plugin 'hashed', which avca_pipeline itself "
        "has too; remove the package, or rename its entry point"
    ]


def test_two_packages_cannot_register_one_name(tmp_path: Path) -> None:
    for package in ("toy", "game"):
        install(tmp_path, package, {"letters": LETTERS}, {KIND: {"letters": "letters"}})
    (line,) = load(tmp_path, "letters")
    assert line.startswith(f"{KIND}: the package ")
    assert "game 1.0" in line
    assert "toy 1.0" in line


BROKEN = {
    "cannot be imported (ModuleNotFoundError: No module named 'no_such_library'); update": (
        "import no_such_library\n"
    ),
    "cannot be imported (ValueError: two\\nlines); update": "raise ValueError('two\\nlines')\n",
    "lacks Settings, describe, inputs; `avca_pipeline.text_embeddings` says": (
        "def vectors(settings, class_names): ...\n"
    ),
    "its Settings are no class of PluginSettings": LETTERS.replace(
        "class Settings(PluginSettings)", "class Settings"
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_package_is_one_line(message: str, tmp_path: Path) -> None:
    install(tmp_path, "toy", {"letters": BROKEN[message]}, {KIND: {"letters": "letters"}})
    (line,) = load(tmp_path, "letters")
    assert line.startswith(f"{KIND}: plugin 'letters' of the package toy 1.0: {message}")


def test_a_broken_package_stops_a_command_in_one_line(tmp_path: Path) -> None:
    """The config names the plugin; others of the kind are not in the way."""
    install(tmp_path / "site", "toy", {"letters": "1 / 0\n"}, {KIND: {"letters": "letters"}})
    text = (REPOSITORY / "config.yaml").read_text(encoding="utf-8")
    for plugin, returncode in (("hashed", 0), ("letters", 1)):
        path = tmp_path / f"{plugin}.yaml"
        path.write_text(text.replace("hashed: {}", f"hashed: {{plugin: {plugin}}}"))
        assert f"plugin: {plugin}" in path.read_text()
        done = subprocess.run(
            [sys.executable, "-m", "avca_pipeline.cli", "check", str(path)],
            cwd=REPOSITORY, env=with_packages(tmp_path / "site"), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == returncode, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "toy 1.0" in done.stderr


REQUESTS = """
import sys
from avca_pipeline import config
from avca_pipeline.planning.requests import Requests
from avca_pipeline.stages import VERSIONS
requests = Requests(config.load(sys.argv[1]), VERSIONS)
for text_embedding in ("hashed", "letters"):
    request = requests("embed", "demo", text_embedding)
    print(request.plugin, request.package)
"""


def test_the_version_of_the_package_is_part_of_what_decides_a_result(tmp_path: Path) -> None:
    text = (REPOSITORY / "config.yaml").read_text(encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("  hashed: {}", "  hashed: {}\n  letters: {}"))
    for version in ("1.0", "1.1"):
        site = tmp_path / version
        install(site, "toy", {"letters": LETTERS}, {KIND: {"letters": "letters"}}, version)
        done = subprocess.run(
            [sys.executable, "-c", REQUESTS, str(path)],
            cwd=REPOSITORY, env=with_packages(site), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.splitlines() == ["hashed ", f"letters toy {version}"], done.stderr
