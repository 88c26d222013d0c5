"""``predictions.csv``: what a run answers for each test clip, and how near it was to others.

Distances are those before the bias; ranks and the order of the top classes are those after it. A
seen class is ranked by its distance plus ``bias``, an unseen one by its distance. Of equally near
classes the one whose name comes first in the order of code points is nearer.

The nearest seen and the nearest unseen class decide what a clip is taken for at any bias, so that
S, U, HM and the whole seen-unseen curve follow from this file. ``rank_among_unseen`` is the rank by
the distances that decide among unseen classes alone, from which ZSL follows. Most methods have one
kind of distances; f-VAEGAN-D2 has one kind for each question.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.artifacts.atomic import write_csv
from avca_pipeline.artifacts.spreadsheets import as_text, from_text
from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError, abbreviated

TOP = 5
"""How many classes are kept of each ranking."""
SEEN, UNSEEN = "seen", "unseen"
COLUMNS = (
    "clip_id",
    "class_name",
    "kind",
    "bias",
    "rank",
    "rank_among_unseen",
    "nearest_seen",
    "nearest_seen_distance",
    "nearest_unseen",
    "nearest_unseen_distance",
    *itertools.chain.from_iterable(
        (f"top{place}", f"top{place}_kind", f"top{place}_distance") for place in range(1, TOP + 1)
    ),
)


@dataclass(frozen=True)
class NearClass:
    """A class and how far a clip is from it, before the bias."""

    class_name: str
    is_unseen: bool
    distance: float


@dataclass(frozen=True)
class ClipPrediction:
    """What a run answers for one clip.

    Attributes:
        clip_id: the clip.
        class_name: its true class.
        is_unseen: whether no clip of that class was trained on.
        rank: of the true class among all classes, after the bias; the nearest class has rank 1.
        rank_among_unseen: the same among unseen classes; ``None`` for a clip of a seen class.
        nearest_seen: the nearest seen class.
        nearest_unseen: the nearest unseen class, by the distances that decide among all classes.
        top: the nearest classes after the bias, the nearest first; at most `TOP`.
    """

    clip_id: str
    class_name: str
    is_unseen: bool
    rank: int
    rank_among_unseen: int | None
    nearest_seen: NearClass
    nearest_unseen: NearClass
    top: tuple[NearClass, ...]


@dataclass(frozen=True)
class RunPredictions:
    """What a run answers for its test clips.

    Attributes:
        bias: that is added to the distances of seen classes.
        clips: one for each test clip.
    """

    bias: float
    clips: Sequence[ClipPrediction]


def write(path: Path, bias: float, clips: Iterable[ClipPrediction]) -> None:
    """Writes predictions as they come; `read` gives back the same numbers to the last bit.

    Args:
        path: of the file.
        bias: that is added to the distances of seen classes.
        clips: one for each test clip.
    """
    write_csv(path, COLUMNS, (_cells(clip, bias) for clip in clips))


def read(path: Path) -> RunPredictions:
    """Reads predictions.

    Raises:
        FormatError: a column is missing, a cell is no number or no kind, a clip stands there twice,
            or not all clips have the same bias.
    """
    rows = read_csv(path, COLUMNS)
    clips, biases = [], set()
    for row in rows:
        try:
            clips.append(_clip(row))
            biases.add(float(row["bias"]))
        except ValueError as error:
            raise FormatError(
                f"{path}: clip {abbreviated(from_text(row['clip_id']))}: {error}; "
                "delete the file and evaluate again"
            ) from error
    if len({clip.clip_id for clip in clips}) < len(clips) or len(biases) != 1:
        raise FormatError(
            f"{path}: expected test clips, each of them once, with one bias; "
            "delete the file and evaluate again"
        )
    return RunPredictions(biases.pop(), clips)


def _cells(clip: ClipPrediction, bias: float) -> list[str]:
    cells = [
        as_text(clip.clip_id),
        as_text(clip.class_name),
        UNSEEN if clip.is_unseen else SEEN,
        repr(float(bias)),
        str(clip.rank),
        "" if clip.rank_among_unseen is None else str(clip.rank_among_unseen),
    ]
    for near in (clip.nearest_seen, clip.nearest_unseen):
        cells += [as_text(near.class_name), repr(float(near.distance))]
    for near in clip.top:
        kind = UNSEEN if near.is_unseen else SEEN
        cells += [as_text(near.class_name), kind, repr(float(near.distance))]
    return cells + [""] * (len(COLUMNS) - len(cells))


def _clip(row: Mapping[str, str]) -> ClipPrediction:
    """Returns a row as a prediction.

    Raises:
        ValueError: a cell is no number or no kind.
    """
    places = [f"top{place}" for place in range(1, TOP + 1)]
    among_unseen = row["rank_among_unseen"]
    return ClipPrediction(
        clip_id=from_text(row["clip_id"]),
        class_name=from_text(row["class_name"]),
        is_unseen=is_unseen(row["kind"]),
        rank=int(row["rank"]),
        rank_among_unseen=int(among_unseen) if among_unseen else None,
        nearest_seen=_near(row, "nearest_seen", is_unseen=False),
        nearest_unseen=_near(row, "nearest_unseen", is_unseen=True),
        top=tuple(
            _near(row, place, is_unseen=is_unseen(row[f"{place}_kind"]))
            for place in places
            if row[f"{place}_kind"]
        ),
    )


def _near(row: Mapping[str, str], column: str, *, is_unseen: bool) -> NearClass:
    return NearClass(from_text(row[column]), is_unseen, float(row[f"{column}_distance"]))


def is_unseen(kind: str) -> bool:
    """Returns whether a cell says that a class is unseen.

    Raises:
        ValueError: it says neither.
    """
    if kind not in (SEEN, UNSEEN):
        raise ValueError(f"kind is {abbreviated(kind)}, expected {SEEN} or {UNSEEN}")
    return kind == UNSEEN
