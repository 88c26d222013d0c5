"""What test clips were taken for: sentences, a matrix, and the clips behind its cells."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.confusions import Hub, Pair, flow, hubs, matrix, pairs
from avca_pipeline.artifacts.predictions import TOP
from avca_pipeline.artifacts.run import Run
from avca_pipeline.reporting.tables import Row

MAX_CLASSES = 60
"""Larger matrices are not drawn."""
MAX_CELLS = 12_000
"""Cells of all matrices of the page that are not empty; later rows have no matrix."""
MAX_PAIRS = 40
MAX_PAIRS_OF_PAGE = 320
MAX_CLIPS_OF_PAIR = 12
MAX_HUBS = 3
MAX_ANSWERS = 3
"""How many other classes are named for each class."""
SHADES = 4


@dataclass(frozen=True)
class ClassOfMatrix:
    """A class with its number in the matrix."""

    number: int
    name: str
    is_unseen: bool


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix that is not empty.

    Attributes:
        num_clips: how many clips it stands for.
        shade: from 1 to `SHADES`, by the share of the row's clips.
        is_right: whether row and column are the same class.
        anchor: id of the list of its clips; empty where the page has none.
    """

    num_clips: int
    shade: int
    is_right: bool
    anchor: str


@dataclass(frozen=True)
class ListedPair:
    """Clips of one class that were taken for a class.

    Attributes:
        target: their class.
        answered: what they were taken for.
        clip_ids: some of them.
        num_clips: how many there are.
        anchor: id of the list.
    """

    target: ClassOfMatrix
    answered: ClassOfMatrix
    clip_ids: Sequence[str]
    num_clips: int
    anchor: str

    @property
    def is_right(self) -> bool:
        """Whether they were taken for their own class."""
        return self.target == self.answered


@dataclass(frozen=True)
class ConfusedClass:
    """A class, and what its clips were taken for most often."""

    of: ClassOfMatrix
    num_clips: int
    num_right: int
    num_answered: int
    answers: Sequence[tuple[ClassOfMatrix, int]]


@dataclass(frozen=True)
class Confused:
    """What the clips of a row were taken for.

    Attributes:
        row: of the table.
        seed: of the run whose matrix and clips these are: the row's first one.
        flows: of each seed in words, unseen classes first.
        hubs: of each seed in words; empty where there are none.
        top: how often the own class is among the nearest five, in words; means over seeds.
        classes: seen classes, then unseen ones, each by name.
        cells: rows of the matrix, of each the cells of all columns; empty if it is not drawn.
        pairs: some confusions with their clips, the largest first, and then right answers.
        num_pairs: how many confusions there are.
        per_class: classes with test clips, unseen ones first.
    """

    row: Row
    seed: int
    flows: Sequence[str]
    hubs: Sequence[str]
    top: str
    classes: Sequence[ClassOfMatrix]
    cells: Sequence[Sequence[Cell | None]]
    pairs: Sequence[ListedPair]
    num_pairs: int
    per_class: Sequence[ConfusedClass]


