"""A folder of your own: one subfolder for each class, and each media file in it is a clip.

The name of a subfolder is the name of the class. Any container and codec that FFmpeg reads will
do. Each file counts as a recording of its own, unless ``source_pattern`` reads the name of the
recording from the name of the file: give it when several files were cut from one video, or
training and test clips will share recordings.

A folder with two classes and three clips::

    my_clips/
      dog barking/park.mp4
      dog barking/yard.mkv
      rain/roof.webm

Clips to classify need no classes: with ``labelled: false``, all files in the folder and in folders
below it are clips.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import defaults
from avca_pipeline.errors import PipelineError, one_line
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """A folder with a subfolder for each class, or with clips that have none."""

    path: Path
    """The folder that the folders of the classes are in. Hidden files are left out. Everything else
    in a class folder is a clip. What is no media file is rejected with that reason: a link to a
    file that does not exist, a pipe, a file in a folder below the class folder.
    """
    source_pattern: str | None = Field(default=None)
    r"""Regular expression that is searched in the file's name without its ending. Its first group
    names the source that the clip was cut from. Without a pattern, every file is a source of its
    own. ``_(g\d\d)_`` reads the groups of UCF101.
    """
    labelled: bool = Field(default=True, exclude_if=lambda value: value)
    """Whether the clips have classes. Without, all files in the folder and below it are clips, and
    the dataset can be named under ``apply`` alone.
    """

    @field_validator("source_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"expected a regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"expected exactly one group in parentheses, found {groups}")
        return pattern


find = defaults.find
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    """Returns the folder and its class folders."""
    if not settings.labelled:
        return [settings.path]
    return [settings.path, *_class_folders(settings.path)]


def clips(settings: Settings) -> list[Clip]:
    """Returns a clip for each file.

    Raises:
        PipelineError: the folder is missing, or has no class folder with a file in it.
    """
    if not settings.labelled:
        return _clips_without_classes(settings)
    listed = [
        _clip(settings, folder.name, path, str(path.relative_to(folder)))
        for folder in _class_folders(settings.path)
        for path in _files(folder)
    ]
    if not listed:
        raise PipelineError(
            f"{settings.path}: no clip found; put media files into one subfolder for each class"
        )
    return listed


def remarks(settings: Settings) -> list[str]:
    """Returns a line on class folders without a clip, and on files outside of class folders."""
    if not settings.labelled:
        return []
    folders = _class_folders(settings.path)
    empty = [folder.name for folder in folders if not _files(folder)]
    stray = [
        entry.name
        for entry in _entries(settings.path)
        if not entry.name.startswith(".") and not _is_folder(entry)
    ]
    return [
        f"{settings.path}: {len(names)} {what}: {', '.join(map(one_line, names))}"
        for names, what in (
            (empty, "class folder(s) without a clip"),
            (stray, "file(s) in no class folder, which are no clips"),
        )
        if names
    ]


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's file in its class folder."""
    return settings.path / clip.path_or_url


def _clip(settings: Settings, class_name: str, path: Path, name: str) -> Clip:
    is_nested = "/" in name
    return Clip(
        clip_id=f"{class_name}:{name}",
        source_id=_source(settings, class_name, path),
        class_name=class_name,
        path_or_url=f"{class_name}/{name}",
        reason="nested folder: move the file right into the folder of its class"
        if is_nested
        else "",
    )


def _clips_without_classes(settings: Settings) -> list[Clip]:
    names = [str(path.relative_to(settings.path)) for path in _files(settings.path)]
    if not names:
        raise PipelineError(f"{settings.path}: no clip found; put media files into it")
    return [Clip(name, _source(settings, "", Path(name)), "", name) for name in names]


def _class_folders(path: Path) -> list[Path]:
    folders = []
    for entry in _entries(path):
        if entry.name.startswith("."):
            continue
        try:
            is_folder = entry.is_dir()
            leads_nowhere = entry.is_symlink() and not entry.exists()
        except OSError as error:
            raise PipelineError(
                f"{entry}: cannot be read ({error.strerror}); mount its disk, or remove it"
            ) from error
        if leads_nowhere:
            raise PipelineError(
                f"{entry}: a link to {entry.readlink()}, which is not there; mount its disk, or "
                "remove the link"
            )
        if is_folder:
            folders.append(entry)
    return folders


def _files(folder: Path) -> list[Path]:
    """Returns all files in a class folder and below it; hidden ones are left out."""
    files = []
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue
        is_folder = _is_folder(entry)
        # A link to a folder counts as one file: it may lead back to the folder itself.
        below = _files(entry) if is_folder and not entry.is_symlink() else []
        files += below or [entry]
    return files


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # Reading it will say what is wrong.
        return False


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError as error:
        raise PipelineError(
            f"{path}: the raw folder cannot be read ({error.strerror}); correct datasets.*.path"
        ) from error


def _source(settings: Settings, class_name: str, path: Path) -> str:
    match = settings.source_pattern and re.search(settings.source_pattern, path.stem)
    own = match.group(1) if match else path.name if class_name else str(path)
    return f"{class_name}:{own}" if class_name else own
