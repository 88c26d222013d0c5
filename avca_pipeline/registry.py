"""Finds plugins: a plugin is a file, its name the file's name, its folder the key in the config."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from pydantic import BaseModel, ConfigDict

from avca_pipeline.errors import PipelineError

FOLDERS = ("datasets", "backbones", "text_embeddings", "splits", "models")


class PluginSettings(BaseModel):
    """Base of every plugin's ``Settings``: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def names(folder: str) -> list[str]:
    """Returns the names of the plugins in one of `FOLDERS`, sorted."""
    package = importlib.import_module(f"avca_pipeline.{folder}")
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    )


def load(folder: str, name: str) -> ModuleType:
    """Imports the plugin ``name`` of ``folder``.

    Raises:
        PipelineError: there is no such plugin; the message names the nearest one.
    """
    known = names(folder)
    if name not in known:
        raise PipelineError(f"{folder}: no plugin {name!r}; {nearest(name, known)}")
    return importlib.import_module(f"avca_pipeline.{folder}.{name}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean …?" or the list of what is known, to end an error message with."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
