"""The workflow file reads the settings of plugins at every start, and must not wait for torch."""

from __future__ import annotations

import subprocess
import sys

from avca_pipeline import registry
from tests.conftest import REPOSITORY

BUILDS_ALL_SETTINGS = """
import sys
from typing import get_args, get_origin, Literal
from avca_pipeline import registry

def value_for(key, annotation):
    if key == "parts":
        return [{"plugin": "hashed"}, {"plugin": "hashed"}]
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    return [] if get_origin(annotation) is tuple else "here"

for kind in registry.KINDS:
    for name in registry.names(kind):
        cls = registry.load(kind, name).Settings
        fields = {key: field for key, field in cls.model_fields.items() if field.is_required()}
        settings = cls(**{key: value_for(key, field.annotation) for key, field in fields.items()})
        heavy = {
            "torch", "torchvision", "torchaudio", "timm", "transformers", "av", "gensim",
        } & set(sys.modules)
        assert isinstance(settings, cls)
        print(kind, name, *sorted(heavy))
"""


def test_no_plugin_imports_torch_until_it_computes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILDS_ALL_SETTINGS],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plugins = [f"{kind} {name}" for kind in registry.KINDS for name in registry.names(kind)]
    assert done.stdout.splitlines() == plugins  # A line says which heavy packages are there, too.
