"""ActivityNet 1.3: segments of long YouTube videos in which somebody does something.

============  ====================================================================================
Paper         Caba Heilbron, Escorcia, Ghanem, Niebles: ActivityNet: A Large-Scale Video Benchmark
              for Human Activity Understanding. CVPR 2015
Size          200 classes, about 20,000 videos; the segments of 15,000 of them are published
Where from    the annotations are ``activity_net.v1-3.min.json`` of activity-net.org; the
              videos are handed out on request
Benchmark     200 classes, 20,348 segments in the published lists
============  ====================================================================================

What to know:

- A clip is one annotated segment, and its recording (`source_id`) is the video. In the published
  split, 784 of 1,615 clips of test_seen come from a video that also has training clips.
- Some annotations end before they begin, or beyond the end of the video. The former have no media,
  the latter are cut off at the end.
- Segments are cut while they are decoded, and never encoded again.

The part of the annotations that is read; times are in seconds::

    {"database": {"<YouTube id>": {"annotations": [
        {"label": "Capoeira", "segment": [1.5, 12.0]}]}}}
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.text_files import read_json_value
from avca_pipeline.datasets import defaults
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError
from avca_pipeline.settings import PluginSettings

CITATIONS = ("heilbron2015activitynet",)


class Settings(PluginSettings):
    """ActivityNet."""

    annotations: Path
    """The JSON file of the annotations, version 1.3."""
    media: tuple[Path, ...]
    """Folders or archives with the videos, named ``<YouTube id>.*`` or ``v_<YouTube id>.*``."""
    is_trimmed: bool = False
    """Whether the videos are cut into their segments already, named ``<YouTube id>_<index>.*``."""


remarks = defaults.remarks
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    """Returns the annotations. The videos are no input: they do not decide what clips there are."""
    if not settings.annotations.is_file():
        raise PipelineError(f"{settings.annotations}: no such file; correct datasets.*.annotations")
    return [settings.annotations]


def clips(settings: Settings) -> list[Clip]:
    """Returns a clip ``<YouTube id>_<index>`` for each annotated segment.

    Raises:
        PipelineError: the JSON is missing or malformed.
    """
    path = settings.annotations
    try:
        database = read_json_value(path)["database"]
        listed = [
            _clip(settings, str(video), index, annotation)
            for video, entry in database.items()
            for index, annotation in enumerate(entry.get("annotations", []))
        ]
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(
            f"{path}: cannot be read as annotations of ActivityNet ({error!r})"
        ) from error
    if not listed:
        raise FormatError(f"{path}: has no annotated segment")
    return listed


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the video that the clip is cut from, or the segment itself if trimmed.

    Raises:
        MediaError: there is no such file, or the annotated segment is empty.
    """
    if not settings.is_trimmed and clip.end_s is None:
        raise MediaError(f"nothing in segment: annotated as {clip.path_or_url}")
    media = _media_file(settings, clip)
    if media is None:
        raise MediaError(f"missing file: no {_name(settings, clip)}.* in datasets.*.media")
    return archives.unpack_if_needed(media, folder, max_bytes)


def find(settings: Settings, clip: Clip, folder: Path) -> Path | None:
    """Returns where `locate` would find or put the clip's file now."""
    media = _media_file(settings, clip)
    return None if media is None else archives.local_path(media, folder)


def _media_file(settings: Settings, clip: Clip) -> archives.MediaFile | None:
    by_stem = archives.media_by_stem(settings.media)
    name = _name(settings, clip)
    return by_stem.get(name) or by_stem.get(f"v_{name}")


def _name(settings: Settings, clip: Clip) -> str:
    return clip.clip_id if settings.is_trimmed else clip.source_id


def _clip(settings: Settings, video: str, index: int, annotation: dict[str, Any]) -> Clip:
    """Returns the clip of a segment.

    A segment that ends before it begins gets no times, and `locate` rejects it.
    """
    start_s, end_s = (float(second) for second in annotation["segment"])
    label = annotation["label"]
    if not isinstance(label, str) or not math.isfinite(start_s) or not math.isfinite(end_s):
        raise FormatError(
            f"{settings.annotations}: video {video!r}, annotation {index}: needs a label and a "
            f"segment in seconds, found {label!r} and {annotation['segment']!r}"
        )
    start_s = max(0.0, start_s)
    is_stretch = start_s < end_s
    address = f"{video} from {start_s:g} to {end_s:g} s"
    cut = (start_s, end_s) if is_stretch and not settings.is_trimmed else (None, None)
    return Clip(f"{video}_{index}", video, label, address, *cut)
