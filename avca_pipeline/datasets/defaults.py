"""What most datasets have in common; a dataset takes from here what fits. It is no plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.media import MediaError
from avca_pipeline.settings import PluginSettings

if TYPE_CHECKING:
    from avca_pipeline.fetching.youtube import Network


def remarks(settings: PluginSettings) -> list[str]:
    """Returns no remark."""
    return []


def find(settings: PluginSettings, clip: Clip, folder: Path) -> None:
    """Returns ``None``: the media of a clip do not move."""


def downloader(settings: PluginSettings) -> None:
    """Returns ``None``: no clip is downloaded."""


def download(settings: PluginSettings, clip: Clip, folder: Path, network: Network) -> None:
    """Raises `MediaError`: no clip is downloaded."""
    raise MediaError("missing file: this dataset downloads no clips")
