"""What became of every clip: how many each stage got, kept and rejected, and whether it adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from avca_pipeline.artifacts.audits import SplitAudit
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.split import TEST_SEEN, TEST_UNSEEN
from avca_pipeline.reporting.tables import Row


@dataclass(frozen=True)
class Rejection:
    """A clip that left the pipeline, where and why."""

    dataset: str
    stage: str
    clip_id: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its particulars: what stands before the first colon."""
        return self.reason.partition(":")[0].strip()


@dataclass(frozen=True)
class Step:
    """One stage's balance.

    Attributes:
        name: of the stage.
        num_in: clips that it should account for.
        num_kept: clips that it passed on.
        num_rejected: clips that it gave a reason for.
        num_unaccounted: clips without any fate, with two, or from nowhere.
        note: what else is worth knowing.
    """

    name: str
    num_in: int
    num_kept: int
    num_rejected: int
    num_unaccounted: int
    note: str = ""

    @property
    def adds_up(self) -> bool:
        """Whether every clip is kept or rejected, and no clip both."""
        return not self.num_unaccounted and self.num_kept + self.num_rejected == self.num_in


@dataclass
class Extracted:
    """What the shards of one backbone hold, without the features themselves."""

    clip_ids: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    num_padded: int = 0
    is_imported: bool = False

    @property
    def stage(self) -> str:
        """What made the features."""
        return "import" if self.is_imported else "extract"


@dataclass
class Classified:
    """Which clips an entry under ``apply`` has an answer for, and why others have none."""

    clip_ids: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Coverage:
    """The clips of one dataset, and what became of them at each stage."""

    dataset: str
    clips: Sequence[Clip] = ()
    fetched: list[FetchedClip] = field(default_factory=list)
    extracted: dict[str, Extracted] = field(default_factory=dict)
    applied: dict[str, Classified] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """How many classes the manifest has."""
        return len({clip.class_name for clip in self.clips} - {""})

    @property
    def num_sources(self) -> int:
        """How many recordings the clips were cut from."""
        return len({clip.source_id for clip in self.clips})

    def rejections(self) -> list[Rejection]:
        """Returns all rejected clips in the order of the stages."""
        rejections = [
            Rejection(self.dataset, "fetch", row.clip_id, row.reason)
            for row in sorted(self.fetched, key=lambda row: row.clip_id)
            if row.status != OK
        ]
        for backbone, extracted in sorted(self.extracted.items()):
            stage = f"{extracted.stage} {backbone}"
            rejections += [
                Rejection(self.dataset, stage, clip, reason)
                for clip, reason in sorted(extracted.rejected)
            ]
        for name, classified in sorted(self.applied.items()):
            rejections += [
                Rejection(self.dataset, f"apply {name}", clip, reason)
                for clip, reason in sorted(classified.rejected)
            ]
        return rejections

    def steps(self) -> list[Step]:
        """Returns the balances of ``fetch``, of ``extract`` or ``import``, and of ``apply``."""
        usable = [row.clip_id for row in self.fetched if row.status == OK]
        rejected = [row.clip_id for row in self.fetched if row.status != OK]
        listed = [clip.clip_id for clip in self.clips]
        needs_media = any(not extracted.is_imported for extracted in self.extracted.values())
        steps = [_step("fetch", listed, usable, rejected)] if needs_media or self.fetched else []
        for backbone, extracted in sorted(self.extracted.items()):
            refused = [clip for clip, _ in extracted.rejected]
            note = (
                f"{extracted.num_padded} shorter than one window, padded"
                if extracted.num_padded
                else ""
            )
            clips_in = listed if extracted.is_imported else usable
            name = f"{extracted.stage} {backbone}"
            steps.append(_step(name, clips_in, extracted.clip_ids, refused, note))
        for name, classified in sorted(self.applied.items()):
            refused = [clip for clip, _ in classified.rejected]
            steps.append(_step(f"apply {name}", listed, classified.clip_ids, refused))
        return steps


def tested_step(row: Row, audit: SplitAudit) -> Step:
    """Returns the balance of the test clips of a run: in the split, scored, without a feature."""
    first = row.runs[0]
    tests = (TEST_SEEN, TEST_UNSEEN)
    num_in = sum(audit.counts[name].clips for name in tests)
    num_scored = sum(accuracy.num_clips for accuracy in first.per_class)
    num_missing = sum(first.num_missing.get(name, 0) for name in tests)
    names = row.names
    name = f"test clips of split {names['split']} with {names['feature_set']}"
    return Step(name, num_in, num_scored, num_missing, abs(num_in - num_scored - num_missing))


def by_kind(rejections: Iterable[Rejection]) -> list[tuple[str, str, str, int]]:
    """Returns dataset, stage, kind of reason and how many clips, the most frequent kind first."""
    counts = Counter(
        (rejection.dataset, rejection.stage, rejection.kind) for rejection in rejections
    )
    rows = [(*key, count) for key, count in counts.items()]
    return sorted(rows, key=lambda row: (row[0], -row[3]))


def _step(
    name: str, clips_in: Sequence[str], kept: Sequence[str], rejected: Sequence[str], note: str = ""
) -> Step:
    """Returns the balance of a stage by clip id: equal counts of other clips do not add up."""
    num_fates = Counter(kept) + Counter(rejected)
    expected = set(clips_in)
    unaccounted = [
        clip for clip in expected | set(num_fates) if num_fates[clip] != 1 or clip not in expected
    ]
    return Step(name, len(clips_in), len(kept), len(rejected), len(unaccounted), note)
