"""The words of the headline, for each rule that chooses them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avca_pipeline.analysis.comparison import Interval
from avca_pipeline.artifacts.scores import Accuracies, ClassAccuracy
from avca_pipeline.reporting.summary import weights_in_words
from avca_pipeline.reporting.tables import Row, rows_of
from avca_pipeline.reporting.verdict import headlines, verdict
from tests.builders import RUN, scores_of

CHANCE = Accuracies(seen=0.1, unseen=0.1, hm=0.12, zsl=0.2)
TRAINED = {"name": "c3d", "weights": "sports1m"}
CLEAR, UNCLEAR, BELOW = Interval(0.2, 0.4), Interval(0.1, 0.4), Interval(0.01, 0.1)


def row(seen: int = 10, unseen: int = 10, classes: int = 5, unseen_share: float = 0.3) -> Row:
    """Returns a row with this many clips of each of this many seen and unseen classes."""
    value = scores_of(
        scores=Accuracies(0.3, unseen_share, 0.3, 0.5),
        chance=CHANCE,
        per_class=tuple(
            ClassAccuracy(f"{kind}{number}", kind, num // classes, 0.5, None)
            for kind, num in ((False, seen), (True, unseen))
            for number in range(classes)
        ),
    )
    provenance = replace(value.provenance, video=TRAINED, audio=TRAINED)
    (made,) = rows_of([replace(value, provenance=provenance)])
    return made


def changed(**changes: object) -> Row:
    """Returns a row with changed scores."""
    made = row()
    return replace(made, runs=(replace(made.runs[0], **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "interval", "kind", "words"),
    [
        (row(), CLEAR, "good", "Better than guessing: "),
        (row(), UNCLEAR, "open", "Not told apart from guessing"),
        (row(), Interval(0.12, 0.4), "open", "Not told apart from guessing"),
        (row(), BELOW, "bad", "Worse than guessing"),
        (row(unseen_share=0.1), CLEAR, "bad", "seen classes alone"),
        (row(), None, "open", "no predictions"),
        (row(unseen=9), CLEAR, "open", "evidence for a verdict: 5 test clips of unseen"),
        (row(seen=9), CLEAR, "open", "evidence for a verdict: 5 test clips of seen"),
        (row(classes=4), CLEAR, "open", "evidence for a verdict: 4 seen classes"),
    ],
)
def test_each_rule(made: Row, interval: Interval | None, kind: str, words: str) -> None:
    found = verdict(made, interval)
    assert found.kind == kind
    assert words in found.words


def test_what_allows_no_verdict_comes_first() -> None:
    provenance = replace(row().runs[0].provenance, audio={"name": "v", "weights": "random:0"})
    assert "random weights in v" in verdict(changed(provenance=provenance), CLEAR).words
    chosen = replace(row().runs[0].selection, is_on_test=True)
    assert "chosen on the test clips" in verdict(changed(selection=chosen), CLEAR).words
    undefined = replace(
        row(), scores={**row().scores, "hm": replace(row().scores["hm"], mean=None)}
    )
    assert "HM needs test clips" in verdict(undefined, CLEAR).words


def test_the_headline_is_the_highest_hm_of_each_split() -> None:
    runs = [
        scores_of(replace(RUN, split=split, model=model), scores=Accuracies(hm, hm, hm, hm))
        for split, model, hm in (("s", "a", 0.2), ("s", "b", 0.3), ("t", "a", 0.1))
    ]
    rows = rows_of(runs)
    found = headlines(rows, {rows[1].identity: {"hm": CLEAR}})
    assert [(one.row.names["split"], one.row.names["model"]) for one in found] == [
        ("s", "b"), ("t", "a"),
    ]  # fmt: skip
    assert [one.num_rows for one in found] == [2, 1]
    assert found[0].interval == CLEAR


def test_random_weights_are_told_of_features_that_were_published_and_imported() -> None:
    """Their numbers are no better for having been given away."""
    made = row()
    imported = {
        "name": "given", "weights": "imported",
        "made_with": '{"backbone": "c3d", "preprocessing": "{}", "weights": "random:0"}',
    }  # fmt: skip
    provenance = replace(made.runs[0].provenance, video=imported)
    given = changed(provenance=provenance)
    found = verdict(given, CLEAR)
    assert (found.kind, "random weights in given" in found.words) == ("open", True)
    assert "given with seeded random weights" in weights_in_words([given])[1]
    trained = imported | {"made_with": imported["made_with"].replace("random:0", "sports1m")}
    trained_too = changed(provenance=replace(provenance, video=trained))
    assert verdict(trained_too, CLEAR).kind == "good"
