"""VGGSound: ten seconds each of some 200,000 YouTube videos, in which one sound is heard and seen.

============  ====================================================================================
Paper         Chen, Xie, Vedaldi, Zisserman: VGGSound: A Large-scale Audio-Visual Dataset. ICASSP
              2020, arXiv 2004.14368
Size          309 classes, about 200,000 clips of 10 s, about 550 hours
Where from    the list is ``data/vggsound.csv`` of the GitHub repository hche11/VGGSound; the
              clips are on YouTube
Licence       CC BY 4.0 for the list; each video belongs to whoever published it
Benchmark     276 classes, 93,752 clips in the published lists
============  ====================================================================================

What to know:

- About one video in five is not on YouTube any more. The report counts what is missing, by class
  and by partition.
- Some videos have several clips. The recording of a clip (`source_id`) is the YouTube id: in the
  published split, 3,144 of 9,032 clips of test_seen share their video with a training clip.
- Names of classes have commas in them: ``"alligators, crocodiles hissing"``.
- Clips are taken from local folders and archives first, and downloaded only if the user asks for
  that. They are cut without encoding them again.

A row of the list has a YouTube id, a start in seconds, a label, and the split of VGGSound itself,
which is not used here::

    -0iEMffOYwo,5,playing oboe,train
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import Downloader, defaults
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import archives, youtube
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.fetching.youtube import Network
from avca_pipeline.media import MediaError
from avca_pipeline.settings import PluginSettings

CITATIONS = ("chen2020vggsound",)
CLIP_S = 10
VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
START = re.compile(r"[0-9]{1,9}")


class Settings(PluginSettings):
    """VGGSound."""

    csv: Path
    """The file ``vggsound.csv`` as published: YouTube id, start in seconds, label and split,
    without a header.
    """
    media: tuple[Path, ...] = ()
    """Folders or archives with clips that are cut already, named ``<YouTube id>_<start, six
    digits>.*``, ``<YouTube id>_<start>.*`` or ``<YouTube id>_<start in ms>_<end in ms>.*``.
    """
    download: bool = False
    """Whether clips that are in none of these are downloaded with yt-dlp. This needs the extra
    ``download``; the section ``download`` of the config says how.
    """
    address: str = "https://www.youtube.com/watch?v={id}"
    """Address of a video, with ``{id}`` in the place of its YouTube id."""


remarks = defaults.remarks


def inputs(settings: Settings) -> list[Path]:
    """Returns the CSV. The media are no input: they do not decide which clips there are."""
    if not settings.csv.is_file():
        raise PipelineError(f"{settings.csv}: no such file; correct datasets.*.csv")
    return [settings.csv]


def clips(settings: Settings) -> list[Clip]:
    """Returns a clip ``<YouTube id>_<start, six digits>`` for each row.

    Raises:
        PipelineError: the CSV is missing or malformed.
    """
    listed = []
    try:
        with open(settings.csv, newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.reader(file, strict=True), start=1):
                if row:
                    listed.append(_clip(settings.csv, line, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{settings.csv}: cannot be read as UTF-8 CSV ({error})") from error
    if not listed:
        raise FormatError(f"{settings.csv}: has no row")
    return listed


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's file, unpacked into ``folder`` if it is in an archive.

    Raises:
        MediaError: the clip is in no folder or archive, and not downloaded yet.
    """
    by_stem = archives.media_by_stem(settings.media)
    for name in _names(clip):
        if name in by_stem:
            return archives.unpack_if_needed(by_stem[name], folder, max_bytes)
    path = _downloaded(clip, folder)
    if not path.is_file():
        raise MediaError(f"missing file: no {clip.clip_id}.* in datasets.*.media")
    return path


def find(settings: Settings, clip: Clip, folder: Path) -> Path | None:
    """Returns where `locate` would find or put the clip's file now."""
    by_stem = archives.media_by_stem(settings.media)
    for name in _names(clip):
        if name in by_stem:
            return archives.local_path(by_stem[name], folder)
    path = _downloaded(clip, folder)
    return path if path.is_file() else None


def downloader(settings: Settings) -> Downloader | None:
    """Returns ``yt-dlp`` if the user asks for downloads."""
    return "yt-dlp" if settings.download else None


def download(settings: Settings, clip: Clip, folder: Path, network: Network) -> None:
    """Downloads a clip to where `locate` finds it.

    Raises:
        MediaError: why every later attempt would fail too.
        TransientError: why the clip does not come now.
    """
    start_s = _start_s(clip)
    address = settings.address.replace("{id}", clip.source_id)
    youtube.download_segment(address, _downloaded(clip, folder), start_s, start_s + CLIP_S, network)


def _downloaded(clip: Clip, folder: Path) -> Path:
    return folder / f"{clip.clip_id}.mp4"


def _start_s(clip: Clip) -> int:
    return int(clip.clip_id.rpartition("_")[2])


def _names(clip: Clip) -> list[str]:
    start_s = _start_s(clip)
    times = (f"{start_s:06d}", f"{start_s}", f"{1000 * start_s}_{1000 * (start_s + CLIP_S)}")
    return [f"{clip.source_id}_{time}" for time in times]


def _clip(path: Path, line: int, row: list[str]) -> Clip:
    if len(row) != 4 or not VIDEO_ID.fullmatch(row[0]) or not START.fullmatch(row[1]):
        raise FormatError(
            f"{path}: line {line}: expected a YouTube id, a start in whole seconds, a label and a "
            f"split, found {','.join(row)[:80]!r}"
        )
    video, start, label, _ = row
    return Clip(f"{video}_{int(start):06d}", video, label, path_or_url=video)
