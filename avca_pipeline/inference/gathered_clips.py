"""From the clips and features that the workflow has made to what is classified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import FormatError
from avca_pipeline.inference.parts import Part


@dataclass(frozen=True)
class GatheredClips:
    """All clips of a dataset, with the features that backbones have made of them.

    Attributes:
        clips: all of them, in the order of their ids.
        rejected: clip id to reason, for those without media.
        features: of each modality.
    """

    clips: Sequence[Clip]
    rejected: Mapping[str, str]
    features: Mapping[str, Features]

    @classmethod
    def read(
        cls,
        clips: Path,
        tables: Sequence[Path],
        gathered: Mapping[str, Path],
        *,
        over_time: bool,
    ) -> GatheredClips:
        """Reads them.

        Args:
            clips: table of all clips.
            tables: of fetched media, of all shards.
            gathered: modality to the file of the features of all clips.
            over_time: read the windows of each clip as well.

        Raises:
            FormatError: a file is damaged, windows are asked for and were not kept, or clips have
                neither features nor a reason.
        """
        listed = sorted(manifest.read(clips), key=lambda clip: clip.clip_id)
        rows = [row for table in tables for row in fetched.read(table)]
        rejected = {row.clip_id: row.reason for row in rows if row.status != OK}
        made = {
            modality: features.read(path, with_windows=over_time)
            for modality, path in gathered.items()
        }
        for modality, value in made.items():
            if over_time and value.windows is None:
                raise FormatError(
                    f"{gathered[modality]}: has no windows but their means alone, and the method "
                    "looks at clips over time; set keep_windows: true for this backbone"
                )
            known = {*rejected, *value.rejected, *value.clip_ids}
            lost = next((clip.clip_id for clip in listed if clip.clip_id not in known), None)
            if lost is not None:
                raise FormatError(
                    f"{gathered[modality]}: has neither features of clip {lost!r} nor a reason; "
                    "delete the file and run again to rebuild it"
                )
        return cls(listed, rejected, made)

    def parts(self) -> list[Part]:
        """Returns each clip with its features, or with the reason why it has none."""
        rows = {
            modality: {clip_id: row for row, clip_id in enumerate(made.clip_ids)}
            for modality, made in self.features.items()
        }
        ends = {modality: np.cumsum(made.num_windows) for modality, made in self.features.items()}
        return [self._part(clip.clip_id, rows, ends) for clip in self.clips]

    def _part(
        self,
        clip_id: str,
        rows: Mapping[str, Mapping[str, int]],
        ends: Mapping[str, np.ndarray],
    ) -> Part:
        reasons = (
            self.rejected.get(clip_id, ""),
            *(made.rejected.get(clip_id, "") for made in self.features.values()),
        )
        if reason := next(filter(None, reasons), ""):
            return Part(clip_id, None, None, reason=reason)
        found = {
            modality: made.features[rows[modality][clip_id]]
            for modality, made in self.features.items()
        }
        windows, hops_s = {}, {}
        for modality, made in self.features.items():
            if made.windows is not None:
                row = rows[modality][clip_id]
                own = slice(ends[modality][row] - made.num_windows[row], ends[modality][row])
                windows[modality] = FeatureWindows(
                    made.windows.values[own], made.windows.starts_s[own]
                )
                hops_s[modality] = made.hop_s
        return Part(clip_id, None, None, found, windows, hops_s)
