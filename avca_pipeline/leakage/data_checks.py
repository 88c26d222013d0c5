"""Checks of a split's data: what the files, features and text embeddings of its clips hold.

They run once everything that training reads is there, and before training reads it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avca_pipeline.artifacts.audits import Coverage, DataAudit, UsableClips
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.split import PARTITIONS, SplitClip
from avca_pipeline.leakage.checks import (
    TRAINED_BEFORE,
    CheckList,
    Level,
    run_checks,
    trained_before,
)
from avca_pipeline.leakage.feature_digests import FINGERPRINT_DIM, FeatureDigest

SEARCH_DIM = 8
NUM_NEIGHBOURS = 16
MAX_ALIKE = 0.95
"""Share of a backbone's clips that may have one and the same feature: many clips are silent."""
ROUNDING = 1e-5


@dataclass(frozen=True)
class SplitData:
    """A split, with the files and features of its clips.

    Attributes:
        rows: the split.
        fetched: every clip of the dataset; empty where all features are imported.
        digests: backbone to what is kept of its features.
        labels: by text embedding.
        like_features: cosine from which on two features are alike.
        max_missing: share of the clips that each feature set may miss.
        feature_sets: name to the backbones in it.
    """

    rows: Sequence[SplitClip]
    fetched: Sequence[FetchedClip]
    digests: Mapping[str, FeatureDigest]
    labels: Mapping[str, Labels]
    like_features: float
    max_missing: float
    feature_sets: Mapping[str, Sequence[str]]

    def missing(self) -> dict[str, str]:
        """Returns the first reason of each clip that not all backbones can use, by id."""
        return self._missing(list(self.digests))

    def lost(self, feature_set: str) -> dict[str, str]:
        """Returns the first reason of each clip that a feature set lost, by id.

        A clip is lost in fetching or extracting; those that imported features leave out are not.
        """
        names = self.feature_sets[feature_set]
        return self._missing([name for name in names if not self.digests[name].is_imported])

    def _missing(self, backbones: Sequence[str]) -> dict[str, str]:
        reasons: dict[str, str] = {}
        if backbones:
            reasons = {row.clip_id: row.reason for row in self.fetched if row.status != OK}
        for name in sorted(backbones):
            for clip, reason in self.digests[name].rejected.items():
                reasons.setdefault(clip, reason)
        return {row.clip_id: reasons[row.clip_id] for row in self.rows if row.clip_id in reasons}


CHECKS: CheckList[SplitData] = CheckList()
check = CHECKS.check


def audit_data(subject: SplitData, level_of: Mapping[str, Level] | None = None) -> DataAudit:
    """Returns the audit of a split's data.

    Args:
        subject: the split and its data.
        level_of: name of each check to its level; those that are ``off`` are left out. Without
            it, each check has its default level.
    """
    if level_of is None:
        level_of = {check.name: check.default for check in CHECKS}
    results = run_checks(CHECKS, subject, level_of)
    missing = subject.missing()
    return DataAudit(
        passed=all(result.passed for result in results),
        checks=results,
        coverage=Coverage(
            partitions=_coverage(subject.rows, missing, lambda row: row.partition),
            classes=_coverage(subject.rows, missing, lambda row: row.class_name),
        ),
    )


@check(default="error")
def media_not_trained_on(subject: SplitData) -> dict[str, list[str]]:
    """No clip is evaluated after training on the same file under another recording's name."""
    sha256 = {row.clip_id: row.sha256 for row in subject.fetched if row.status == OK and row.sha256}
    with_file = [row for row in subject.rows if row.clip_id in sha256]
    sources_of: dict[str, set[str]] = defaultdict(set)
    copies_in: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in with_file:
        sources_of[sha256[row.clip_id]].add(row.source_id)
        copies_in[row.partition].add((sha256[row.clip_id], row.source_id))

    def is_trained_on(row: SplitClip, trained: set[tuple[str, str]]) -> bool:
        digest = sha256[row.clip_id]
        other_sources = sources_of[digest] - {row.source_id}
        return any((digest, source) in trained for source in other_sources)

    return {
        partition: [
            row.clip_id
            for row in with_file
            if row.partition == partition and is_trained_on(row, trained)
        ]
        for partition, trained in trained_before(copies_in).items()
    }


