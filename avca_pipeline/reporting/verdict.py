"""What a result means, in words that rules choose. ``docs/report.md`` states the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from avca_pipeline.analysis.comparison import MIN_CLASSES, Interval
from avca_pipeline.reporting.evidence import RANDOM, clips_of_classes, weights_of
from avca_pipeline.reporting.tables import Row

MIN_CLIPS = 10
"""Fewer clips behind S or U allow no verdict."""


@dataclass(frozen=True)
class Verdict:
    """What a row means.

    Attributes:
        kind: good news, bad news, or neither.
        words: one sentence.
    """

    kind: Literal["good", "bad", "open"]
    words: str


@dataclass(frozen=True)
class Headline:
    """The best row of what can be compared, and what it means."""

    row: Row
    verdict: Verdict
    interval: Interval | None
    num_rows: int


def headlines(
    rows: Sequence[Row], intervals: Mapping[tuple[str, ...], Mapping[str, Interval]]
) -> list[Headline]:
    """Returns the row with the highest HM of each dataset and split, in the order of the table.

    Args:
        rows: the table.
        intervals: of each score, by the identity of a row; what is not defined is missing.
    """
    found = []
    for place in dict.fromkeys(row.identity[:2] for row in rows):
        own = [row for row in rows if row.identity[:2] == place]
        best = max(own, key=lambda row: -1.0 if (hm := row.scores["hm"].mean) is None else hm)
        interval = intervals.get(best.identity, {}).get("hm")
        found.append(Headline(best, verdict(best, interval), interval, len(own)))
    return found


def verdict(row: Row, interval: Interval | None) -> Verdict:
    """Returns what a row's HM means: the first rule that applies decides.

    Args:
        row: of the table.
        interval: of its HM; ``None`` where there is none.
    """
    if why_not := _why_not(row):
        return Verdict("open", why_not)
    if interval is None:
        return Verdict("open", "No verdict: there are no predictions to compute an interval from.")
    if interval.high < _number(row.scores["hm"].chance):
        return Verdict("bad", "Worse than guessing: the whole interval of HM is below chance.")
    if interval.low <= _number(row.scores["hm"].chance):
        return Verdict("open", "Not told apart from guessing: the interval of HM holds chance.")
    if _number(row.scores["unseen"].mean) <= _number(row.scores["unseen"].chance):
        return Verdict(
            "bad", "Better than guessing for seen classes alone: U is not above its chance."
        )
    return Verdict("good", "Better than guessing: the whole interval of HM is above chance.")


def _why_not(row: Row) -> str:
    """Returns why a row allows no verdict, or nothing."""
    if row.scores["hm"].mean is None or row.scores["hm"].chance is None:
        return "No verdict: HM needs test clips of seen and of unseen classes."
    if row.is_chosen_on_test:
        return "No verdict: the epoch was chosen on the test clips."
    if random := _random_backbones(row):
        return (
            f"No verdict on the method: random weights in {' and '.join(random)}. "
            "The numbers show that the pipeline works."
        )
    if few := _too_few(row):
        return f"Too little evidence for a verdict: {few}."
    return ""


def _number(share: float | None) -> float:
    return 0.0 if share is None else share


def _random_backbones(row: Row) -> list[str]:
    provenance = row.runs[0].provenance
    return [
        attributes.get("name", "a backbone")
        for attributes in (provenance.video, provenance.audio)
        if weights_of(attributes).startswith(RANDOM)
    ]


def _too_few(row: Row) -> str:
    """Returns which group of classes or clips is too small, or nothing."""
    for is_unseen, kind in ((False, "seen"), (True, "unseen")):
        clips = clips_of_classes(row, is_unseen=is_unseen)
        if len(clips) < MIN_CLASSES:
            return f"{len(clips)} {kind} classes have test clips, an interval needs {MIN_CLASSES}"
        if sum(clips) < MIN_CLIPS:
            return f"{sum(clips)} test clips of {kind} classes"
    return ""
