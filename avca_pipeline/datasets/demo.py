"""The demo: real MP4 files, drawn and encoded here, with classes that zero-shot learning can solve.

============  ====================================================================================
Size          20 classes of 5 recordings by default, and 4 broken files: 119 clips of 1.28 s
Where from    this module; the same settings give the same bytes
Media         H.264 and AAC; 160 x 120 to 240 x 176 pixels, 24 to 30 frames a second
Licence       that of this package
============  ====================================================================================

A class is a composition of six words, three of them seen and three heard. Every word changes the
whole frame or the whole spectrum, because that is what networks with random weights can tell
apart; they miss small moving objects. A class that was never trained on consists of words that
other classes were trained on. That is what makes it recognisable at all.

15 of the recordings hold two clips, so that segments are tested too. The broken files have no
sound, no picture, a lost end, or no content: they must be rejected with a reason and not stop the
run.

A class::

    drifting red stripes, ticking low hum
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import defaults
from avca_pipeline.datasets._demo_media import (
    HUES,
    MOTIONS,
    PATTERNS,
    PITCHES_HZ,
    RHYTHMS,
    TIMBRES,
    Words,
    render,
)
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.settings import PluginSettings, Seed

CLIP_S = 1.28  # two windows of 16 frames at 25 fps
LONG_S = 2.6
LONG_SEGMENTS_S = ((0.0, 1.28), (1.3, 2.58))
BROKEN = ("no-audio", "no-video", "truncated", "empty")


class Settings(PluginSettings):
    """Size and seed of the demo."""

    num_classes: int = Field(default=20, ge=len(BROKEN), le=200)
    """Number of classes; each is a combination of words."""
    sources_per_class: int = Field(default=5, ge=1, le=100)
    """Number of media files of each class, without the damaged ones."""
    seed: Seed = 0
    """Seed of the random choices. Another seed changes the choice of classes and every pixel and
    sample.
    """


@dataclass(frozen=True)
class Source:
    """One media file.

    Attributes:
        source_id: its name.
        words: its class.
        is_long: whether it holds two clips.
        broken: one of `BROKEN`, or nothing if the file is whole.
    """

    source_id: str
    words: Words
    is_long: bool = False
    broken: str = ""

    def clips(self, seed: int) -> Iterator[Clip]:
        """Yields the clip that is the whole file, or the two clips that are cut from it."""
        # The seed is part of the name, so that a folder never serves the media of another seed.
        whole = Clip(
            clip_id=self.source_id,
            source_id=self.source_id,
            class_name=str(self.words),
            path_or_url=f"{self.source_id}-seed{seed}.mp4",
        )
        if not self.is_long:
            yield whole
            return
        for letter, (start_s, end_s) in zip("ab", LONG_SEGMENTS_S, strict=True):
            yield dataclasses.replace(
                whole, clip_id=f"{self.source_id}-{letter}", start_s=start_s, end_s=end_s
            )


remarks = defaults.remarks
find = defaults.find
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    """Returns nothing: the clips follow from the settings alone."""
    return []


def clips(settings: Settings) -> list[Clip]:
    """Returns every clip, the broken ones included."""
    sources = _sources(settings).values()
    return [clip for source in sources for clip in source.clips(settings.seed)]


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's media in ``folder``, drawn and encoded unless it is there already.

    Raises:
        MediaError: these settings make no such clip.
    """
    path = folder / clip.path_or_url
    if path.exists():
        return path
    source = _sources(settings).get(clip.source_id)
    if source is None:
        from avca_pipeline.media import MediaError

        raise MediaError(f"missing file: these settings make no source {clip.source_id!r}")
    with atomic_write(path) as temporary:
        _make(source, settings.seed, temporary)
    return path


@functools.lru_cache(maxsize=8)
def _sources(settings: Settings) -> dict[str, Source]:
    """Returns every source by its id.

    The content of a source must not depend on how many others there are. So the numbers of classes
    and sources only decide where the two loops end.
    """
    sources = []
    for rank, words in enumerate(_classes(settings.num_classes, settings.seed)):
        slug = str(words).replace(",", "").replace(" ", "-")
        for index in range(settings.sources_per_class):
            is_long = (rank + 3 * index) % 7 == 0
            sources.append(Source(f"{slug}-s{index:02d}", words, is_long))
        if rank < len(BROKEN):
            sources.append(Source(f"{slug}-{BROKEN[rank]}", words, broken=BROKEN[rank]))
    return {source.source_id: source for source in sources}


def _classes(num_classes: int, seed: int) -> list[Words]:
    """Returns classes in which all words, and all pairs of words, are about equally frequent.

    The choice is greedy: the next class is the one whose words and pairs of words have been used
    least. So a smaller demo has the first classes of a larger one.
    """
    attributes = (tuple(HUES), PATTERNS, MOTIONS, tuple(PITCHES_HZ), TIMBRES, RHYTHMS)
    grid = np.array(list(itertools.product(*(range(len(words)) for words in attributes))))
    grid = np.random.default_rng(seed).permutation(grid)
    pairs = list(itertools.combinations_with_replacement(range(len(attributes)), 2))
    codes = np.stack([100 * k + 10 * grid[:, i] + grid[:, j] for k, (i, j) in enumerate(pairs)], 1)
    uses = np.zeros(100 * len(pairs))
    chosen: list[int] = []
    for _ in range(num_classes):
        cost = uses[codes].sum(axis=1)
        cost[chosen] = np.inf
        chosen.append(int(cost.argmin()))
        uses[codes[chosen[-1]]] += 1
    return [
        Words(*(words[value] for words, value in zip(attributes, grid[row], strict=True)))
        for row in chosen
    ]


def _make(source: Source, seed: int, path: Path) -> None:
    """Writes the media file of a source, and breaks it if it is one of the broken ones."""
    if source.broken == "empty":
        path.touch()
        return
    digest = hashlib.sha256(f"{seed}/{source.source_id}".encode()).digest()
    render(
        path,
        source.words,
        LONG_S if source.is_long else CLIP_S,
        np.random.default_rng(list(digest)),
        has_video=source.broken != "no-video",
        has_audio=source.broken != "no-audio",
    )
    if source.broken == "truncated":
        # The index of an MP4 is at its end, so a file that has lost its end cannot be opened.
        os.truncate(path, path.stat().st_size * 2 // 3)
