"""What each stage took, and when, where and by what command it ran: read off the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avca_pipeline.artifacts import kept_configs, records
from avca_pipeline.artifacts.kept_configs import KeptConfig
from avca_pipeline.artifacts.run import Run
from avca_pipeline.reporting.tables import Row
from avca_pipeline.requests import ReportRequest

RUNS = "runs"
WHERE = ("command", "config", "host", "cpu", "gpu", "version", "commit")
Made = Mapping[str, Any]
"""The circumstances of one job."""


@dataclass(frozen=True)
class Cost:
    """What the jobs of one stage took.

    Attributes:
        stage: name of it.
        num_jobs: how many jobs ran.
        seconds: of all jobs together.
        longest: seconds of the longest job.
        cpu_seconds: of all jobs together.
        memory_mb: of the largest process.
        device: on what the jobs computed.
        log: link to the log of a job, or to the folder of several; empty if there is none.
    """

    stage: str
    num_jobs: int
    seconds: float
    longest: float
    cpu_seconds: float
    memory_mb: float
    device: str
    log: str


@dataclass(frozen=True)
class Origin:
    """Jobs that ran under the same circumstances.

    Attributes:
        stages: their names.
        first: when the first of them ended.
        last: when the last of them ended.
        known: what `WHERE` names, as far as it is known.
    """

    stages: Sequence[str]
    first: str
    last: str
    known: Mapping[str, str]


@dataclass(frozen=True)
class Costs:
    """The costs of what a title names, and where it comes from."""

    title: str
    stages: Sequence[Cost]
    origins: Sequence[Origin]


@dataclass(frozen=True)
class Origins:
    """Where the results come from.

    Attributes:
        costs: of the data and of each row.
        configs: with which they were made.
        found: identity of each row with runs of another config to words about that.
        left_out: paths of runs of other configs that are not complete, or out of date.
    """

    costs: Sequence[Costs]
    configs: Sequence[KeptConfig]
    found: Mapping[tuple[str, ...], str]
    left_out: Sequence[str]


def origins_of(results: Path, request: ReportRequest, rows: Sequence[Row]) -> Origins:
    """Returns where the results come from, read off their records.

    Args:
        results: the folder of all results.
        request: names the datasets, and which runs are of other configs.
        rows: the table.
    """
    of_others = {reported.run for reported in request.found_runs}
    found, jobs = {}, []
    for row in rows:
        runs = [one.run for one in row.runs]
        jobs += made_by_runs(results, runs)
        others = [run for run in runs if run in of_others]
        if others:
            seeds = ", ".join(str(run.seed) for run in others)
            which = "" if len(others) == len(runs) else f"seed {seeds} "
            found[row.identity] = f"{which}of another config{_of(made_by_runs(results, others))}"
    datasets = [part.dataset for part in request.all_datasets]
    costs = all_costs(results, datasets, rows)
    return Origins(costs, configs_of(results, jobs), found, request.left_out)


def _of(jobs: Sequence[Made]) -> str:
    """Returns the config and the date of jobs in words, as far as they are known."""
    names = dict.fromkeys(str(job["config"]) for job in jobs if job.get("config"))
    dates = sorted(str(job["at"])[:10] for job in jobs if job.get("at"))
    return "".join(f", {word}" for word in (*names, *dates[-1:]))


def all_costs(results: Path, datasets: Sequence[str], rows: Sequence[Row]) -> list[Costs]:
    """Returns the costs of the data of each dataset and of the runs of each row.

    Args:
        results: the folder of all results.
        datasets: names of the datasets.
        rows: the table.
    """
    found = []
    for dataset in dict.fromkeys(datasets):
        folder = results / records.FOLDER / dataset
        paths = [
            path for path in folder.rglob("*.json") if path.relative_to(folder).parts[0] != RUNS
        ]
        found.append(_costs(f"{dataset}: data", results, _made(results, paths)))
    for row in rows:
        found.append(
            _costs(row.title, results, made_by_runs(results, [one.run for one in row.runs]))
        )
    return [costs for costs in found if costs.stages]


def made_by_runs(results: Path, runs: Sequence[Run]) -> list[Made]:
    """Returns the circumstances of each job of some runs."""
    folders = [results / records.FOLDER / run.path for run in runs]
    return _made(results, [path for folder in folders for path in folder.rglob("*.json")])


def _made(results: Path, paths: Sequence[Path]) -> list[Made]:
    """Returns the circumstances of each job; a job may have made several files."""
    jobs: dict[tuple[str, str], Made] = {}
    for path in sorted(paths):
        place = path.relative_to(results / records.FOLDER).as_posix().removesuffix(".json")
        record = records.read(results, results / place)
        if record is not None and isinstance(record.made.get("seconds"), int | float):
            key = (str(record.made.get("log") or place), str(record.made.get("at")))
            jobs.setdefault(key, record.made)
    return list(jobs.values())


def _costs(title: str, results: Path, jobs: Sequence[Made]) -> Costs:
    by_stage: dict[str, list[Made]] = {}
    by_place: dict[tuple[str, ...], list[Made]] = {}
    for job in sorted(jobs, key=lambda job: str(job.get("at"))):
        by_stage.setdefault(str(job.get("stage", "?")), []).append(job)
        by_place.setdefault(tuple(str(job.get(key, "")) for key in WHERE), []).append(job)
    return Costs(
        title,
        [_cost(stage, results, some) for stage, some in by_stage.items()],
        [
            Origin(
                list(dict.fromkeys(str(job.get("stage", "?")) for job in some)),
                str(some[0].get("at", "–")),
                str(some[-1].get("at", "–")),
                {key: value for key, value in zip(WHERE, place, strict=True) if value},
            )
            for place, some in by_place.items()
        ],
    )


def _cost(stage: str, results: Path, jobs: Sequence[Made]) -> Cost:
    def numbers(key: str) -> list[float]:
        return [float(job[key]) for job in jobs if isinstance(job.get(key), int | float)] or [0.0]

    logs = [str(job["log"]) for job in jobs if job.get("log")]
    log = logs[0] if len(set(logs)) == 1 else logs[0].rpartition("/")[0] if logs else ""
    return Cost(
        stage,
        len(jobs),
        sum(numbers("seconds")),
        max(numbers("seconds")),
        sum(numbers("cpu_seconds")),
        max(numbers("memory_mb")),
        ", ".join(dict.fromkeys(str(job.get("gpu") or "CPU") for job in jobs)),
        f"./{quote(log)}" if log and (results / log).exists() else "",
    )


def configs_of(results: Path, jobs: Sequence[Made]) -> list[KeptConfig]:
    """Returns the configs that jobs were started with, as far as they were kept."""
    names = dict.fromkeys(str(job["kept_config"]) for job in jobs if job.get("kept_config"))
    return [kept for name in names if (kept := kept_configs.read(results, name)) is not None]


def in_words(seconds: float) -> str:
    """Returns a time such as ``"3 min 20 s"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
