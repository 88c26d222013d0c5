"""``predictions/<name>.csv``: which classes each clip of a dataset is nearest to, or why none.

Distances are those before the bias; the order and the scores are those after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.atomic import write_csv
from avca_pipeline.artifacts.predictions import SEEN, UNSEEN, is_unseen
from avca_pipeline.artifacts.spreadsheets import as_text, from_text
from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError, abbreviated

COLUMNS = ("clip_id", "class_name", "reason")
OF_PLACE = ("", "_kind", "_distance", "_score")
"""Ends the names of the columns of each place of the ranking: ``top1``, ``top1_kind``, …"""
REMEDY = "delete the file and run again to rebuild it"


@dataclass(frozen=True)
class RankedClass:
    """One class that a video may belong to.

    Attributes:
        class_name: its name.
        is_seen: whether the network was trained on clips of it.
        distance: of the video from the class, without the bias.
        score: softmax, over all classes that were asked for, of the negative distances, those of
            seen classes with the bias. It orders classes as the method does. It is no probability:
            nothing has made it agree with how often the method is right.
    """

    class_name: str
    is_seen: bool
    distance: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Returns what can be written as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """What was found of one clip.

    Attributes:
        clip_id: the clip.
        class_name: its own class; empty in a dataset without classes.
        ranking: the nearest classes, the nearest first; empty for a clip that cannot be used.
        reason: why it cannot be used; empty if it can.
    """

    clip_id: str
    class_name: str
    ranking: tuple[RankedClass, ...]
    reason: str = ""


def write(path: Path, answers: Iterable[Answer], top: int) -> None:
    """Writes a row for each clip, in the order given; `read` gives back the same to the bit.

    Args:
        path: of the file.
        answers: of all clips.
        top: how many places of a ranking have columns.
    """
    places = [f"top{place}{end}" for place in range(1, top + 1) for end in OF_PLACE]
    columns = (*COLUMNS, *places)
    write_csv(path, columns, (_cells(answer, len(columns)) for answer in answers))


def read(path: Path) -> list[Answer]:
    """Reads the table.

    Raises:
        FormatError: a column is missing, a cell is no number or no kind, a clip stands there twice,
            or one has neither an answer nor a reason.
    """
    answers = []
    for row in read_csv(path, COLUMNS):
        try:
            answers.append(_answer(row))
        except (KeyError, ValueError) as error:
            raise FormatError(
                f"{path}: clip {abbreviated(row['clip_id'])}: {error}; {REMEDY}"
            ) from error
    if len({answer.clip_id for answer in answers}) < len(answers):
        raise FormatError(f"{path}: a clip stands there twice; {REMEDY}")
    return answers


def _cells(answer: Answer, num_columns: int) -> list[Any]:
    cells = [as_text(text) for text in (answer.clip_id, answer.class_name, answer.reason)]
    for near in answer.ranking:
        kind = SEEN if near.is_seen else UNSEEN
        cells += [as_text(near.class_name), kind, repr(near.distance), repr(near.score)]
    return cells + [""] * (num_columns - len(cells))


def _answer(row: Mapping[str, str]) -> Answer:
    """Returns a row as an answer.

    Raises:
        KeyError: a column is missing.
        ValueError: a cell is not what it should be.
    """
    ranking: list[RankedClass] = []
    while kind := row.get(f"{(place := f'top{len(ranking) + 1}')}_kind"):
        distance, score = float(row[f"{place}_distance"]), float(row[f"{place}_score"])
        ranking.append(RankedClass(from_text(row[place]), not is_unseen(kind), distance, score))
    if bool(ranking) == bool(row["reason"]):
        raise ValueError("expected either an answer or a reason")
    clip_id, class_name, reason = (from_text(row[column]) for column in COLUMNS)
    return Answer(clip_id, class_name, tuple(ranking), reason)
