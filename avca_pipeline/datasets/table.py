"""A CSV of your own: clips that are whole files, segments of files, or downloads.

The columns are those of the manifest that every dataset is turned into. ``source_id`` names the
recording that a clip was cut from: clips with one ``source_id`` never end up in two partitions of
a split built here. ``path_or_url`` is a path, relative to the folder of the CSV, or an http(s)
address. ``start_s`` and ``end_s`` may be empty for a whole file.

A CSV with a segment of a file and a file to download::

    clip_id,source_id,class_name,path_or_url,start_s,end_s
    bark-1,park,dog barking,videos/park.mp4,3.0,8.5
    rain-1,roof,rain,https://example.org/roof.webm,,

Clips to classify need no classes: with ``labelled: false``, ``class_name`` is left out or empty.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from avca_pipeline.artifacts import manifest
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import Downloader, defaults
from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.fetching import web_files
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.fetching.web_addresses import AddressError
from avca_pipeline.fetching.youtube import Network
from avca_pipeline.media import MediaError
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.settings import PluginSettings


class Settings(PluginSettings):
    """A CSV with the columns clip_id, source_id, class_name, path_or_url, start_s and end_s."""

    path: Path
    """The CSV file. Relative paths in it begin at the folder of the CSV; http(s) addresses are
    downloaded. Other columns are ignored.
    """
    labelled: bool = Field(default=True, exclude_if=lambda value: value)
    """Whether the clips have classes. Without, the CSV needs no ``class_name`` and no
    ``source_id``, and the dataset can be named under ``apply`` alone.
    """


remarks = defaults.remarks
find = defaults.find


def inputs(settings: Settings) -> list[Path]:
    """Returns the CSV."""
    if not settings.path.is_file():
        raise PipelineError(f"{settings.path}: no such file; correct datasets.*.path")
    return [settings.path]


def clips(settings: Settings) -> Iterator[Clip]:
    """Yields the rows, one at a time.

    Raises:
        PipelineError: the CSV is missing or malformed.
    """
    clip = None
    for clip in manifest.stream(settings.path, labelled=settings.labelled):
        yield clip
    if clip is None:
        raise PipelineError(f"{settings.path}: has a header but no clip")


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's file.

    Raises:
        MediaError: the clip is not downloaded yet, or has an address that is not http(s).
    """
    if not is_address(clip.path_or_url):
        if re.match(r"[a-z][a-z0-9+.-]*://", clip.path_or_url, re.IGNORECASE):
            raise MediaError(f"odd address: {shown(clip.path_or_url)}: give http or https")
        return settings.path.parent / clip.path_or_url
    path = _downloaded(clip, folder)
    if not path.is_file():
        raise MediaError("missing file: not downloaded yet")
    return path


def downloader(settings: Settings) -> Downloader:
    """Returns ``http``: this package downloads plain addresses itself."""
    return "http"


def download(settings: Settings, clip: Clip, folder: Path, network: Network) -> None:
    """Downloads a clip to where `locate` finds it; clips of one address share a file.

    Raises:
        MediaError: every later attempt would fail too.
        TransientError: a later attempt may succeed.
    """
    if not is_address(clip.path_or_url):
        return
    try:
        web_files.download(clip.path_or_url, _downloaded(clip, folder), network.download_limits())
        network.pause(network.settings.pause_s)
    except AddressError as error:
        raise MediaError(f"{error.reason}: {error}") from error
    except TransientError as error:
        raise TransientError(f"download failed: {error}") from error


def is_address(path_or_url: str) -> bool:
    """Returns whether a text begins like an http(s) address; the rest may be malformed."""
    return re.match(r"https?://", path_or_url, re.IGNORECASE) is not None


def _downloaded(clip: Clip, folder: Path) -> Path:
    digest = hashlib.sha256(clip.path_or_url.encode("utf-8", "surrogatepass")).hexdigest()
    name = re.split(r"[?#]", clip.path_or_url.partition("://")[2])[0].rpartition("/")[2]
    suffix = re.search(r"\.[A-Za-z0-9]{1,9}$", name)
    return folder / (digest[:24] + (suffix[0] if suffix else ""))
