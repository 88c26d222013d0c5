"""Two folders of results, row by row: scores of both, their difference, and what else differs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avca_pipeline.analysis import comparison
from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.answers import read as read_answers
from avca_pipeline.artifacts import records
from avca_pipeline.artifacts import scores as score_files
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.reporting.tables import SCORES, Row, rows_of

PAIRED = "classes and clips"
SEEDS = "seeds"
NOTHING = ""
"""What an interval is of: both on the same clips; only the seeds; there is none."""
NOT_COMPARED = frozenset({"name", "dim"})


@dataclass(frozen=True)
class Results:
    """A folder of results.

    Attributes:
        path: of the folder, as the user wrote it.
        rows: its table.
        folders: path of each run within the results to its folder.
    """

    path: Path
    rows: Sequence[Row]
    folders: Mapping[str, Path]


@dataclass(frozen=True)
class Cell:
    """A score of both results, as shares; ``None`` for what is not defined.

    Attributes:
        first: mean over seeds in the first results.
        second: the same in the second ones.
        low: end of the 95 % interval of second less first.
        high: the other end.
        is_thin: whether too few classes are behind it for the interval to be wide enough.
    """

    first: float | None
    second: float | None
    low: float | None = None
    high: float | None = None
    is_thin: bool = False

    @property
    def difference(self) -> float | None:
        """Second less first."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first

    @property
    def is_clear(self) -> bool:
        """Whether no difference lies outside of the interval, and enough classes are behind it."""
        if self.low is None or self.high is None or self.is_thin:
            return False
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Line:
    """A row of the table that both results have.

    Attributes:
        first: the row in the first results.
        second: the same in the second ones.
        cells: of each name in `SCORES`.
        interval_of: what the intervals are of: `PAIRED`, `SEEDS` or `NOTHING`.
        remark: why the intervals are not of classes and clips.
    """

    first: Row
    second: Row
    cells: Mapping[str, Cell]
    interval_of: str
    remark: str = ""


@dataclass(frozen=True)
class Change:
    """A setting, version or file that differs, in one row or several.

    Attributes:
        key: what differs.
        first: its value in the first results; ``not there`` where it has none.
        second: the same in the second ones.
        num_rows: in how many rows.
    """

    key: str
    first: str
    second: str
    num_rows: int


@dataclass(frozen=True)
class SideBySide:
    """Two results.

    Attributes:
        first: the first one.
        second: the second one.
        lines: rows of both.
        changes: what differs in rows of both, the most frequent first.
        only_first: titles of the rows that the first results alone have.
        only_second: the same of the second ones.
    """

    first: Results
    second: Results
    lines: Sequence[Line]
    changes: Sequence[Change]
    only_first: Sequence[str]
    only_second: Sequence[str]


def read(path: Path) -> Results:
    """Reads the scores of all runs in a folder of results, or in one below it.

    Raises:
        PipelineError: there are none, or they do not belong together.
    """
    try:
        files = sorted(path.rglob("scores.json")) if path.is_dir() else []
        # A killed workflow leaves second names of results.
        files = [file for file in files if records.KEPT not in file.relative_to(path).parts]
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror})") from error
    if not files:
        raise PipelineError(
            f"{path}: no scores.json in it; name the folder of results of runs that have ended"
        )
    found = [(file.parent, score_files.read(file)) for file in files]
    # A bundle has scores too, and is no run.
    runs = [
        (folder, one)
        for folder, one in found
        if folder.resolve().as_posix().endswith(f"/{one.run.path}")
    ]
    folders = {one.run.path: folder for folder, one in runs}
    return Results(path, rows_of(one for _, one in runs), folders)


def side_by_side(first: Results, second: Results) -> SideBySide:
    """Returns two results row by row, in the order of the first."""
    rows_of_second = {row.identity: row for row in second.rows}
    pairs = [
        (row, rows_of_second[row.identity])
        for row in first.rows
        if row.identity in rows_of_second
    ]  # fmt: skip
    both = {row.identity for row, _ in pairs}
    return SideBySide(
        first,
        second,
        [_line(first, second, *pair) for pair in pairs],
        _changes(pairs),
        [row.title for row in first.rows if row.identity not in both],
        [row.title for row in second.rows if row.identity not in both],
    )


