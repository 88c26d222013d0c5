"""Finds plugins: a plugin is a file, its name the file's name, its folder the key in the config."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, overload

from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.settings import PluginSettings, nearest

if TYPE_CHECKING:
    from avca_pipeline.backbones import AnyBackbone
    from avca_pipeline.datasets import AnyDataset
    from avca_pipeline.models import AnyModel
    from avca_pipeline.text_embeddings import AnyTextEmbedding

Kind: TypeAlias = Literal["datasets", "backbones", "text_embeddings", "splits", "models"]
FOLDERS: tuple[Kind, ...] = ("datasets", "backbones", "text_embeddings", "splits", "models")
NO_PLUGINS = ("defaults",)
"""Modules of the plugins' folders that have what several plugins share, and are no plugins."""


class Plugin(Protocol):
    """What the modules of all plugins have in common."""

    @property
    def Settings(self) -> type[PluginSettings]:
        """The class of what a user may set."""


def names(folder: Kind) -> list[str]:
    """Returns the names of the plugins in one of `FOLDERS`, sorted."""
    package = importlib.import_module(f"avca_pipeline.{folder}")
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and module.name not in NO_PLUGINS
    )


@overload
def load(folder: Literal["datasets"], name: str) -> AnyDataset: ...


@overload
def load(folder: Literal["backbones"], name: str) -> AnyBackbone: ...


@overload
def load(folder: Literal["text_embeddings"], name: str) -> AnyTextEmbedding: ...


@overload
def load(folder: Literal["splits"], name: str) -> Any: ...


@overload
def load(folder: Literal["models"], name: str) -> AnyModel: ...


@overload
def load(folder: Kind, name: str) -> Plugin: ...


def load(folder: Kind, name: str) -> Any:
    """Imports the plugin ``name`` of ``folder``.

    Raises:
        PipelineError: there is no such plugin; the message names the nearest one.
    """
    known = names(folder)
    if name not in known:
        raise PipelineError(f"{folder}: no plugin {abbreviated(name)}; {nearest(name, known)}")
    return importlib.import_module(f"avca_pipeline.{folder}.{name}")
