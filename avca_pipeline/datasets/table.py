"""A CSV of your own in the format of the manifest: any files, stretches of them, addresses."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from avca_pipeline.artifacts import manifest
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import MediaError
from avca_pipeline.registry import PluginSettings
from avca_pipeline.web import download


class Settings(PluginSettings):
    """A CSV with the columns clip_id, source_id, class_name, path_or_url, start_s and end_s.

    Attributes:
        path: the CSV. Relative paths in it begin at its own folder; http(s) addresses are
            downloaded. Other columns are ignored.
    """

    path: Path


def inputs(settings: Settings) -> list[Path]:
    """Returns the CSV."""
    if not settings.path.is_file():
        raise PipelineError(f"{settings.path}: no such file; correct datasets.*.path")
    return [settings.path]


def clips(settings: Settings) -> list[Clip]:
    """Returns the rows.

    Raises:
        PipelineError: the CSV is missing, malformed, or has a clip_id twice.
    """
    found = manifest.read(settings.path)
    if not found:
        raise PipelineError(f"{settings.path}: has a header but no clip")
    return found


def locate(settings: Settings, clip: Clip, folder: Path) -> Path:
    """Returns the clip's file; an address is downloaded into ``folder`` once."""
    if urlsplit(clip.path_or_url).scheme not in ("http", "https"):
        return settings.path.parent / clip.path_or_url
    suffix = Path(urlsplit(clip.path_or_url).path).suffix[:10]
    path = folder / (hashlib.sha256(clip.path_or_url.encode()).hexdigest()[:24] + suffix)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            download(clip.path_or_url, path)
        except PipelineError as error:
            raise MediaError(f"download failed: {error}") from error
    return path