def _line(first: Results, second: Results, old: Row, new: Row) -> Line:
    means = {name: (old.scores[name].mean, new.scores[name].mean) for name in SCORES}
    answers, remark = _answers(first, second, old, new)
    found, compared = {}, None
    if answers is not None:
        try:
            compared = comparison.compare(answers)
            found = {part.score: part for part in compared.differences}
        except FormatError:  # The clips are the same, their classes are not.
            remark = "other classes"
    if compared is not None:
        cells = {}
        for name, (before, after) in means.items():
            ends: tuple[float | None, float | None] = (None, None)
            if name in found:
                interval = found[name].interval
                ends = (interval.low, interval.high)
                if found[name].first == 0:  # then the difference is that of the first results
                    ends = (-interval.high, -interval.low)
            cells[name] = Cell(before, after, *ends, compared.is_thin(name))
        return Line(old, new, cells, PAIRED)
    cells = {
        name: Cell(*means[name], *_interval_of_seeds(old, new, name)) for name in SCORES
    }  # fmt: skip
    has_interval = any(cell.low is not None for cell in cells.values())
    return Line(old, new, cells, SEEDS if has_interval else NOTHING, remark)


def _answers(
    first: Results, second: Results, old: Row, new: Row
) -> tuple[list[list[Answers]] | None, str]:
    """Returns the answers of both rows where they are on the same clips, else why they are not."""
    answers = []
    for results, row in ((first, old), (second, new)):
        files = [results.folders[run.run.path] / "predictions.csv" for run in row.runs]
        if missing := [file for file in files if not file.is_file()]:
            return None, f"no {missing[0].name} in {results.path}"
        answers.append([read_answers(file, run) for file, run in zip(files, row.runs, strict=True)])
    one, other = answers[0][0], answers[1][0]
    if list(one.clip_ids) != list(other.clip_ids):
        num_both = len({*one.clip_ids} & {*other.clip_ids})
        return None, (
            f"other test clips: {len(one.clip_ids)} and {len(other.clip_ids)}, {num_both} in both"
        )
    return answers, ""


def _interval_of_seeds(old: Row, new: Row, name: str) -> tuple[float | None, float | None]:
    """Returns the ends of Student's interval for the difference of the means over seeds."""
    from scipy import stats

    before, after = ([getattr(run.scores, name) for run in row.runs] for row in (old, new))
    if None in before or None in after or min(len(before), len(after)) < 2:
        return None, None
    if len(set(before)) == 1 and len(set(after)) == 1:  # seeds say nothing of this score
        return None, None
    found = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    return float(found.low), float(found.high)


def _changes(pairs: Sequence[tuple[Row, Row]]) -> list[Change]:
    counts: dict[tuple[str, str, str], int] = {}
    for old, new in pairs:
        before, after = _facts(old), _facts(new)
        for key in sorted(before.keys() | after.keys()):
            values = before.get(key, "not there"), after.get(key, "not there")
            if values[0] != values[1]:
                counts[key, *values] = counts.get((key, *values), 0) + 1
    changes = [Change(*key, number) for key, number in counts.items()]
    return sorted(changes, key=lambda change: (-change.num_rows, change.key))


def _facts(row: Row) -> dict[str, str]:
    """Returns what the scores of a row say of their making, key by key."""
    run = row.runs[0]
    facts = dict(_flat("", asdict(run.provenance)))
    facts["seeds"] = ", ".join(str(one.run.seed) for one in row.runs)
    for is_unseen, kind in ((False, "seen"), (True, "unseen")):
        classes = [part for part in run.per_class if part.is_unseen == is_unseen]
        facts[f"test clips of {kind} classes"] = str(sum(part.num_clips for part in classes))
        facts[f"{kind} classes"] = _short(sorted(part.class_name for part in classes))
    return facts


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value[:1] == "{":
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in NOT_COMPARED:
                yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, str(value)


def _short(names: Sequence[str]) -> str:
    return f"{len(names)}: {', '.join(names)}"
