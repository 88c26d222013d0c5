"""The report has the runs of other configs among the results, and only what is whole of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.artifacts import fetched, manifest, records
from avca_pipeline.artifacts.manifest import shard_of
from avca_pipeline.artifacts.run import Run
from avca_pipeline.config import parse
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.found import found_still, out_of_date
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.planning.staleness import staleness
from avca_pipeline.stages import VERSIONS

OF_AVCA = "small/runs/built/both/hashed/avca/seed0"
OF_ALE = "small/runs/built/both/hashed/ale/seed0"


def jobs(
    folder: Path, models: dict[str, Any], seeds: tuple[int, ...] = (0,), **sections: Any
) -> Jobs:
    """Returns the jobs of a config with these models on one folder of results."""
    config = parse(
        {
            "results": str(folder / "results"),
            "datasets": {"small": {"plugin": "demo", "num_shards": 2}},
            "backbones": {"c3d": {}, "vggish": {}},
            "feature_sets": {"both": {"video": "c3d", "audio": "vggish"}},
            "text_embeddings": {"hashed": {}},
            "splits": {"built": {}},
            "models": models,
            "experiment": {
                "datasets": ["small"], "feature_sets": ["both"], "models": [*models],
                "text_embeddings": ["hashed"], "splits": ["built"], "seeds": list(seeds),
            },
        }
        | sections
    )  # fmt: skip
    return Jobs(config, VERSIONS, Digests(folder / "results/records/digests.json"))


def make(made: Jobs) -> None:
    """Writes something for each result of a config, with its record, as the workflow does."""
    results = Path(made.config.results)
    for job in made:
        if job.rule == "export":
            continue
        for output in job.outputs:
            place = results / output
            place.parent.mkdir(parents=True, exist_ok=True)
            if job.rule == "manifest":
                entry = made.config.datasets["small"]
                clips = list(entry.module.clips(entry.settings))
                own = [one for one in clips if place.stem in ("manifest", shard_of(one.clip_id, 2))]
                manifest.write(place, own)
            elif job.rule == "fetch":
                fetched.write(place, [])
            elif not place.exists():
                place.write_text(f"{output} by {job.recipe}")
        inputs = {
            file.path: records.digest_of(results / file.path)
            for files in job.inputs.values()
            for file in files
        }
        made.expected(job).write(
            [results / output for output in job.outputs], inputs, json.loads(job.settings)
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which a config with AVCA has run."""
    make(jobs(tmp_path, {"avca": {}}))
    return tmp_path


def test_a_config_finds_no_other_s_runs_where_it_is_alone(folder: Path) -> None:
    alone = jobs(folder, {"avca": {}})
    assert not alone.found().runs
    assert not alone.found().left_out
    assert not staleness(alone).because_of


def test_runs_of_another_config_are_reported(folder: Path) -> None:
    first = jobs(folder, {"avca": {}})
    request = jobs(folder, {"ale": {}}).request.report()
    (own,), (found,) = request.runs, request.found_runs
    assert (own.run.path, found.run) == (
        OF_ALE,
        Run("small", "built", "both", "hashed", "avca", 0),
    )
    assert found.candidates == first.request.report().runs[0].candidates
    (dataset,) = request.found_datasets
    assert dataset == first.request.report().datasets[0]
    read = jobs(folder, {"ale": {}})("report").inputs
    before = first("report").inputs
    for option in ("scores", "predictions", "histories", "audits", "manifests", "fetched"):
        assert set(before[option]) <= set(read[option]), option


def test_the_report_follows_what_another_config_makes(folder: Path) -> None:
    """It is out of date when another config has made a run, and not on the run after that."""
    alone = jobs(folder, {"avca": {}})("report").recipe
    make(jobs(folder, {"ale": {}}))
    assert jobs(folder, {"avca": {}})("report").recipe != alone
    assert not staleness(jobs(folder, {"ale": {}})).because_of
    stale = staleness(jobs(folder, {"avca": {}})).because_of
    assert set(stale) == {"report.html", "report_files", "table.csv"}


