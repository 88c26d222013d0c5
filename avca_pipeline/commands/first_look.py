"""What some of a user's files hold, before anything runs."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import BOTH, Modalities
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.datasets import AnyDataset
from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe
from avca_pipeline.media.probing import Prober
from avca_pipeline.settings import PluginSettings

NUM_CLIPS = 24
MAX_OPENED = 400
"""How many clips at most are opened in search of one that can be used for each class."""
MAX_NAMED = 5
MAX_SHARE_WITHOUT = 0.3
"""How many clips may lack sound or pictures before the config does without; as ``max_missing``."""
LEFT_OUT = {"video": "no sound", "audio": "no pictures"}
"""The modality that is left, by name, to what the clips lack."""


@dataclass
class Look:
    """What was seen.

    Attributes:
        modalities: which of them the clips have.
        remarks: what the user should know, a line each.
        unusable: each class none of whose clips can be used, to the reasons, counted.
    """

    modalities: Modalities = BOTH
    remarks: list[str] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)


def at(module: AnyDataset, settings: PluginSettings, clips: Sequence[Clip], opens: bool) -> Look:
    """Looks into some clips, spread over all.

    Args:
        module: the dataset.
        settings: its settings.
        clips: all of its clips.
        opens: whether files are opened; those in an archive would have to be unpacked first.

    Raises:
        PipelineError: none of the clips that were looked into can be used.
    """
    if not opens or not clips:
        return Look()
    chosen = [clips[index * len(clips) // NUM_CLIPS] for index in range(NUM_CLIPS)]
    chosen = list(dict.fromkeys(chosen))
    seen = _Seen(module, settings)
    with seen:
        found = [seen.of(clip) for clip in chosen]
        unusable = _unusable(clips, seen)
    probes = [one for one in found if isinstance(one, Probe)]
    reasons = Counter(one for one in found if isinstance(one, str))
    if not probes and not (set(reasons) <= {"missing file"}):
        raise PipelineError(
            f"none of the {len(chosen)} clips that were opened can be used ({_counted(reasons)}); "
            "are these the right files?"
        )
    look = Look(unusable=unusable)
    if reasons:
        look.remarks.append(
            f"{reasons.total()} of {len(chosen)} clips that were opened cannot be used "
            f"({_counted(reasons)}); the report will name each"
        )
    for modality, lack in LEFT_OUT.items():
        other = "audio" if modality == "video" else "video"
        num_lacking = sum(not getattr(probe, f"has_{other}") for probe in probes)
        if not num_lacking:
            continue
        look.remarks.append(f"{num_lacking} of {len(probes)} clips that were opened have {lack}")
        if num_lacking > MAX_SHARE_WITHOUT * len(probes):
            look.modalities = "video" if modality == "video" else "audio"
    if unusable:
        look.remarks.append(f"no clip can be used of {len(unusable)} class(es): {named(unusable)}")
    return look


def named(unusable: Mapping[str, str], classes: Collection[str] | None = None) -> str:
    """Returns classes without a usable clip and the reasons, for a message of one line.

    Args:
        unusable: class to the reasons, counted.
        classes: those that are named; all of ``unusable`` unless given.
    """
    chosen = [name for name in unusable if classes is None or name in classes]
    rest = f", and {len(chosen) - MAX_NAMED} more" if len(chosen) > MAX_NAMED else ""
    return ", ".join(f"{name!r} ({unusable[name]})" for name in chosen[:MAX_NAMED]) + rest


def empty_partition(split: Sequence[SplitClip], unusable: Collection[str]) -> str:
    """Returns the first partition all of whose clips are of ``unusable`` classes, if there is one.

    Args:
        split: all clips of the partitions.
        unusable: classes none of whose clips can be used.
    """
    filled = {row.partition for row in split if row.class_name not in unusable}
    empty = [row.partition for row in split if row.partition not in filled]
    return min(empty, default="")


class _Seen:
    """What clips hold; a context that ends the process which opens them."""

    def __init__(self, module: AnyDataset, settings: PluginSettings) -> None:
        self.module, self.settings, self.prober = module, settings, Prober()
        self.folder = tempfile.TemporaryDirectory()
        self.known: dict[str, Probe | str] = {}

    def __enter__(self) -> None:
        self.folder.__enter__()

    def __exit__(self, *exception: object) -> None:
        self.prober.__exit__(*exception)
        self.folder.cleanup()

    def of(self, clip: Clip) -> Probe | str:
        """Returns what a clip's file holds, or in a few words why the clip cannot be used."""
        if clip.clip_id not in self.known:
            self.known[clip.clip_id] = self._opened(clip)
        return self.known[clip.clip_id]

    def _opened(self, clip: Clip) -> Probe | str:
        try:
            if clip.reason:
                raise MediaError(clip.reason)
            path = self.module.locate(self.settings, clip, Path(self.folder.name), MAX_BYTES)
            return self.prober.probe(path)
        except (MediaError, TransientError) as error:
            return str(error).split(":")[0]


def _unusable(clips: Sequence[Clip], seen: _Seen) -> dict[str, str]:
    """Returns each class none of whose clips can be used, to the reasons, counted.

    Files that are missing may still be downloaded or put there. Once `MAX_OPENED` clips have been
    opened, what is not known by then counts as usable.
    """
    of_class: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.class_name:
            of_class[clip.class_name].append(clip)
    unusable = {}
    for class_name, its_clips in of_class.items():
        if any(isinstance(seen.known.get(clip.clip_id), Probe) for clip in its_clips):
            continue
        reasons = Counter[str]()
        for clip in its_clips:
            if len(seen.known) >= MAX_OPENED and clip.clip_id not in seen.known:
                break
            found = seen.of(clip)
            if isinstance(found, Probe):
                break
            reasons[found] += 1
        if reasons.total() == len(its_clips) and set(reasons) != {"missing file"}:
            unusable[class_name] = _counted(reasons)
    return unusable


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
