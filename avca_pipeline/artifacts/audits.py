"""``splits/<split>.audit.json`` and ``audits/<split>.json``: what the checks of a split counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from avca_pipeline.artifacts import typed_json
from avca_pipeline.artifacts.typed_json import STRICT

SPLIT_AUDIT_VERSION = 1
DATA_AUDIT_VERSION = 1


@dataclass(frozen=True)
class CheckResult:
    """What one check counted.

    Attributes:
        name: of the check.
        means: what holds if it passes, in one sentence.
        level: ``error`` or ``warning``.
        found: how many violations there are.
        by_partition: partition to its violations, where the check counts clips of partitions.
        examples: up to ten violations.
        passed: whether there is none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    means: str
    level: str
    found: int
    by_partition: dict[str, int] | None
    examples: list[str]
    passed: bool


@dataclass(frozen=True)
class PartitionCounts:
    """How many clips, classes and sources a partition has."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    clips: int
    classes: int
    sources: int


@dataclass(frozen=True)
class SplitMethod:
    """How a split was made: its plugin and the plugin's settings."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    plugin: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class SplitAudit:
    """The audit of a split.

    Attributes:
        passed: whether every check has passed.
        checks: of the split.
        counts: partition to what it holds.
        excluded: id of each clip in no partition to the reason.
        split: how it was made, where the stage ``split`` made it.
        unknown_pretraining: backbones of which it is not known on which classes their weights
            were trained.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    passed: bool
    checks: list[CheckResult]
    counts: dict[str, PartitionCounts]
    excluded: dict[str, str]
    split: SplitMethod | None = None
    unknown_pretraining: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class UsableClips:
    """How many clips a partition or a class has, how many are usable, and why others are not."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    clips: int
    usable: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class Coverage:
    """The usable clips of each partition and of each class."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    partitions: dict[str, UsableClips]
    classes: dict[str, UsableClips]


@dataclass(frozen=True)
class DataAudit:
    """The audit of a split's media, features and text embeddings.

    Attributes:
        passed: whether every check has passed.
        checks: of the data.
        coverage: which clips are usable.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    passed: bool
    checks: list[CheckResult]
    coverage: Coverage


def write_split_audit(path: Path, value: SplitAudit) -> None:
    """Writes the audit of a split."""
    typed_json.write(path, value, SPLIT_AUDIT_VERSION)


def read_split_audit(path: Path) -> SplitAudit:
    """Reads the audit of a split.

    Raises:
        FormatError: not an audit of a split of this version.
    """
    return typed_json.read(path, SplitAudit, SPLIT_AUDIT_VERSION)


def write_data_audit(path: Path, value: DataAudit) -> None:
    """Writes the audit of a split's data."""
    typed_json.write(path, value, DATA_AUDIT_VERSION)


def read_data_audit(path: Path) -> DataAudit:
    """Reads the audit of a split's data.

    Raises:
        FormatError: not an audit of data of this version.
    """
    return typed_json.read(path, DataAudit, DATA_AUDIT_VERSION)
