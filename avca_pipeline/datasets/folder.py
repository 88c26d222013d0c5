"""A folder of your own: one subfolder for each class, any media file in it is a clip."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator

from avca_pipeline.archives import MAX_BYTES
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import PipelineError
from avca_pipeline.registry import PluginSettings


class Settings(PluginSettings):
    """A folder with a subfolder for each class.

    Attributes:
        path: the folder. Hidden files and empty subfolders are left out; anything else in a
            class folder is a clip, and one that turns out to be no media file is rejected with
            that reason.
        source_pattern: a regular expression searched in the file's name without its ending; its
            first group names the source the clip was cut from. Without it every file is a
            source of its own. ``_(g\\d\\d)_`` reads the groups of UCF101.
    """

    path: Path
    source_pattern: str | None = Field(default=None)

    @field_validator("source_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"needs exactly one group in parentheses, has {groups}")
        return pattern


def inputs(settings: Settings) -> list[Path]:
    """Returns the folder and its class folders: they change when a file comes or goes."""
    return [settings.path, *_class_folders(settings.path)]


def clips(settings: Settings) -> list[Clip]:
    """Returns a clip for each file.

    Raises:
        PipelineError: the folder is missing, or has no class folder with a file in it.
    """
    found = []
    for folder in _class_folders(settings.path):
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or not path.is_file():
                continue
            found.append(
                Clip(
                    clip_id=f"{folder.name}:{path.name}",
                    source_id=_source(settings, folder.name, path),
                    class_name=folder.name,
                    path_or_url=f"{folder.name}/{path.name}",
                )
            )
    if not found:
        raise PipelineError(
            f"{settings.path}: no clip found; put media files into one subfolder for each class"
        )
    return found


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's file, where it lies."""
    return settings.path / clip.path_or_url


def _class_folders(path: Path) -> list[Path]:
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise PipelineError(
            f"{path}: the raw folder cannot be read ({error.strerror}); correct datasets.*.path"
        ) from error
    return [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]


def _source(settings: Settings, class_name: str, path: Path) -> str:
    match = settings.source_pattern and re.search(settings.source_pattern, path.stem)
    return f"{class_name}:{match.group(1) if match else path.name}"
