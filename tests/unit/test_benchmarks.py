"""The ready benchmarks, and the published numbers that the report puts beside theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline.artifacts.audits import SplitMethod
from avca_pipeline.published.scores import published, table
from avca_pipeline.reporting.tables import Row, Statistic
from tests.builders import scores_of
from tests.conftest import REPOSITORY

PUBLISHED_METHODS = {"ale", "apn", "avca", "avgzslnet", "cjme", "devise", "fvaegan", "sje"}
BENCHMARKS = sorted((REPOSITORY / "workflow" / "benchmarks").glob("*.yaml"))


@pytest.fixture(params=BENCHMARKS, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> avca_config.Config:
    return avca_config.parse(yaml.safe_load(request.param.read_text()))


def row(config: avca_config.Config, run: avca_config.Run) -> Row:
    """Returns the row that a run becomes part of."""
    identity = (run.dataset, run.split, run.feature_set, run.text_embedding, run.model)
    scores = scores_of(run)
    provenance = replace(scores.provenance, model=config.models[run.model].plugin)
    return Row(identity, (replace(scores, provenance=provenance),), {}, Statistic(None, None))


def split_of(config: avca_config.Config, run: avca_config.Run) -> SplitMethod:
    entry = config.splits[run.split]
    return SplitMethod(entry.plugin, entry.settings.model_dump(mode="json"))


def test_the_whole_table_is_run(config: avca_config.Config) -> None:
    runs = config.runs()
    for combination in {(run.split, run.feature_set) for run in runs}:
        found = [run for run in runs if (run.split, run.feature_set) == combination]
        plugins = [config.models[run.model].plugin for run in found]
        assert set(plugins) == PUBLISHED_METHODS
        assert len({run.seed for run in found}) == 5
        assert len(found) == 5 * len(set(plugins))


def test_inputs_are_normalised_where_published(config: avca_config.Config) -> None:
    for run in config.runs():
        settings = config.models[run.model].settings.model_dump()
        normalises = settings.get("normalises_inputs", False)
        assert normalises == (run.split == "cls" and "normalises_inputs" in settings)


def beside_row(row: Row, split: SplitMethod | None) -> dict[str, float]:
    return published(split, row.names["feature_set"], row.names["model"], row.method)


def test_every_published_number_stands_beside_one_row() -> None:
    beside: dict[tuple[str, ...], set[tuple[float, ...]]] = {}
    for path in BENCHMARKS:
        config = avca_config.parse(yaml.safe_load(path.read_text()))
        for run in config.runs():
            found = beside_row(row(config, run), split_of(config, run))
            if found:
                key = (path.stem.split("-")[0], run.split, run.feature_set, run.model)
                beside.setdefault(key, set()).add(tuple(found.values()))
    assert all(len(values) == 1 for values in beside.values())
    assert len(beside) == len(table())


def test_a_published_number_stands_beside_nothing_else(config: avca_config.Config) -> None:
    run = config.runs()[0]
    mine, split = row(config, run), split_of(config, run)
    assert beside_row(mine, split)
    other_lists = replace(split, settings={**split.settings, "lists": "cls"})
    built = SplitMethod("built", {})
    assert not any(beside_row(mine, other) for other in (other_lists, built, None))
    for position, name in ((2, "mine"), (4, "ablation")):
        identity = (*mine.identity[:position], name, *mine.identity[position + 1 :])
        assert not beside_row(Row(identity, mine.runs, {}, mine.bias), split)


def test_published_numbers_are_consistent() -> None:
    """A slip in copying one of S, U and HM would show."""
    with_all = [scores for scores in table().values() if len(scores) == 4]
    assert with_all
    for scores in with_all:
        mean = 2 * scores["seen"] * scores["unseen"] / (scores["seen"] + scores["unseen"])
        assert mean == pytest.approx(scores["hm"], abs=2e-4)
