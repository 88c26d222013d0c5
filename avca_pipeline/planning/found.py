"""Runs of other configs among the results: the report has them beside those of the config.

A run is found by the record of its scores. It counts if it is complete and nothing that it was made
from has changed since; others are named as left out. Jobs of the config may make anew what such a
run was made from, so that the report looks once more before it reads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from avca_pipeline.artifacts import records
from avca_pipeline.artifacts.manifest import shard_names
from avca_pipeline.artifacts.records import Record
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.job import File
from avca_pipeline.requests import ReportedDataset, ReportedRun, ReportRequest

logger = logging.getLogger(__name__)

RUN = "*/runs/*/*/*/*/seed*/scores.json"
OF_RUN = ("scores.json", "embeddings.h5", "predictions.csv", "selection.json")


@dataclass
class Found:
    """What other configs have made.

    Attributes:
        runs: complete runs.
        datasets: of these runs, with what was made of them.
        left_out: paths of runs that cannot be reported.
        recipes: path of each of their files to its recipe.
    """

    runs: list[ReportedRun] = field(default_factory=list)
    datasets: list[ReportedDataset] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    recipes: dict[str, str] = field(default_factory=dict)

    def paths(self) -> dict[str, list[str]]:
        """Returns what the report reads: option of its command to files in the report's order."""
        folders = [reported.run.path for reported in self.runs]
        splits = [(part.dataset, split) for part in self.datasets for split in part.splits]
        return {
            "scores": [f"{folder}/scores.json" for folder in folders],
            "embeddings": [f"{folder}/embeddings.h5" for folder in folders],
            "predictions": [f"{folder}/predictions.csv" for folder in folders],
            "histories": [
                f"{reported.run.path}/stage1/{candidate}/history.json"
                for reported in self.runs
                for candidate in reported.candidates
            ],
            "audits": [f"{dataset}/splits/{split}.audit.json" for dataset, split in splits],
            "data_audits": [f"{dataset}/audits/{split}.json" for dataset, split in splits],
            "manifests": [f"{part.dataset}/manifest.csv" for part in self.datasets],
            "fetched": [
                f"{part.dataset}/fetched/{shard}.csv"
                for part in self.datasets
                if part.num_shards
                for shard in shard_names(part.num_shards)
            ],
            "features": [
                f"{part.dataset}/features/{name}.h5"
                for part in self.datasets
                for name in part.features
            ],
            "applied": [
                f"{part.dataset}/predictions/{name}.csv"
                for part in self.datasets
                for name in part.applied
            ],
        }

    def files(self) -> dict[str, list[File]]:
        """Returns the same with recipes."""
        return {
            option: [File(path, self.recipes[path]) for path in listed]
            for option, listed in self.paths().items()
        }


def training_of(request: Mapping[str, Any]) -> str:
    """Returns what the runs of one row of the table have in common in the request of stage 2."""
    return canonical_json({key: value for key, value in request.items() if key != "seed"})


def found(results: Path, own: Mapping[str, str], digests: Digests) -> Found:
    """Returns the runs of other configs.

    A run that would stand in a row with runs of another training, because two configs give the same
    name to different settings, is left out. The config's own runs come first.

    Args:
        results: the folder of all results.
        own: path of each of the config's runs to its training, see `training_of`.
        digests: of files.
    """
    folders = [place.parent.relative_to(results).as_posix() for place in sorted(results.glob(RUN))]
    training_of_row = {_row(path): training for path, training in own.items()}
    others = [folder for folder in folders if folder not in own]
    return _whole(results, others, training_of_row, digests)


def out_of_date(results: Path) -> list[str]:
    """Returns paths of runs among the results that a report would leave out.

    Results without records say nothing about that.
    """
    if not (results / records.FOLDER).is_dir():
        return []
    return found(results, {}, Digests(results / records.FOLDER / "digests.json")).left_out


def found_still(
    request: ReportRequest, files: Mapping[str, Sequence[Path]], results: Path
) -> tuple[ReportRequest, dict[str, list[Path]]]:
    """Returns a request and its files without runs of other configs that are out of date by now.

    Args:
        request: as it was planned.
        files: option of the report's command to its files; those of other configs come last.
        results: the folder of all results.
    """
    planned = Found(list(request.found_runs), list(request.found_datasets))
    folders = [reported.run.path for reported in planned.runs]
    now = _whole(results, folders, {}, Digests(results / records.FOLDER / "digests.json"))
    if not now.left_out:
        return request, {option: list(paths) for option, paths in files.items()}
    for folder in now.left_out:
        logger.warning(f"report: {folder}: left out, what it was made from has changed")
    before, after = planned.paths(), now.paths()
    changed = request.model_copy(
        update={
            "found_runs": tuple(now.runs),
            "found_datasets": tuple(now.datasets),
            "left_out": (*request.left_out, *now.left_out),
        }
    )
    return changed, {
        option: [
            *paths[: len(paths) - len(before[option])],
            *(results / path for path in after[option]),
        ]
        for option, paths in files.items()
    }