def confused(rows: Sequence[Row], answers: Mapping[Run, Answers]) -> list[Confused]:
    """Returns what the clips of each row were taken for.

    Args:
        rows: the table.
        answers: of each run.
    """
    most_pairs = max(4, min(MAX_PAIRS, MAX_PAIRS_OF_PAGE // max(1, len(rows))))
    cells_left = MAX_CELLS
    found = []
    for index, row in enumerate(rows):
        of_seeds = {run.run.seed: answers[run.run] for run in row.runs}
        made = _confused(row, of_seeds, f"row{index}", most_pairs, cells_left)
        cells_left -= sum(cell is not None for cells in made.cells for cell in cells)
        found.append(made)
    return found


def _confused(
    row: Row, of_seeds: Mapping[int, Answers], name: str, most_pairs: int, most_cells: int
) -> Confused:
    seed, first = next(iter(of_seeds.items()))
    counts = matrix(first)
    order = [*np.flatnonzero(~first.is_unseen), *np.flatnonzero(first.is_unseen)]
    class_of = {
        int(column): ClassOfMatrix(number, first.class_names[column], bool(first.is_unseen[column]))
        for number, column in enumerate(order, start=1)
    }
    confusions = pairs(counts)
    own = [Pair(c, c, int(counts[c, c])) for c in map(int, order) if counts[c, c]]
    listed = [*confusions, *own][:most_pairs]
    anchor = {(p.target, p.answered): f"{name}-clips{n}" for n, p in enumerate(listed)}
    is_drawn = len(order) <= MAX_CLASSES and np.count_nonzero(counts) <= most_cells
    return Confused(
        row,
        seed,
        flows=_each_seed(of_seeds, flow_in_words),
        hubs=_each_seed(of_seeds, hubs_in_words),
        top=top_in_words(list(of_seeds.values())),
        classes=[class_of[int(column)] for column in order],
        cells=_cells(counts, order, anchor) if is_drawn else [],
        pairs=[
            ListedPair(
                class_of[pair.target],
                class_of[pair.answered],
                clips_of(first, pair)[:MAX_CLIPS_OF_PAIR],
                pair.num_clips,
                anchor[pair.target, pair.answered],
            )
            for pair in listed
        ],
        num_pairs=len(confusions),
        per_class=_per_class(first, counts, confusions, class_of),
    )


def _each_seed(of_seeds: Mapping[int, Answers], in_words: Callable[[Answers], str]) -> list[str]:
    """Returns the sentences of each seed, with its name before them where there are several."""
    return [
        f"Seed {seed}: {words}" if len(of_seeds) > 1 else words
        for seed, answers in of_seeds.items()
        if (words := in_words(answers))
    ]


def clips_of(answers: Answers, pair: Pair) -> list[str]:
    """Returns the ids of the clips of a class that were taken for a class."""
    is_meant = (answers.target == pair.target) & (answers.answered == pair.answered)
    return [answers.clip_ids[clip] for clip in map(int, np.flatnonzero(is_meant))]


def flow_in_words(answers: Answers) -> str:
    """Returns where the clips of unseen and of seen classes went."""
    said = []
    for unseen, kind, other in ((True, "unseen", "seen"), (False, "seen", "unseen")):
        of = flow(answers, unseen=unseen)
        if of.total:
            said.append(
                f"{of.other_kind} of {of.total} {kind} {'clip' if of.total == 1 else 'clips'} "
                f"went to {other} classes, {of.same_kind} to a wrong {kind} class, "
                f"{of.right} to the right class."
            )
    return " ".join(said)


def hubs_in_words(answers: Answers) -> str:
    """Returns the largest hubs; an empty text where there are none."""
    found = hubs(matrix(answers))
    said = [_hub_in_words(answers, hub) for hub in found[:MAX_HUBS]]
    if len(found) > MAX_HUBS:
        said.append(f"{len(found) - MAX_HUBS} more classes attract too many clips.")
    return " ".join(said)


def _hub_in_words(answers: Answers, hub: Hub) -> str:
    kind = "unseen" if answers.is_unseen[hub.column] else "seen"
    owns = f"{hub.num_own} {'clip' if hub.num_own == 1 else 'clips'} of its own"
    return (
        f"“{answers.class_names[hub.column]}” ({kind}, {owns}) is the answer for "
        f"{hub.num_answered} clips, {hub.num_wrong} of them of other classes."
    )


def top_in_words(seeds: Sequence[Answers]) -> str:
    """Returns how often the own class is among the nearest five, means over classes and seeds."""
    of_seeds = [answers.top_shares(TOP) for answers in seeds]
    words = {
        "seen": "of seen clips among all classes",
        "unseen": "of unseen clips among all classes",
        "zsl": "of unseen clips among unseen classes",
    }
    said = [
        f"{100 * statistics.fmean(shares):.1f} % {of_what}"
        for name, of_what in words.items()
        if (shares := [share for found in of_seeds if (share := found[name]) is not None])
    ]
    return ", ".join(said) + "."


def _cells(
    counts: np.ndarray, order: Sequence[int], anchor: Mapping[tuple[int, int], str]
) -> list[list[Cell | None]]:
    num_clips = np.maximum(counts.sum(axis=1), 1)
    return [
        [
            Cell(
                int(counts[target, answered]),
                int(np.ceil(SHADES * counts[target, answered] / num_clips[target])),
                target == answered,
                anchor.get((int(target), int(answered)), ""),
            )
            if counts[target, answered]
            else None
            for answered in order
        ]
        for target in order
    ]


def _per_class(
    answers: Answers,
    counts: np.ndarray,
    confusions: Sequence[Pair],
    class_of: Mapping[int, ClassOfMatrix],
) -> list[ConfusedClass]:
    largest: dict[int, list[tuple[ClassOfMatrix, int]]] = {column: [] for column in class_of}
    for pair in confusions:
        largest[pair.target].append((class_of[pair.answered], pair.num_clips))
    found = [
        ConfusedClass(
            class_of[column],
            int(counts[column].sum()),
            int(counts[column, column]),
            int(counts[:, column].sum()),
            largest[column][:MAX_ANSWERS],
        )
        for column in class_of
        if counts[column].any() or counts[:, column].any()
    ]
    return sorted(found, key=lambda one: (not one.of.is_unseen, one.of.number))
