"""The terms of the loss and the learning rate of the trainings that were selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from avca_pipeline.artifacts.training import History
from avca_pipeline.reporting.colours import GREY, MARKS
from avca_pipeline.reporting.drawing import Axis, Curve, Mark, Plot, chart


def loss_plot(
    histories: Mapping[int, Sequence[History]], chosen: Mapping[int, str], title: str
) -> Plot:
    """Returns a chart of the loss for each seed, and one of the learning rate of all seeds.

    Args:
        histories: seed to the histories of its candidates in stage 1.
        chosen: seed to the selected candidate.
        title: what is read aloud.
    """
    selected = {
        seed: history
        for seed, some in histories.items()
        for history in some
        if history.candidate == chosen.get(seed) and history.epochs
    }
    terms = sorted(
        {term for one in selected.values() for epoch in one.epochs for term in epoch.losses}
    )
    if not terms:
        return Plot(note="The histories have no terms of a loss.")
    colours = dict(zip(terms, MARKS, strict=False))
    num_epochs = max(len(one.epochs) for one in selected.values())
    horizontal = Axis.of_epochs(num_epochs)
    svgs = [
        _chart(
            [
                Curve(_of_term(history, term), term, colours.get(term, GREY), term == "total")
                for term in terms
            ],
            horizontal,
            "loss",
            f"{title}: terms of the loss, seed {seed}",
            f"seed {seed}",
        )
        for seed, history in selected.items()
    ]
    rates = [
        Curve(
            [(index + 1, epoch.learning_rate) for index, epoch in enumerate(history.epochs)],
            f"seed {seed}",
            MARKS[index % len(MARKS)],
        )
        for index, (seed, history) in enumerate(selected.items())
    ]
    svgs.append(
        _chart(rates, horizontal, "learning rate", f"{title}: learning rate", "learning rate")
    )
    return Plot(svgs, [Mark("━", colours.get(term, GREY), term) for term in terms])


def _of_term(history: History, term: str) -> list[tuple[float, float]]:
    """Returns the mean of a term in each epoch that has it; epochs are counted from 1."""
    return [
        (index + 1, epoch.losses[term])
        for index, epoch in enumerate(history.epochs)
        if term in epoch.losses
    ]


def _chart(
    curves: Sequence[Curve], horizontal: Axis, label: str, title: str, heading: str
) -> Markup:
    values = [value for curve in curves for _, value in curve.points]
    vertical = Axis(label, min(0.0, *values), max(1.05 * max(values), 1e-9))
    return chart(curves, horizontal, vertical, title, heading)
