"""What the audit keeps of a backbone's features: little of each clip, and counts of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import features as features_files

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

    fingerprints: dict[str, np.ndarray] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    is_imported: bool = False
    num_flat: int = 0


def digest_features(paths: Iterable[Path]) -> FeatureDigest:
    """Returns what is kept of a backbone's features; one shard is in memory at a time.

    Args:
        paths: the features files of all its shards.
    """
    digest = FeatureDigest()
    projection: np.ndarray | None = None
    for path in paths:
        shard = features_files.read(path)
        digest.is_imported = shard.attributes.get("backbone") == features_files.IMPORTED
        digest.rejected |= shard.rejected
        dim = shard.features.shape[1]
        if len(shard.clip_ids) and projection is None:
            rng = np.random.default_rng(0)
            projection = rng.standard_normal((dim, FINGERPRINT_DIM)).astype(np.float32)
        if len(shard.clip_ids) and projection is not None:
            rows = shard.features @ projection
            if dim > 1:
                digest.num_flat += int((np.ptp(shard.features, axis=1) == 0).sum())
            digest.fingerprints |= dict(zip(shard.clip_ids, rows, strict=True))
    return digest
