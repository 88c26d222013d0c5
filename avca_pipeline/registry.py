"""Finds and loads plugins: those of this package, and those that other packages register.

Our own plugin is a file: its folder is the kind of plugin, which is a key of the config, and its
name is the file's. Another package registers a module by an entry point of the group
``avca_pipeline.<kind>``, whose name is the plugin's.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, overload

from avca_pipeline.errors import PipelineError, abbreviated, one_line
from avca_pipeline.settings import PluginSettings, nearest

if TYPE_CHECKING:
    from avca_pipeline.backbones import AnyBackbone
    from avca_pipeline.datasets import AnyDataset
    from avca_pipeline.models import AnyModel
    from avca_pipeline.splits import AnySplit
    from avca_pipeline.text_embeddings import AnyTextEmbedding

Kind: TypeAlias = Literal["datasets", "backbones", "text_embeddings", "splits", "models"]
PROTOCOLS: dict[Kind, str] = {
    "datasets": "Dataset",
    "backbones": "Backbone",
    "text_embeddings": "TextEmbedding",
    "splits": "Split",
    "models": "Model",
}
"""Kind of plugin to the class, in the package of that name, that says what a plugin must have."""
KINDS = tuple(PROTOCOLS)
NO_PLUGINS = {"defaults", "frames_on"}
"""Modules of the plugins' folders that have what several plugins share, and are no plugins."""


class Plugin(Protocol):
    """What the modules of all plugins have in common."""

    @property
    def Settings(self) -> type[PluginSettings]:
        """The class of what a user may set."""


def names(kind: Kind) -> list[str]:
    """Returns the names of the plugins of a kind, sorted.

    Raises:
        PipelineError: a package registers a name that another plugin has.
    """
    return sorted([*_own_names(kind), *_registered(kind)])


@overload
def load(kind: Literal["datasets"], name: str) -> AnyDataset: ...


@overload
def load(kind: Literal["backbones"], name: str) -> AnyBackbone: ...


@overload
def load(kind: Literal["text_embeddings"], name: str) -> AnyTextEmbedding: ...


@overload
def load(kind: Literal["splits"], name: str) -> AnySplit: ...


@overload
def load(kind: Literal["models"], name: str) -> AnyModel: ...


@overload
def load(kind: Kind, name: str) -> Plugin: ...


def load(kind: Kind, name: str) -> Any:
    """Imports a plugin.

    Args:
        kind: a key of the config that names plugins.
        name: of the plugin.

    Raises:
        PipelineError: there is no such plugin, and the message names the nearest one; or it is a
            package's that cannot be imported, or that lacks a part of the contract.
    """
    registered = _registered(kind)
    if name in _own_names(kind):
        return importlib.import_module(f"avca_pipeline.{kind}.{name}")
    if name not in registered:
        raise PipelineError(f"{kind}: no plugin {abbreviated(name)}; {nearest(name, names(kind))}")
    entry_point = registered[name]
    label = f"{kind}: plugin {name!r} of the package {_package(entry_point)}"
    try:
        plugin = entry_point.load()
    except Exception as error:  # A package may raise anything while it is imported.
        raise PipelineError(
            f"{label}: cannot be imported ({type(error).__name__}: {one_line(str(error))}); "
            "update the package or remove it"
        ) from error
    missing = [member for member in _members(kind) if not hasattr(plugin, member)]
    if missing:
        raise PipelineError(
            f"{label}: lacks {', '.join(missing)}; `avca_pipeline.{kind}` says what a plugin must "
            "have"
        )
    if not (isinstance(plugin.Settings, type) and issubclass(plugin.Settings, PluginSettings)):
        raise PipelineError(f"{label}: its Settings are no class of PluginSettings")
    return plugin


def package(kind: Kind, name: str) -> str:
    """Returns name and version of the package that registers a plugin; nothing for our own."""
    registered = _registered(kind)
    return _package(registered[name]) if name in registered else ""


@functools.cache
def _own_names(kind: Kind) -> frozenset[str]:
    folder = importlib.import_module(f"avca_pipeline.{kind}").__path__
    names = {module.name for module in pkgutil.iter_modules(folder)}
    return frozenset(name for name in names - NO_PLUGINS if not name.startswith("_"))


@functools.cache
def _registered(kind: Kind) -> dict[str, EntryPoint]:
    """Returns the plugins that installed packages register, by name."""
    registered: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=f"avca_pipeline.{kind}"):
        name = entry_point.name
        other = f"the package {_package(registered[name])}" if name in registered else ""
        if name in _own_names(kind):
            other = "avca_pipeline itself"
        if other:
            raise PipelineError(
                f"{kind}: the package {_package(entry_point)} registers the plugin {name!r}, which "
                f"{other} has too; remove the package, or rename its entry point"
            )
        registered[name] = entry_point
    return registered


def _package(entry_point: EntryPoint) -> str:
    distribution = entry_point.dist
    return f"{distribution.name} {distribution.version}" if distribution else entry_point.value


def _members(kind: Kind) -> list[str]:
    """Returns what the protocol of a kind asks of a plugin."""
    protocol = getattr(importlib.import_module(f"avca_pipeline.{kind}"), PROTOCOLS[kind])
    members = {member for part in protocol.__mro__ for member in vars(part)}
    return sorted(member for member in members if not member.startswith("_"))
