"""What some of a user's files hold, before anything runs."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import BOTH, Modalities
from avca_pipeline.datasets import AnyDataset
from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe
from avca_pipeline.media.probing import Prober
from avca_pipeline.settings import PluginSettings

NUM_CLIPS = 24
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
    """

    modalities: Modalities = BOTH
    remarks: list[str] = field(default_factory=list)


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
    probes, reasons = _probed(module, settings, chosen)
    if not probes and not (set(reasons) <= {"missing file"}):
        raise PipelineError(
            f"none of the {len(chosen)} clips that were opened can be used ({_counted(reasons)}); "
            "are these the right files?"
        )
    look = Look()
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
    return look


def _probed(
    module: AnyDataset, settings: PluginSettings, clips: Sequence[Clip]
) -> tuple[list[Probe], Counter[str]]:
    """Returns what the clips' files hold, and the reasons of those that cannot be used, counted."""
    probes, reasons = [], Counter[str]()
    with tempfile.TemporaryDirectory() as folder, Prober() as prober:
        for clip in clips:
            try:
                if clip.reason:
                    raise MediaError(clip.reason)
                path = module.locate(settings, clip, Path(folder), MAX_BYTES)
                probes.append(prober.probe(path))
            except (MediaError, TransientError) as error:
                reasons[str(error).split(":")[0]] += 1
    return probes, reasons


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
