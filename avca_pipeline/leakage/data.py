"""Checks what a split's clips turned out to be: files, features and text embeddings.

Runs once everything that training reads is there, and before it is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import features as features_files
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import PARTITIONS, SplitClip
from avca_pipeline.leakage.checks import TRAINED_BEFORE, Violations, run_checks, trained_before
from avca_pipeline.splits import AuditLevels

FINGERPRINT_DIM = 64
SEARCH_DIM = 8
NUM_NEIGHBOURS = 16
MAX_ALIKE = 0.95
"""Share of a backbone's clips that may have one and the same feature: many clips are silent."""
ROUNDING = 1e-5


@dataclass
class Seen:
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


@dataclass(frozen=True)
class Data:
    """A split and what came of its clips.

    Attributes:
        rows: the split.
        fetched: every clip of the dataset; empty where all features are imported.
        seen: by backbone.
        labels: by text embedding.
        like_features: cosine from which on two features are alike.
        max_missing: share of the clips that may be missing.
    """

    rows: Sequence[SplitClip]
    fetched: Sequence[FetchedClip]
    seen: Mapping[str, Seen]
    labels: Mapping[str, Labels]
    like_features: float
    max_missing: float

    def missing(self, *, with_imports: bool = True) -> dict[str, str]:
        """Returns why each clip that is not usable is not: id to the first reason.

        Args:
            with_imports: count clips too that imported features leave out.
        """
        lost = {row.clip_id: row.reason for row in self.fetched if row.status != OK}
        counted = (name for name in self.seen if with_imports or not self.seen[name].is_imported)
        for backbone in sorted(counted):
            for clip, reason in self.seen[backbone].rejected.items():
                lost.setdefault(clip, reason)
        return {row.clip_id: lost[row.clip_id] for row in self.rows if row.clip_id in lost}


def audit_data(of: Data, levels: AuditLevels) -> dict[str, Any]:
    """Returns the audit of a split's data.

    ``checks`` are those of `run_checks`; ``coverage`` says how many clips of each partition and
    of each class there are, how many are usable, and the reasons of those that are not.
    """
    checks = run_checks(CHECKS, of, levels)
    missing = of.missing()
    groups: dict[str, Callable[[SplitClip], str]] = {
        "partitions": lambda row: row.partition,
        "classes": lambda row: row.class_name,
    }
    return {
        "passed": all(check["passed"] for check in checks),
        "checks": checks,
        "coverage": {name: _coverage(of.rows, missing, key) for name, key in groups.items()},
    }


def see(paths: Iterable[Path]) -> Seen:
    """Returns what is kept of a backbone's shards, of which one is in memory at a time."""
    seen = Seen()
    projection: np.ndarray | None = None
    for path in paths:
        shard = features_files.read(path)
        seen.is_imported = shard.attributes.get("backbone") == features_files.IMPORTED
        seen.rejected |= shard.rejected
        dim = shard.features.shape[1]
        if len(shard.clip_ids) and projection is None:
            rng = np.random.default_rng(0)
            projection = rng.standard_normal((dim, FINGERPRINT_DIM)).astype(np.float32)
        if len(shard.clip_ids) and projection is not None:
            rows = shard.features @ projection
            seen.num_flat += int((np.ptp(shard.features, axis=1) == 0).sum()) if dim > 1 else 0
            seen.fingerprints |= dict(zip(shard.clip_ids, rows, strict=True))
    return seen


def _media_not_trained_on(of: Data) -> dict[str, list[str]]:
    """No clip is evaluated after training on the same file under another recording's name."""
    sha256 = {row.clip_id: row.sha256 for row in of.fetched if row.status == OK and row.sha256}
    sources: dict[str, set[str]] = defaultdict(set)
    held: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in of.rows:
        if row.clip_id in sha256:
            sources[sha256[row.clip_id]].add(row.source_id)
            held[row.partition].add((sha256[row.clip_id], row.source_id))
    trained = trained_before(held)
    return {
        partition: [
            row.clip_id
            for row in of.rows
            if row.partition == partition and row.clip_id in sha256
            for digest in [sha256[row.clip_id]]
            if any(
                (digest, other) in trained[partition] for other in sources[digest] - {row.source_id}
            )
        ]
        for partition in trained
    }


def _features_not_trained_on(of: Data) -> dict[str, list[str]]:
    """No clip has features like those of another recording that was trained on before."""
    from scipy.spatial import cKDTree

    rows = [row for row in of.rows if all(row.clip_id in s.fingerprints for s in of.seen.values())]
    source = np.array([row.source_id for row in rows], dtype=object)
    partition = np.array([row.partition for row in rows], dtype=object)
    found: dict[str, list[str]] = {name: [] for name in TRAINED_BEFORE}
    if not rows or not of.seen:
        return found
    prints = [_directions([s.fingerprints[row.clip_id] for row in rows]) for s in of.seen.values()]
    # Directions of a cosine of at least c are no farther apart than sqrt(2 - 2 c), in any of
    # their coordinates too: few of those find the candidates.
    short = np.concatenate([directions[:, :SEARCH_DIM] for directions in prints], axis=1)
    reach = float(np.sqrt(len(prints) * (2 - 2 * of.like_features))) + 1e-6
    for name, before in TRAINED_BEFORE.items():
        trained, evaluated = np.flatnonzero(np.isin(partition, before)), partition == name
        if not len(trained):
            continue
        tree = cKDTree(short[trained])
        for row in np.flatnonzero(evaluated):
            near = tree.query(short[row], k=NUM_NEIGHBOURS, distance_upper_bound=reach)[1]
            others = trained[near[near < len(trained)]]
            others = others[source[others] != source[row]]
            for directions in prints:
                others = others[directions[others] @ directions[row] >= of.like_features]
            if len(others):
                found[name].append(f"{rows[row].clip_id} (like {rows[others[0]].clip_id})")
    return found


