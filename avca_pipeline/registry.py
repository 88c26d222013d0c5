"""Finds plugins: a plugin is a file, its name the file's name, its folder the key in the config."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias, overload

from pydantic import BaseModel, ConfigDict, Field, field_validator

from avca_pipeline.errors import PipelineError, abbreviated

if TYPE_CHECKING:
    from avca_pipeline.backbones import AnyBackbone
    from avca_pipeline.datasets import AnyDataset
    from avca_pipeline.models import AnyModel
    from avca_pipeline.text_embeddings import AnyTextEmbedding

Kind: TypeAlias = Literal["datasets", "backbones", "text_embeddings", "splits", "models"]
FOLDERS: tuple[Kind, ...] = ("datasets", "backbones", "text_embeddings", "splits", "models")
NO_PLUGINS = ("defaults",)
"""Modules of the plugins' folders that have what several plugins share, and are no plugins."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every generator of random numbers takes: torch's, NumPy's and Python's."""


class PluginSettings(BaseModel):
    """Base of every plugin's ``Settings``: unknown keys are errors, values never change.

    The text below a field is its description: in the documentation, in the schema of the config,
    and in what is said where the key is missing. A path may begin with ``~``, the home folder.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*", mode="after")
    @classmethod
    def _whole_paths(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(whole_path(item) if isinstance(item, Path) else item for item in value)
        return whole_path(value) if isinstance(value, Path) else value


class Plugin(Protocol):
    """What the modules of all plugins have in common."""

    @property
    def Settings(self) -> type[PluginSettings]:
        """The class of what a user may set."""


def whole_path(path: Path) -> Path:
    """Returns a user's path with the home folder in the place of ``~``.

    Raises:
        ValueError: it has a NUL in it, or there is no such home folder.
    """
    if "\0" in str(path):
        raise ValueError("a path has no NUL character in it")
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such home folder; write the whole path") from error
    try:
        parts = [len(part.encode()) for part in path.parts]
    except UnicodeEncodeError as error:
        raise ValueError("a path is written in UTF-8; rename what is not") from error
    if max(parts, default=0) > 255 or sum(parts) + len(parts) > 4000:
        raise ValueError("no file system has names or paths as long as that")
    return path


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


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean …?" or the list of what is known, to end an error message with."""
    known = sorted(known)
    name = name[:100]  # Comparing takes time with the square of the length.
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
