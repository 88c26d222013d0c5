"""UCF101: short clips of human actions from YouTube, half of the classes with sound.

============  ====================================================================================
Paper         Soomro, Zamir, Shah: UCF101: A Dataset of 101 Human Actions Classes From Videos in
              The Wild. 2012, arXiv 1212.0402
Size          101 classes, 13,320 clips, about 27 hours; AVI, 320 x 240 pixels, 25 frames a second
Where from    https://www.crcv.ucf.edu/data/UCF101/UCF101.rar
Licence       none is stated
Benchmark     51 classes, 6,816 clips in the published lists
============  ====================================================================================

What to know:

- Only 51 of the 101 classes have sound. They are the default.
- The clips of one group (``g01`` to ``g25`` of each class) were cut from one video, so the
  recording of a clip (`source_id`) is its class and group. In the published split every clip of
  test_seen and val_seen shares its group with training clips.
- The header of some files announces one frame more than can be decoded.
- Names of folders and files spell one class with different capitals: ``HandstandPushups`` and
  ``v_HandStandPushups_g01_c01.avi``. Names are joined regardless of that.

A file of the folder or archive, with its class, group and number::

    v_Archery_g01_c06.avi
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import defaults
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError
from avca_pipeline.published.class_names import class_key
from avca_pipeline.settings import PluginSettings

CITATIONS = ("soomro2012ucf101",)
NAME = re.compile(r"(v_(\w+)_g\d\d)_c\d\d")

# Spelled as the archive spells its folders; the names of its files differ in capitals.
NAMES_WITH_SOUND = """
ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BasketballDunk
BlowDryHair BlowingCandles BodyWeightSquats Bowling BoxingPunchingBag BoxingSpeedBag BrushingTeeth
CliffDiving CricketBowling CricketShot CuttingInKitchen FieldHockeyPenalty FloorGymnastics
FrisbeeCatch FrontCrawl Haircut HammerThrow Hammering HandstandPushups HandstandWalking
HeadMassage IceDancing Knitting LongJump MoppingFloor ParallelBars PlayingCello PlayingDaf
PlayingDhol PlayingFlute PlayingSitar Rafting ShavingBeard Shotput SkyDiving SoccerPenalty
StillRings SumoWrestling Surfing TableTennisShot Typing UnevenBars WallPushups WritingOnBoard
"""
WITH_SOUND = NAMES_WITH_SOUND.split()


class Settings(PluginSettings):
    """UCF101."""

    path: Path
    """A folder with the ``.avi`` files, at any depth, or ``UCF101.rar`` (or a ``.zip`` or ``.tar``
    of the same files). RAR needs the extra ``rar`` and one of the programs unrar, unar, 7z and
    bsdtar.
    """
    classes: Literal["with-sound", "all"] = "with-sound"
    """Which classes are used: ``with-sound`` takes the 51 classes that have any sound, ``all``
    takes all.
    """


remarks = defaults.remarks
downloader = defaults.downloader
download = defaults.download


def inputs(settings: Settings) -> list[Path]:
    """Returns the archive, or the folder and its subfolders, whose times change with their files.

    Raises:
        PipelineError: there is neither.
    """
    if not settings.path.exists():
        raise PipelineError(f"{settings.path}: no such folder or archive; correct datasets.*.path")
    if settings.path.is_file():
        return [settings.path]
    return [settings.path, *sorted(path for path in settings.path.iterdir() if path.is_dir())]


def clips(settings: Settings) -> list[Clip]:
    """Returns a clip for each file of a chosen class.

    Raises:
        PipelineError: the folder or archive cannot be read, or has no such file.
    """
    spelled = {class_key(name): name for name in WITH_SOUND}
    listed = []
    for stem, media in archives.media_by_stem((settings.path,)).items():
        match = NAME.fullmatch(stem)
        if match is None:
            continue
        class_name = spelled.get(class_key(match.group(2)))
        if class_name is None and settings.classes == "all":
            class_name = match.group(2)
        if class_name is not None:
            listed.append(Clip(stem, match.group(1), class_name, path_or_url=media.name))
    if not listed:
        raise PipelineError(f"{settings.path}: no file of UCF101, such as v_Archery_g01_c01.avi")
    return listed


def locate(settings: Settings, clip: Clip, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Returns the clip's file, unpacked into ``folder`` if it is in an archive."""
    media = archives.media_by_stem((settings.path,)).get(clip.clip_id)
    if media is None:
        raise MediaError("missing file")
    return archives.unpack_if_needed(media, folder, max_bytes)


def find(settings: Settings, clip: Clip, folder: Path) -> Path | None:
    """Returns where `locate` would find or put the clip's file now."""
    media = archives.media_by_stem((settings.path,)).get(clip.clip_id)
    return None if media is None else archives.local_path(media, folder)