def _features_accounted_for(of: Data) -> list[str]:
    """Every clip has a feature of each backbone or a reason why not, and no other clip has one."""
    lost = {row.clip_id for row in of.fetched if row.status != OK}
    known = {row.clip_id for row in of.rows}
    fetched = {row.clip_id for row in of.fetched}
    found = []
    for backbone, seen in sorted(of.seen.items()):
        expected = known if seen.is_imported else known - lost
        has = set(seen.fingerprints) | set(seen.rejected)
        found += [f"{clip} ({backbone})" for clip in sorted(expected - has)]
        both = set(seen.fingerprints) & set(seen.rejected)
        strangers = (set(seen.fingerprints) - fetched) if of.fetched else set()
        found += [f"{clip} ({backbone})" for clip in sorted(both | strangers)]
    return found


def _features_differ(of: Data) -> list[str]:
    """The features of a backbone are not one and the same for nearly all clips, nor flat."""
    found = []
    for backbone, seen in sorted(of.seen.items()):
        num = len(seen.fingerprints)
        if num < 2:
            continue
        rows = np.stack(list(seen.fingerprints.values())).astype(np.float64)
        most = np.median(rows, axis=0)  # if most rows are the same, this is what they are
        num_alike = int((np.abs(rows - most).max(axis=1) <= ROUNDING * np.abs(most).max()).sum())
        if num_alike > MAX_ALIKE * num:
            found.append(f"{backbone} ({num_alike} of {num} clips have the same feature)")
        elif seen.num_flat > MAX_ALIKE * num:
            found.append(f"{backbone} (one number in all dimensions of {seen.num_flat} clips)")
    return found


def _classes_have_own_vectors(of: Data) -> list[str]:
    """Every class has a text embedding that is not zero, and no two classes have the same."""
    class_names = sorted({row.class_name for row in of.rows})
    found = []
    for name, labels in sorted(of.labels.items()):
        row_of = {class_name: row for row, class_name in enumerate(labels.class_names)}
        owners: dict[bytes, str] = {}
        for class_name in class_names:
            if class_name not in row_of:
                found.append(f"{class_name} ({name}: none)")
                continue
            vector = labels.vectors[row_of[class_name]].tobytes()
            if not np.any(labels.vectors[row_of[class_name]]):
                found.append(f"{class_name} ({name}: only zeros)")
                continue
            owner = owners.setdefault(vector, class_name)
            if owner != class_name:
                found.append(f"{class_name} ({name}: as {owner})")
    return found


def _enough_clips_usable(of: Data) -> list[str]:
    """No larger share of the clips is lost than datasets.*.max_missing allows."""
    missing = of.missing(with_imports=False)
    if len(missing) <= of.max_missing * len(of.rows):
        return []
    return [f"{clip} ({reason})" for clip, reason in missing.items()]


CHECKS: tuple[Callable[[Data], Violations], ...] = (
    _media_not_trained_on,
    _features_not_trained_on,
    _features_accounted_for,
    _features_differ,
    _classes_have_own_vectors,
    _enough_clips_usable,
)


def _coverage(
    rows: Sequence[SplitClip], missing: Mapping[str, str], key: Callable[[SplitClip], str]
) -> dict[str, dict[str, Any]]:
    """Returns for each group how many clips it has, how many are usable, and why others are not."""
    total = Counter(key(row) for row in rows)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.clip_id in missing:
            reasons[key(row)][missing[row.clip_id].partition(":")[0].strip()] += 1
    ordered = sorted(total, key=lambda n: (PARTITIONS.index(n) if n in PARTITIONS else 0, n))
    return {
        name: {
            "clips": total[name],
            "usable": total[name] - reasons[name].total(),
            "reasons": dict(sorted(reasons[name].items())),
        }
        for name in ordered
    }


def _directions(fingerprints: Sequence[np.ndarray]) -> np.ndarray:
    """Returns ``(clips, 64)`` unit vectors from the mean, or zero for what is the mean itself."""
    if not fingerprints:
        return np.zeros((0, FINGERPRINT_DIM), np.float32)
    rows = np.stack(fingerprints).astype(np.float64)
    rows -= rows.mean(axis=0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    floor = 1e-6 * max(float(length.max()), 1e-30)
    return np.where(length > floor, rows / np.maximum(length, floor), 0.0).astype(np.float32)