def _whole(
    results: Path, folders: Iterable[str], training_of_row: dict[str, str], digests: Digests
) -> Found:
    """Returns which of these runs can be reported, see `found`."""
    value, reader = Found(), _Reader(results, digests)
    parts: dict[str, tuple[set[str], set[str]]] = {}
    for folder in folders:
        reported = reader.run(folder)
        training = reader.training(folder)
        if reported is None or training_of_row.setdefault(_row(folder), training) != training:
            value.left_out.append(folder)
            continue
        value.runs.append(reported)
        features, splits = parts.setdefault(reported.run.dataset, (set(), set()))
        features.update(reader.features(reported.run))
        splits.add(reported.run.split)
    value.datasets = [
        reader.dataset(name, features, splits) for name, (features, splits) in sorted(parts.items())
    ]
    value.recipes = reader.recipes
    return value


def _row(path: str) -> str:
    """Returns what the paths of all seeds of a row begin with."""
    return path.rpartition("/")[0]


class _Reader:
    """Reads records, and remembers the recipe of each file that is as its record says."""

    def __init__(self, results: Path, digests: Digests) -> None:
        self.results, self.digests = results, digests
        self.recipes: dict[str, str] = {}

    def run(self, folder: str) -> ReportedRun | None:
        """Returns the run in a folder; ``None`` if a file of it is missing or out of date."""
        record = self._record(f"{folder}/scores.json")
        chosen = self._record(f"{folder}/selection.json")
        if record is None or chosen is None:
            return None
        try:
            run = TypeAdapter(Run).validate_python(record.request.get("run"))
        except ValidationError:
            return None
        candidates = chosen.request.get("candidates")
        if run.path != folder or not isinstance(candidates, list):
            return None
        data = [f"{run.dataset}/splits/{run.split}.audit.json", f"{run.dataset}/manifest.csv"]
        audit = f"{run.dataset}/audits/{run.split}.json"
        features = [f"{run.dataset}/features/{name}.h5" for name in self.features(run)]
        made = [f"{folder}/{name}" for name in OF_RUN]
        made += [f"{folder}/stage1/{candidate}/history.json" for candidate in candidates]
        if not self._are_whole([*made, *data, audit, *features]):
            return None
        return ReportedRun(run=run, candidates=tuple(map(str, candidates)))

    def training(self, folder: str) -> str:
        """Returns what the runs of one row have in common, or nothing."""
        record = self._record(f"{folder}/stage2.pt")
        return training_of(record.request) if record else ""

    def features(self, run: Run) -> list[str]:
        """Returns the names of the features that a run was scored with."""
        record = self._record(f"{run.path}/scores.json")
        begin = f"{run.dataset}/features/"
        return sorted(
            path.removeprefix(begin).removesuffix(".h5")
            for path in (record.inputs if record else ())
            if path.startswith(begin)
        )

    def dataset(self, name: str, features: Iterable[str], splits: Iterable[str]) -> ReportedDataset:
        """Returns a dataset with what runs use of it; shards only if their tables are there."""
        record = self._record(f"{name}/manifest.csv")
        request: Mapping[str, Any] = record.request if record else {}
        settings = request.get("settings")
        number = request.get("num_shards")
        shards = shard_names(number) if isinstance(number, int) and number > 0 else []
        is_fetched = self._are_whole(f"{name}/fetched/{shard}.csv" for shard in shards)
        return ReportedDataset(
            dataset=name,
            num_shards=len(shards) if is_fetched else 0,
            features=tuple(sorted(features)),
            splits=tuple(sorted(splits)),
            plugin=str(request.get("plugin", "")),
            benchmark=str(settings.get("benchmark", "")) if isinstance(settings, dict) else "",
        )

    def _are_whole(self, paths: Iterable[str]) -> bool:
        """Returns whether files are as their records say, and made from what is there now."""
        for path in paths:
            record = self._record(path)
            if record is None or not self._is_current(path, record.digest):
                return False
            if not all(self._is_current(*made_from) for made_from in record.inputs.items()):
                return False
            self.recipes[path] = record.recipe
        return True

    def _is_current(self, path: str, digest: str) -> bool:
        try:
            return self.digests.of(self.results / path) == digest
        except OSError:
            return False

    def _record(self, path: str) -> Record | None:
        return records.read(self.results, self.results / path)
