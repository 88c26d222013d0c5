"""Whether the files and folders that a config names are there."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.config.typed import Config
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import youtube
from avca_pipeline.published import layout


def check_inputs(config: Config) -> None:
    """Raises `PipelineError` if a file or folder that the experiment reads is not there."""
    for name in config.used("datasets"):
        entry = config.datasets[name]
        entry.module.inputs(entry.settings)
        if entry.module.downloader(entry.settings) == "yt-dlp":
            youtube.check_downloads(config.download)
    for name in config.used("text_embeddings"):
        text_embedding = config.text_embeddings[name]
        for path in text_embedding.module.inputs(text_embedding.settings):
            if not _is_file(path):
                raise PipelineError(f"text_embeddings.{name}: {path}: no such file")
    for name in config.used("splits"):
        config.splits[name].module.inputs(config.splits[name].settings)
    for name in config.used_backbones():
        if name in config.imported:
            layout.stage_folders(config.imported[name].path, config.imported[name].modality)
            continue
        try:
            local_files = config.backbones[name].settings.local_files()
        except RuntimeError as error:
            raise PipelineError(
                f"backbones.{name}: there is no such home folder; write the whole path"
            ) from error
        for key, path in local_files.items():
            if not _is_file(path):
                raise PipelineError(f"backbones.{name}.{key}: {path}: no such file")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return False
