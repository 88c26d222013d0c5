"""Figures as SVG that can stand in an HTML page.

No text from outside is drawn: class and candidate names stand in a legend beside the figure, in
HTML, where any script can be shown, read aloud and escaped. The same data give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from avca_pipeline.artifacts.scores import Embeddings
from avca_pipeline.artifacts.training import History

MAX_CLIPS = 2000
MAX_PERPLEXITY = 30.0
MIN_POINTS = 5
PLOTS_PER_LINE = 4
GREY = "#a9afb7"
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc5fa2", "#e0a000",
    "#45a7e0", "#7a3e9d", "#8c564b", "#8a9a1c", "#c9202f",
)  # fmt: skip
MARKERS = {"o": "●", "^": "▲", "s": "■"}
STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "avca_pipeline",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.usetex": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#77808a",
    "axes.linewidth": 0.8,
    "path.simplify": True,
}


Marks = dict[str, tuple[str, str]]
"""Marker and colour of each class that has its own."""


@dataclass(frozen=True)
class Mark:
    """An entry of a legend: a symbol in a colour, and what it stands for."""

    symbol: str
    colour: str
    text: str


@dataclass(frozen=True)
class Plot:
    """A figure with its legend.

    Attributes:
        svg: the drawing, safe markup; empty where nothing can be drawn.
        legend: what its marks stand for.
        note: what to know when reading it, or why there is none.
    """

    svg: str = ""
    legend: Sequence[Mark] = ()
    note: str = ""


def embedding_plot(value: Embeddings, name: str, title: str) -> Plot:
    """Returns the test clips and all classes of one run in two dimensions (t-SNE).

    Args:
        value: of one run.
        name: a prefix of the drawing's ids, another one for each figure of a page.
        title: what is read aloud.
    """
    rows = _rows_to_draw(len(value.clip_ids))
    points = _project(np.concatenate([value.clips[rows], value.classes]))
    if points is None:
        return Plot(note="There are too few different embeddings to draw.")
    clips, stars = points[: len(rows)], points[len(rows) :]
    names = np.array(value.class_of_clip, dtype=object)[rows]
    marks = _marks(value, names)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 5.2), layout="constrained")
        axes = figure.subplots()
        _remove_frame(axes)
        _clips(axes, clips, names, marks)
        _stars(axes, stars, value, marks)
        svg = _svg(figure, name, title)
    return Plot(svg, _legend(marks, value), _note(value, marks, len(rows)))


def validation_plot(
    histories: Mapping[int, Sequence[History]],
    chosen: Mapping[int, str],
    name: str,
    title: str,
) -> Plot:
    """Returns the validation HM of every candidate after each epoch, a panel for each seed.

    Args:
        histories: seed to the histories of its candidates in stage 1.
        chosen: seed to the selected candidate.
        name: a prefix of the drawing's ids.
        title: what is read aloud.
    """
    candidates = sorted({history.candidate for listed in histories.values() for history in listed})
    if not candidates:
        return Plot(note="There is no history of stage 1.")
    selected = set(chosen.values())
    selected_first = sorted(candidates, key=lambda candidate: candidate not in selected)
    colours = dict(zip(selected_first, COLOURS, strict=False))
    columns = min(len(histories), PLOTS_PER_LINE)
    lines = math.ceil(len(histories) / columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6 * columns + 0.4, 2.1 * lines), layout="constrained")
        panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, seed in zip(panels, histories, strict=False):
            panel.set_title(f"seed {int(seed)}", fontsize=9)
            panel.set_xlabel("epoch")
            panel.tick_params(labelbottom=True)
            panel.grid(axis="y", color="#e5e8eb", linewidth=0.7)
            panel.xaxis.get_major_locator().set_params(integer=True)
            for history in histories[seed]:
                _curve(panel, history, colours.get(history.candidate, GREY), chosen.get(seed))
        for panel in panels[len(histories) :]:
            panel.set_visible(False)
        panels[0].set_ylim(bottom=0)
        figure.supylabel("validation HM, %", fontsize=9)
        svg = _svg(figure, name, title)
    legend = [
        Mark("━", colours[candidate], candidate) for candidate in candidates if candidate in colours
    ]
    if len(colours) < len(candidates):
        legend.append(Mark("━", GREY, f"{len(candidates) - len(colours)} other candidates"))
    return Plot(svg, [*legend, Mark("●", "#333", "selected candidate and epoch")])


def _clips(axes: Axes, points: np.ndarray, names: np.ndarray, marks: Marks) -> None:
    other = points[~np.isin(names, list(marks))]
    axes.scatter(other[:, 0], other[:, 1], s=9, c=GREY, linewidths=0)
    for class_name, (marker, colour) in marks.items():
        own = points[names == class_name]
        axes.scatter(
            own[:, 0], own[:, 1], s=26, c=colour, marker=marker, linewidths=0.4, edgecolors="w"
        )


def _stars(axes: Axes, points: np.ndarray, value: Embeddings, marks: Marks) -> None:
    """Draws class embeddings, the large ones of unseen classes on top."""
    size, width = np.where(value.is_unseen, 190, 70), np.where(value.is_unseen, 0.8, 0.5)
    for row in np.argsort(value.is_unseen, kind="stable"):
        colour = marks.get(value.class_names[row], ("", GREY))[1]
        x, y = points[row]
        axes.scatter(x, y, s=size[row], c=colour, marker="*", linewidths=width[row], edgecolors="k")


def _curve(panel: Axes, history: History, colour: str, chosen: str | None) -> None:
    percent = [100 * epoch.val.hm for epoch in history.epochs]
    is_chosen = history.candidate == chosen
    panel.plot(
        range(len(percent)),
        percent,
        color=colour,
        linewidth=1.8 if is_chosen else 1.0,
        marker=".",
        markersize=3,
    )
    if is_chosen:
        best = history.best_epoch
        panel.plot([best], [percent[best]], "o", color=colour, markersize=6, markeredgecolor="#333")


def _rows_to_draw(num_clips: int) -> np.ndarray:
    """Returns the rows to draw: all, or as many as a reader can still tell apart."""
    if num_clips <= MAX_CLIPS:
        return np.arange(num_clips)
    return np.sort(np.random.default_rng(0).choice(num_clips, MAX_CLIPS, replace=False))


def _project(vectors: np.ndarray) -> np.ndarray | None:
    """Returns ``(points, 2)``, or nothing where neighbourhoods mean nothing.

    One thread, because several add up their rounding errors in another order each time.
    """
    vectors = vectors.astype(np.float64)
    if len(vectors) < MIN_POINTS or vectors.shape[1] < 2 or not np.isfinite(vectors).all():
        return None
    if np.linalg.matrix_rank(vectors - vectors.mean(axis=0)) < 2:
        return None
    perplexity = min(MAX_PERPLEXITY, (len(vectors) - 1) / 3)
    with threadpool_limits(limits=1):
        points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors)
    return np.asarray(points) if np.isfinite(points).all() else None


def _marks(value: Embeddings, drawn: np.ndarray) -> Marks:
    """Returns the marker and colour of unseen classes: those with the most clips, if not all."""
    num_clips = Counter(drawn)
    unseen = [
        name
        for name, is_unseen in zip(value.class_names, value.is_unseen, strict=True)
        if is_unseen
    ]
    styles = [(marker, colour) for marker in MARKERS for colour in COLOURS]
    largest = sorted(unseen, key=lambda name: (-num_clips[name], name))[: len(styles)]
    return dict(zip(sorted(largest), styles, strict=False))


def _legend(marks: Marks, value: Embeddings) -> list[Mark]:
    num_seen = int((~value.is_unseen.astype(bool)).sum())
    legend = [Mark(MARKERS[marker], colour, name) for name, (marker, colour) in marks.items()]
    legend.append(Mark("•", GREY, f"clip of one of {num_seen} seen classes"))
    return [
        *legend,
        Mark("★", "#333", "class embedding, in its class's colour; small and grey: seen"),
    ]


def _note(value: Embeddings, marks: Marks, num_drawn: int) -> str:
    notes = []
    if num_drawn < len(value.clip_ids):
        notes.append(f"{num_drawn} of {len(value.clip_ids)} test clips are drawn, taken at random.")
    others = int(value.is_unseen.sum()) - len(marks)
    if others:
        notes.append(
            f"Only the {len(marks)} unseen classes with the most clips are coloured, "
            f"{others} are not."
        )
    return " ".join(notes)


def _remove_frame(axes: Axes) -> None:
    """Takes away ticks and frame: distances in t-SNE have no unit."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _svg(figure: Figure, name: str, title: str) -> Markup:
    """Returns the drawing as an element with ids of its own, a title, and no style sheet."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(
        buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    label = escape(title)
    opening = f'<svg role="img" aria-label="{label}" style="stroke-linejoin:round"'
    text = text.replace("<svg", opening, 1).replace(">", f"><title>{label}</title>", 1)
    return Markup(text)
