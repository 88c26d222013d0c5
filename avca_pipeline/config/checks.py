"""Whether the files and folders that a config names are there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from avca_pipeline.config import applied
from avca_pipeline.config.typed import Config
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import youtube
from avca_pipeline.published import feature_archives, lists


def check_inputs(config: Config) -> None:
    """Checks that every file and folder that the experiment reads is there.

    Raises:
        PipelineError: one line for each that is not.
    """
    if lines := missing_inputs(config):
        raise PipelineError(*lines, *_remedy(config))


def _remedy(config: Config) -> list[str]:
    """Returns a line with the commands that get published data which are missing."""
    commands = []
    for section in ("datasets", "splits"):
        for name in config.used_names(section):
            settings: Any = getattr(config, section)[name].settings
            if hasattr(settings, "benchmark"):
                commands.append(lists.how_to_get(settings.path, settings.benchmark))
    for name in config.used_backbones():
        if name in config.imported:
            imported = config.imported[name]
            if not (imported.path / imported.modality).is_dir():
                commands.append(feature_archives.how_to_get(imported.path))
    needed = list(dict.fromkeys(filter(None, commands)))
    return [f"published data are missing; to get them: {'; '.join(needed)}"] if needed else []


def missing_inputs(config: Config) -> list[str]:
    """Returns one line for each file or folder that the experiment reads and that is not there."""
    lines: list[str] = []
    for key, check in _checks(config):
        try:
            check()
        except PipelineError as error:
            lines += [line if line.startswith(key) else f"{key}: {line}" for line in error.lines]
    return list(dict.fromkeys(lines))


def _checks(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yields a check for each entry that the experiment uses, and the key of the entry."""
    yield "results", functools.partial(_check_results, config.results)
    for name in config.used_names("datasets"):
        dataset = config.datasets[name]
        yield f"datasets.{name}", functools.partial(dataset.module.inputs, dataset.settings)
        if dataset.module.downloader(dataset.settings) == "yt-dlp":
            yield "download", functools.partial(youtube.check_downloads, config.download)
    for name in config.used_names("text_embeddings"):
        yield f"text_embeddings.{name}", functools.partial(_check_text_embedding, config, name)
    for name in config.used_names("splits"):
        split = config.splits[name]
        yield f"splits.{name}", functools.partial(split.module.inputs, split.settings)
    for name in config.used_backbones():
        if name in config.imported:
            yield f"imported.{name}", config.imported[name].files
        elif name in config.backbones:  # else an entry with mistakes, see `right_parts`
            yield f"backbones.{name}", functools.partial(_check_backbone, config, name)
    for name in config.apply:
        yield f"apply.{name}", functools.partial(applied.check_files, config, name)


def _check_results(results: str) -> None:
    for path in (Path(results), *Path(results).parents):
        try:
            is_file = path.exists() and not path.is_dir()
        except OSError as error:  # within a folder of somebody else
            raise PipelineError(
                f"results: {results}: {path} cannot be read ({error.strerror}); name another folder"
            ) from error
        if is_file:
            raise PipelineError(f"results: {results}: {path} is a file; name another folder")


def _check_text_embedding(config: Config, name: str) -> None:
    text_embedding = config.text_embeddings[name]
    for path in text_embedding.module.inputs(text_embedding.settings):
        if not _is_file(path):
            raise PipelineError(f"{path}: no such file")


def _check_backbone(config: Config, name: str) -> None:
    key = f"backbones.{name}"
    try:
        local_files = config.backbones[name].settings.local_files()
    except RuntimeError as error:
        raise PipelineError(f"{key}: there is no such home folder; write the whole path") from error
    missing = [
        f"{key}.{part}: {path}: no such file"
        for part, path in local_files.items()
        if not _is_file(path)
    ]
    if missing:
        raise PipelineError(*missing)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return False
