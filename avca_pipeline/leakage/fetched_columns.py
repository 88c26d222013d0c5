"""What became of the clips of a dataset, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.name_digests import NameDigests


@dataclass(frozen=True, eq=False)
class FetchedColumns:
    """Fetched clips, a digest for each name.

    Attributes:
        clip: ``(clips,)``, digests of the clip ids.
        has_file: ``(clips,)``, whether a clip is usable and the SHA-256 of its file is known.
        content: ``(clips,)``, digests of the SHA-256; of the status where there is no file.
        lost: id of each clip that is not usable to the reason.
    """

    clip: np.ndarray
    has_file: np.ndarray
    content: np.ndarray
    lost: Mapping[str, str]

    @classmethod
    def of(cls, rows: Iterable[FetchedClip]) -> FetchedColumns:
        """Reads the rows once."""
        clip_ids, contents, has_file = NameDigests(), NameDigests(), bytearray()
        lost: dict[str, str] = {}
        known: dict[str, str] = {}  # Each reason once, however many clips have it.
        for row in rows:
            is_usable = row.status == OK
            clip_ids.add(row.clip_id)
            contents.add(row.sha256 if is_usable else row.status)
            has_file.append(is_usable and bool(row.sha256))
            if not is_usable:
                lost[row.clip_id] = known.setdefault(row.reason, row.reason)
        return cls(clip_ids.array(), np.frombuffer(has_file, bool), contents.array(), lost)