@check(default="warning")
def features_not_trained_on(subject: SplitData) -> dict[str, list[str]]:
    """No clip has features like those of another recording that was trained on before."""
    from scipy.spatial import cKDTree

    digests = list(subject.digests.values())
    rows = [
        row for row in subject.rows if all(row.clip_id in digest.fingerprints for digest in digests)
    ]
    source = np.array([row.source_id for row in rows], dtype=object)
    partition = np.array([row.partition for row in rows], dtype=object)
    leaking: dict[str, list[str]] = {name: [] for name in TRAINED_BEFORE}
    if not rows or not digests:
        return leaking
    directions_of_all = [
        _directions([digest.fingerprints[row.clip_id] for row in rows]) for digest in digests
    ]
    # Directions of a cosine of at least c are no farther apart than sqrt(2 - 2 c), in any of
    # their coordinates too: few of those find the candidates.
    short = np.concatenate([directions[:, :SEARCH_DIM] for directions in directions_of_all], axis=1)
    reach = float(np.sqrt(len(digests) * (2 - 2 * subject.like_features))) + 1e-6
    for name, before in TRAINED_BEFORE.items():
        trained, evaluated = np.flatnonzero(np.isin(partition, before)), partition == name
        if not len(trained):
            continue
        tree = cKDTree(short[trained])
        for row in np.flatnonzero(evaluated):
            near = tree.query(short[row], k=NUM_NEIGHBOURS, distance_upper_bound=reach)[1]
            others = trained[near[near < len(trained)]]
            others = others[source[others] != source[row]]
            for directions in directions_of_all:
                others = others[directions[others] @ directions[row] >= subject.like_features]
            if len(others):
                leaking[name].append(f"{rows[row].clip_id} (like {rows[others[0]].clip_id})")
    return leaking


@check(default="error")
def features_accounted_for(subject: SplitData) -> list[str]:
    """Every clip has a feature of each backbone or a reason why not, and no other clip has one."""
    not_fetched = {row.clip_id for row in subject.fetched if row.status != OK}
    in_split = {row.clip_id for row in subject.rows}
    in_dataset = {row.clip_id for row in subject.fetched}
    violations = []
    for backbone, digest in sorted(subject.digests.items()):
        expected = in_split if digest.is_imported else in_split - not_fetched
        with_feature, rejected = set(digest.fingerprints), set(digest.rejected)
        neither = expected - (with_feature | rejected)
        strangers = (with_feature - in_dataset) if subject.fetched else set()
        wrong = (with_feature & rejected) | strangers
        violations += [f"{clip} ({backbone})" for clip in [*sorted(neither), *sorted(wrong)]]
    return violations


@check(default="error")
def features_differ(subject: SplitData) -> list[str]:
    """The features of a backbone are not one and the same for nearly all clips, nor flat."""
    violations = []
    for backbone, digest in sorted(subject.digests.items()):
        num_clips = len(digest.fingerprints)
        if num_clips < 2:
            continue
        rows = np.stack(list(digest.fingerprints.values())).astype(np.float64)
        # If most rows are equal, the median is that row.
        middle = np.median(rows, axis=0)
        is_alike = np.abs(rows - middle).max(axis=1) <= ROUNDING * np.abs(middle).max()
        num_alike = int(is_alike.sum())
        if num_alike > MAX_ALIKE * num_clips:
            violations.append(
                f"{backbone} ({num_alike} of {num_clips} clips have the same feature)"
            )
        elif digest.num_flat > MAX_ALIKE * num_clips:
            violations.append(
                f"{backbone} (one number in all dimensions of {digest.num_flat} clips)"
            )
    return violations


@check(default="error")
def classes_have_own_vectors(subject: SplitData) -> list[str]:
    """Every class has a text embedding that is not zero, and no two classes have the same."""
    class_names = sorted({row.class_name for row in subject.rows})
    violations = []
    for name, labels in sorted(subject.labels.items()):
        row_of = {class_name: row for row, class_name in enumerate(labels.class_names)}
        owners: dict[bytes, str] = {}
        for class_name in class_names:
            if class_name not in row_of:
                violations.append(f"{class_name} ({name}: none)")
                continue
            vector = labels.vectors[row_of[class_name]]
            if not np.any(vector):
                violations.append(f"{class_name} ({name}: only zeros)")
                continue
            owner = owners.setdefault(vector.tobytes(), class_name)
            if owner != class_name:
                violations.append(f"{class_name} ({name}: as {owner})")
    return violations


@check(default="error")
def enough_clips_usable(subject: SplitData) -> list[str]:
    """No feature set loses a larger share of the clips than datasets.*.max_missing allows."""
    lost = {name: subject.lost(name) for name in sorted(subject.feature_sets)}
    worst = max(lost, key=lambda name: len(lost[name]), default="")
    if not lost or len(lost[worst]) <= subject.max_missing * len(subject.rows):
        return []
    return [f"{clip} ({worst}: {reason})" for clip, reason in lost[worst].items()]


def _coverage(
    rows: Sequence[SplitClip], missing: Mapping[str, str], key: Callable[[SplitClip], str]
) -> dict[str, UsableClips]:
    """Returns for each group how many clips it has, how many are usable, and why others are not."""
    total = Counter(key(row) for row in rows)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.clip_id in missing:
            reasons[key(row)][missing[row.clip_id].partition(":")[0].strip()] += 1
    ordered = sorted(
        total, key=lambda name: (PARTITIONS.index(name) if name in PARTITIONS else 0, name)
    )
    return {
        name: UsableClips(
            clips=total[name],
            usable=total[name] - reasons[name].total(),
            reasons=dict(sorted(reasons[name].items())),
        )
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
