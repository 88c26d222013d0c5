"""What the audit keeps of a backbone's features: little of each clip, and counts of all."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import feature_parts
from avca_pipeline.artifacts import features as features_files
from avca_pipeline.artifacts.atomic import errors_of
from avca_pipeline.artifacts.feature_parts import FeatureParts
from avca_pipeline.artifacts.name_digests import digests, find

FINGERPRINT_DIM = 64


@dataclass
class FeatureDigest:
    """What is kept of one backbone's features.

    Attributes:
        fingerprints: clip id to ``(64,)`` float32: a random projection, which keeps the angles
            between features that are nearly alike.
        rejected: clip id to reason.
        is_imported: whether the features were made elsewhere.
        num_flat: clips whose feature is one number in all dimensions, such as 0.
    """

    fingerprints: Mapping[str, np.ndarray] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    is_imported: bool = False
    num_flat: int = 0

    @cached_property
    def clip(self) -> np.ndarray:
        """``(clips,)``, digests of the clips that have a fingerprint."""
        return digests(self.fingerprints)

    @cached_property
    def table(self) -> np.ndarray:
        """``(clips, 64)``, their fingerprints, which may lie on the disk."""
        if isinstance(self.fingerprints, StoredFingerprints):
            return self.fingerprints.table
        rows = list(self.fingerprints.values())
        return np.stack(rows) if rows else np.zeros((0, FINGERPRINT_DIM), np.float32)


class StoredFingerprints(Mapping[str, np.ndarray]):
    """Fingerprints in the order of the features that they were made of.

    Args:
        paths: the features files.
        table: ``(clips, 64)`` float32.
    """

    def __init__(self, paths: Sequence[Path], table: np.ndarray) -> None:
        self._paths = paths
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return itertools.chain.from_iterable(map(feature_parts.stored_clip_ids, self._paths))

    def __getitem__(self, clip_id: str) -> np.ndarray:
        row = int(find(digests(self), digests([clip_id]))[0])
        if row < 0:
            raise KeyError(clip_id)
        return np.asarray(self.table[row])


def digest_features(paths: Iterable[Path], out: Path | None = None) -> FeatureDigest:
    """Returns what is kept of a backbone's features, of which little is in memory at a time.

    Args:
        paths: the features files of all its shards.
        out: file to write the fingerprints to; without it, they are in memory.
    """
    files = list(paths)
    digest = FeatureDigest()
    projection: np.ndarray | None = None
    parts: list[np.ndarray] = []
    num_clips = 0
    for path in files:
        with feature_parts.opened(path) as shard:
            digest.is_imported = shard.backbone == features_files.IMPORTED
            digest.rejected |= shard.rejected
            if shard.num_clips and projection is None:
                rng = np.random.default_rng(0)
                projection = rng.standard_normal((shard.dim, FINGERPRINT_DIM)).astype(np.float32)
            if projection is None:
                continue
            for part in _fingerprints(shard, projection, digest):
                num_clips += len(part)
                if out is None:
                    parts.append(part)
                else:
                    with errors_of(out), open(out, "ab") as file:
                        file.write(part.data.cast("B"))
    shape = (num_clips, FINGERPRINT_DIM)
    table = np.concatenate([np.zeros((0, FINGERPRINT_DIM), np.float32), *parts])
    if out is not None and num_clips:
        table = np.memmap(out, np.float32, "r", shape=shape)
    digest.fingerprints = StoredFingerprints(files, table)
    return digest


def _fingerprints(
    shard: FeatureParts, projection: np.ndarray, digest: FeatureDigest
) -> Iterator[np.ndarray]:
    """Yields fingerprints in the order of the clips, and counts those of flat features."""
    for part in shard.features():
        if shard.dim > 1:
            digest.num_flat += int((np.ptp(part, axis=1) == 0).sum())
        yield part @ projection


def rows_of(table: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Returns some rows of a table in memory, float64, and keeps no other of its rows there."""
    found = np.array(table[rows], np.float64)
    release(table)
    return found


def release(table: np.ndarray) -> None:
    """Gives the memory back that a table on the disk has been read into."""
    mapped = getattr(table, "_mmap", None)
    if isinstance(mapped, mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)
