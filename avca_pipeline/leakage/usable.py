"""Counts the clips of a split that can be used, and why others cannot."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from avca_pipeline.artifacts.audits import Coverage, UsableClips
from avca_pipeline.artifacts.name_digests import digests, find
from avca_pipeline.artifacts.split import PARTITIONS
from avca_pipeline.leakage.split_columns import SplitColumns


def coverage(columns: SplitColumns, missing: Mapping[str, str]) -> Coverage:
    """Returns how many clips of each partition and class are usable.

    Args:
        columns: of the split.
        missing: id of each clip of the split that is not usable to the reason.
    """
    place = find(columns.clip, digests(missing))
    reasons = [reason.partition(":")[0].strip() for reason in missing.values()]
    of_partition = _usable(columns.partition, PARTITIONS, place, reasons)
    of_class = _usable(columns.label, columns.class_names, place, reasons)
    return Coverage(
        partitions={name: of_partition[name] for name in PARTITIONS if name in of_partition},
        classes=dict(sorted(of_class.items())),
    )


def _usable(
    group: np.ndarray, names: Sequence[str], missing: np.ndarray, reasons: Sequence[str]
) -> dict[str, UsableClips]:
    """Returns the counts of each group that has clips.

    Args:
        group: ``(clips,)``, number of the group of each clip.
        names: of the groups.
        missing: rows of the clips that are not usable.
        reasons: of the same clips.
    """
    total = np.bincount(group, minlength=len(names)).tolist()
    counted: dict[int, Counter[str]] = defaultdict(Counter)
    for number, reason in zip(group[missing].tolist(), reasons, strict=True):
        counted[number][reason] += 1
    return {
        name: UsableClips(
            clips=total[number],
            usable=total[number] - counted[number].total(),
            reasons=dict(sorted(counted[number].items())),
        )
        for number, name in enumerate(names)
        if total[number]
    }
