"""Checks of a split's data: what the files, features and text embeddings of its clips hold.

They run once everything that training reads is there, and before training reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avca_pipeline.artifacts.audits import DataAudit
from avca_pipeline.artifacts.fetched import FetchedClip
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.name_digests import digests, find
from avca_pipeline.artifacts.split import PARTITIONS, SplitClip
from avca_pipeline.leakage.alike import Directions, alike, num_like_the_middle
from avca_pipeline.leakage.checks import TRAINED_BEFORE, CheckList, Level, run_checks
from avca_pipeline.leakage.feature_digests import FeatureDigest
from avca_pipeline.leakage.fetched_columns import FetchedColumns
from avca_pipeline.leakage.split_columns import SplitColumns, columns_of
from avca_pipeline.leakage.usable import coverage

MAX_ALIKE = 0.95
"""Share of a backbone's clips that may have one and the same feature: many clips are silent."""
ROUNDING = 1e-5


@dataclass(frozen=True)
class SplitData:
    """A split, with the files and features of its clips.

    Attributes:
        rows: the split.
        fetched: every clip of the dataset, to loop over once; none where all features are
            imported.
        digests: backbone to what is kept of its features.
        labels: by text embedding.
        like_features: cosine from which on two features are alike.
        max_missing: share of the clips that each feature set may miss.
        feature_sets: name to the backbones in it.
    """

    rows: Sequence[SplitClip]
    fetched: Iterable[FetchedClip]
    digests: Mapping[str, FeatureDigest]
    labels: Mapping[str, Labels]
    like_features: float
    max_missing: float
    feature_sets: Mapping[str, Sequence[str]]

    @cached_property
    def columns(self) -> SplitColumns:
        """The split as arrays."""
        return SplitColumns.of(self.rows)

    @cached_property
    def files(self) -> FetchedColumns:
        """The fetched clips as arrays."""
        return FetchedColumns.of(self.fetched)

    @cached_property
    def feature_rows(self) -> dict[str, np.ndarray]:
        """Backbone to ``(clips,)`` int32, where its table has each clip of the split, or -1."""
        return {name: find(digest.clip, self.columns.clip) for name, digest in self.digests.items()}

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
        reasons = dict(self.files.lost) if backbones else {}
        for name in sorted(backbones):
            for clip, reason in self.digests[name].rejected.items():
                reasons.setdefault(clip, reason)
        is_lost = find(digests(reasons), self.columns.clip) >= 0
        return {clip: reasons[clip] for clip in self.columns.names(is_lost)}


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
    return DataAudit(
        passed=all(result.passed for result in results),
        checks=results,
        coverage=coverage(subject.columns, subject.missing()),
    )


@check(default="error")
def media_not_trained_on(subject: SplitData) -> dict[str, list[str]]:
    """No clip is evaluated after training on the same file under another recording's name."""
    columns, files = subject.columns, subject.files
    place = find(files.clip, columns.clip)
    with_file = np.flatnonzero(place >= 0)
    with_file = with_file[files.has_file[place[with_file]]]
    contents, content = np.unique(files.content[place[with_file]], return_inverse=True)
    source, partition = columns.source[with_file], columns.partition[with_file]
    leaking = {}
    for name, before in TRAINED_BEFORE.items():
        is_trained = np.isin(partition, columns_of(before))
        # A content was trained on under another name if its first or its last source is another.
        first = np.full(len(contents), np.iinfo(np.int32).max, np.int32)
        last = np.full(len(contents), -1, np.int32)
        np.minimum.at(first, content[is_trained], source[is_trained])
        np.maximum.at(last, content[is_trained], source[is_trained])
        is_leak = (last[content] >= 0) & ((first[content] != source) | (last[content] != source))
        which = np.zeros(len(columns.clip), bool)
        which[with_file[is_leak & (partition == PARTITIONS.index(name))]] = True
        leaking[name] = columns.names(which)
    return leaking


@check(default="warning")
def features_not_trained_on(subject: SplitData) -> dict[str, list[str]]:
    """No clip has features like those of another recording that was trained on before."""
    columns = subject.columns
    rows_in = list(subject.feature_rows.values())
    has_all = np.ones(len(columns.clip), bool)
    for rows in rows_in:
        has_all &= rows >= 0
    chosen = np.flatnonzero(has_all)
    if not len(chosen) or not rows_in:
        return {name: [] for name in TRAINED_BEFORE}
    tables = [
        Directions(digest.table, rows[chosen])
        for digest, rows in zip(subject.digests.values(), rows_in, strict=True)
    ]
    pairs = alike(tables, columns.source[chosen], columns.partition[chosen], subject.like_features)
    wanted = np.zeros(len(columns.clip), bool)
    for found in pairs.values():
        wanted[chosen[found.ravel()]] = True
    name_of = dict(zip(np.flatnonzero(wanted).tolist(), columns.names(wanted), strict=True))
    return {
        name: [
            f"{name_of[evaluated]} (like {name_of[trained]})"
            for evaluated, trained in chosen[found].tolist()
        ]
        for name, found in pairs.items()
    }


@check(default="error")
def features_accounted_for(subject: SplitData) -> list[str]:
    """Every clip has a feature of each backbone or a reason why not, and no other clip has one."""
    columns, files = subject.columns, subject.files
    is_lost = find(digests(files.lost), columns.clip) >= 0
    violations = []
    for backbone, digest in sorted(subject.digests.items()):
        is_expected = True if digest.is_imported else ~is_lost
        without = columns.names((subject.feature_rows[backbone] < 0) & is_expected)
        neither = {clip for clip in without if clip not in digest.rejected}
        is_wrong = find(digests(digest.rejected), digest.clip) >= 0
        if len(files.clip):
            is_wrong |= find(files.clip, digest.clip) < 0
        wrong = itertools.compress(digest.fingerprints, is_wrong) if is_wrong.any() else ()
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
        num_alike = num_like_the_middle(digest.table, ROUNDING, MAX_ALIKE * num_clips)
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
    class_names = sorted(subject.columns.class_names)
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