def replaced(folder: Path) -> None:
    (folder / "results" / OF_AVCA / "scores.json").write_text("another")


def gone(folder: Path) -> None:
    (folder / "results" / OF_AVCA / "embeddings.h5").unlink()


def split_anew(folder: Path) -> None:
    (folder / "results/small/splits/built.csv").write_text("another")


def without_record(folder: Path) -> None:
    (folder / "results/records" / f"{OF_AVCA}/predictions.csv.json").unlink()


def damaged_record(folder: Path) -> None:
    (folder / "results/records" / f"{OF_AVCA}/selection.json.json").write_text('{"recipe": 1}')


@pytest.mark.parametrize("change", [replaced, gone, split_anew, without_record, damaged_record])
def test_what_is_not_whole_is_left_out_and_named(folder: Path, change: Any) -> None:
    change(folder)
    request = jobs(folder, {"ale": {}}).request.report()
    assert not request.found_runs
    assert request.left_out == (OF_AVCA,)
    assert out_of_date(folder / "results") == [OF_AVCA]


def test_another_training_of_the_same_name_is_in_no_row_with_ours(folder: Path) -> None:
    """A seed of the same settings belongs to the row; of other settings it does not."""
    request = jobs(folder, {"avca": {}}, (1,)).request.report()
    assert [reported.run.path for reported in request.found_runs] == [OF_AVCA]
    request = jobs(folder, {"avca": {"epochs": 3}}, (1,)).request.report()
    assert request.left_out == (OF_AVCA,)


def test_jobs_report_what_was_found_when_they_were_planned(folder: Path) -> None:
    """Whatever else is made meanwhile: all processes of a run have one request."""
    planned = jobs(folder, {"ale": {}})
    request = planned.settings("report")
    facts = folder / "facts.json"
    planned.facts.write(facts)
    gone(folder)
    later = Jobs(planned.config, VERSIONS, planned.digests, facts)
    assert later.settings("report") == request


@pytest.mark.parametrize(
    "sections",
    [
        {"feature_sets": {"both": {"video": "c3d"}}},
        {"splits": {"built": {"seed": 3}}},
        {"datasets": {"small": {"plugin": "demo", "num_shards": 2, "num_classes": 12}}},
    ],
)
def test_a_file_that_this_config_makes_anew_has_one_recipe(
    folder: Path, sections: dict[str, Any]
) -> None:
    """The report would wait for a file with both recipes in vain."""
    reads = jobs(folder, {"ale": {}}, **sections)("report").inputs
    listed = [file for files in reads.values() for file in files]
    assert len({file.path for file in listed}) == len(set(listed))


def test_a_run_that_is_out_of_date_by_the_time_of_the_report_is_left_out(folder: Path) -> None:
    make(jobs(folder, {"devise": {}}, seeds=(1,)))
    planned = jobs(folder, {"ale": {}})
    request, results = planned.request.report(), folder / "results"
    files = {
        option: [results / file.path for file in files]
        for option, files in planned("report").inputs.items()
    }
    assert found_still(request, files, results) == (request, files)
    gone(folder)
    changed, left = found_still(request, files, results)
    assert [reported.run.model for reported in changed.found_runs] == ["devise"]
    assert (changed.runs, changed.left_out) == (request.runs, (OF_AVCA,))
    assert left["scores"] == [path for path in files["scores"] if "/avca/" not in str(path)]
    assert len(left["histories"]) < len(files["histories"])
    split_anew(folder)
    changed, left = found_still(request, files, results)
    assert not changed.all_runs[1:]
    assert changed.all_datasets == request.datasets
    assert [len(paths) for paths in left.values()] == [
        len(planned("report").inputs[option]) - len(planned.found().paths()[option])
        for option in left
    ]
