"""The figures of one row: where test clips and classes lie, and how its trainings went."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from avca_pipeline.artifacts.scores import Embeddings
from avca_pipeline.artifacts.training import History
from avca_pipeline.reporting.colours import BACK, GREY, MARKS, TEXT
from avca_pipeline.reporting.drawing import Axis, Curve, Mark, Plot, chart, path_of
from avca_pipeline.reporting.templating import filled

MAX_CLIPS = 2000
"""As many clips of one row as a reader can still tell apart."""
MAX_CLIPS_OF_PAGE = 8000
MAX_PERPLEXITY = 30.0
MIN_POINTS = 5
SIZE, BORDER = 480, 14
SYMBOLS = ("●", "▲", "■")
CLIP, OTHER_CLIP, STAR, SMALL_STAR = 4.0, 2.2, 9.0, 5.5

Marks = dict[str, tuple[str, str]]
"""Symbol and colour of each class that has its own."""


@dataclass(frozen=True)
class Group:
    """Marks of one kind in a map."""

    path: str
    colour: str
    edge: str
    edge_width: float
    title: str


def embedding_plot(value: Embeddings, title: str, num_rows: int = 1) -> Plot:
    """Returns the test clips and all classes of one run in two dimensions (t-SNE).

    Args:
        value: of one run.
        title: what is read aloud.
        num_rows: how many such figures the page has: of each of many fewer clips are drawn.
    """
    rows = _rows_to_draw(len(value.clip_ids), min(MAX_CLIPS, MAX_CLIPS_OF_PAGE // num_rows))
    points = _project(np.concatenate([value.clips[rows], value.classes]))
    if points is None:
        return Plot(note="There are too few different embeddings to draw.")
    points = _scaled(points)
    clips, stars = points[: len(rows)], points[len(rows) :]
    names = np.array(value.class_of_clip, dtype=object)[rows]
    marks = _marks(value, names)
    groups = [*_clips(clips, names, value, marks), *_stars(stars, value, marks)]
    # Of hundreds of classes most look the same: they share one style.
    styles = itertools.groupby(groups, key=lambda one: (one.colour, one.edge, one.edge_width))
    listed = [(style, list(members)) for style, members in styles]
    svg = filled("map.svg.j2", size=SIZE, title=title, styles=listed)
    return Plot([svg], _legend(marks, value), _note(value, marks, len(rows)))


def validation_plot(
    histories: Mapping[int, Sequence[History]], chosen: Mapping[int, str], title: str
) -> Plot:
    """Returns the validation HM of every candidate after each epoch, a chart for each seed.

    Args:
        histories: seed to the histories of its candidates in stage 1.
        chosen: seed to the selected candidate.
        title: what is read aloud.
    """
    listed = [history for some in histories.values() for history in some]
    candidates = sorted({history.candidate for history in listed})
    if not candidates:
        return Plot(note="There is no history of stage 1.")
    selected = set(chosen.values())
    selected_first = sorted(candidates, key=lambda candidate: candidate not in selected)
    colours = dict(zip(selected_first, MARKS, strict=False))
    num_epochs = max(len(history.epochs) for history in listed)
    highest = max(100 * val.hm for history in listed for val in history.vals)
    horizontal = Axis.of_epochs(num_epochs)
    vertical = Axis("validation HM, %", 0, max(1.05 * highest, 1))
    svgs = [
        chart(
            sorted(
                (
                    _curve(history, colours.get(history.candidate, GREY), chosen.get(seed))
                    for history in histories[seed]
                ),
                key=lambda curve: curve.is_bold,
            ),
            horizontal,
            vertical,
            f"{title}, seed {seed}",
            f"seed {seed}",
        )
        for seed in histories
    ]
    legend = [
        Mark("━", colours[candidate], candidate) for candidate in candidates if candidate in colours
    ]
    if len(colours) < len(candidates):
        legend.append(Mark("━", GREY, f"{len(candidates) - len(colours)} other candidates"))
    return Plot(svgs, [*legend, Mark("●", TEXT, "selected candidate and epoch")])


def _curve(history: History, colour: str, chosen: str | None) -> Curve:
    """Returns one candidate's line; epochs are counted from 1."""
    points = [(index + 1, 100 * val.hm) for index, val in enumerate(history.vals)]
    is_chosen = history.candidate == chosen
    marked = [points[history.best_epoch]] if is_chosen else []
    return Curve(points, history.candidate, colour, is_chosen, marked)


def _clips(points: np.ndarray, names: np.ndarray, value: Embeddings, marks: Marks) -> list[Group]:
    """Returns the clips of each class, those without a colour of their own below the others."""
    unseen = dict(zip(value.class_names, value.is_unseen, strict=True))
    groups = []
    for name in sorted(set(names), key=lambda name: (name in marks, name)):
        symbol, colour = marks.get(name, (SYMBOLS[0], GREY))
        size = CLIP if name in marks else OTHER_CLIP
        title = f"clips of {name}, {_kind(bool(unseen.get(name)))}"
        path = path_of(points[names == name].tolist(), symbol, size)
        groups.append(Group(path, colour, BACK, 0.5 if name in marks else 0, title))
    return groups


def _stars(points: np.ndarray, value: Embeddings, marks: Marks) -> list[Group]:
    """Returns class embeddings, the large ones of unseen classes on top."""
    groups = []
    for row in np.argsort(value.is_unseen, kind="stable"):
        name, is_unseen = value.class_names[row], bool(value.is_unseen[row])
        path = path_of([points[row].tolist()], "★", STAR if is_unseen else SMALL_STAR)
        colour = marks.get(name, ("", GREY))[1]
        groups.append(Group(path, colour, TEXT, 0.8, f"class {name}, {_kind(is_unseen)}"))
    return groups


def _kind(is_unseen: bool) -> str:
    return "unseen" if is_unseen else "seen"


def _rows_to_draw(num_clips: int, most: int) -> np.ndarray:
    """Returns the rows to draw: all, or as many as may be."""
    if num_clips <= most:
        return np.arange(num_clips)
    return np.sort(np.random.default_rng(0).choice(num_clips, most, replace=False))


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


def _scaled(points: np.ndarray) -> np.ndarray:
    """Returns points in pixels: both axes by the same factor, the middle in the middle."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (SIZE - 2 * BORDER) / max(float((high - low).max()), 1e-12)
    scaled: np.ndarray = np.round((points - (low + high) / 2) * [scale, -scale] + SIZE / 2, 1)
    return scaled


def _marks(value: Embeddings, drawn: np.ndarray) -> Marks:
    """Returns the symbol and colour of unseen classes: those with the most clips, if not all."""
    num_clips = Counter(drawn)
    unseen = [
        name
        for name, is_unseen in zip(value.class_names, value.is_unseen, strict=True)
        if is_unseen
    ]
    styles = [(symbol, colour) for symbol in SYMBOLS for colour in MARKS]
    largest = sorted(unseen, key=lambda name: (-num_clips[name], name))[: len(styles)]
    return dict(zip(sorted(largest), styles, strict=False))


def _legend(marks: Marks, value: Embeddings) -> list[Mark]:
    num_seen = int((~value.is_unseen.astype(bool)).sum())
    legend = [Mark(symbol, colour, name) for name, (symbol, colour) in marks.items()]
    return [
        *legend,
        Mark("•", GREY, f"clip of one of {num_seen} seen classes"),
        Mark("★", TEXT, "class embedding, in its class's colour; small and grey: seen"),
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
