"""Whether the parts of a config fit together, and whether what it names is there."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.config.typed import Config
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import youtube
from avca_pipeline.published import layout
from avca_pipeline.settings import nearest


def check_references(config: Config) -> None:
    """Raises `PipelineError` if a name in one section is not in the section that it refers to."""
    backbones = {name.lower() for name in config.backbones}
    for name in config.imported:
        if name.lower() in backbones:
            raise PipelineError(f"imported: {name!r} is the name of a backbone too")
    for key in ("datasets", "feature_sets", "text_embeddings", "splits", "models"):
        known = getattr(config, key)
        for name in config.used(key):
            if name not in known:
                raise PipelineError(
                    f"experiment.{key}: {name!r} is not under {key}; {nearest(name, known)}"
                )
    for name, split in config.splits.items():
        for backbone in split.settings.backbones_to_exclude():
            if backbone not in config.backbones:
                raise PipelineError(
                    f"splits.{name}.exclude_pretraining_of: {backbone!r} is not under backbones; "
                    f"{nearest(backbone, config.backbones)}"
                )
    for name, feature_set in config.feature_sets.items():
        for modality in ("video", "audio"):
            where = f"feature_sets.{name}.{modality}"
            _check_modality(config, where, modality, getattr(feature_set, modality))


def check_inputs(config: Config) -> None:
    """Raises `PipelineError` if a file or folder that the experiment reads is not there."""
    for name in config.used("datasets"):
        entry = config.datasets[name]
        entry.module.inputs(entry.settings)
        if entry.module.downloader(entry.settings) == "yt-dlp":
            youtube.check(config.download)
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


def _check_modality(config: Config, where: str, modality: str, name: str) -> None:
    if name in config.imported:
        found = config.imported[name].modality
    elif name in config.backbones:
        found = config.backbones[name].module.MODALITY
    else:
        raise PipelineError(
            f"{where}: {name!r} is not under backbones or imported; "
            f"{nearest(name, [*config.backbones, *config.imported])}"
        )
    if found != modality:
        raise PipelineError(f"{where}: {name!r} is a backbone for {found}")
