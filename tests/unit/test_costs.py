"""What each stage took and where it ran, read off records and put into words."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from avca_pipeline.artifacts import kept_configs, records
from avca_pipeline.artifacts.records import Expected, Record
from avca_pipeline.artifacts.run import Run
from avca_pipeline.config import parse
from avca_pipeline.planning.kept_config import keep_config
from avca_pipeline.reporting.costs import all_costs, in_words, origins_of
from avca_pipeline.reporting.tables import rows_of
from avca_pipeline.requests import ReportedRun, ReportRequest
from avca_pipeline.runtime.circumstances import STARTED_BY, Stopwatch
from tests.builders import RUN, scores_of

HERE = {"host": "here", "cpu": "a CPU", "command": "avca run", "config": "c.yaml"}


def record(results: Path, path: str, **made: object) -> None:
    """Writes a record with these circumstances."""
    records.write(results, results / path, Record("recipe", made={**HERE, **made}))


def test_jobs_of_a_stage_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "d/logs/extract/a b").mkdir(parents=True)
    for number, seconds in enumerate((2.0, 5.0)):
        record(
            tmp_path, f"d/features/c3d/{number}.h5", stage="extract", seconds=seconds,
            cpu_seconds=1.5, memory_mb=100 * seconds, gpu="H100" if number else "",
            at=f"2026-01-0{number + 1}T00:00:00+00:00", log=f"d/logs/extract/a b/{number}.log",
        )  # fmt: skip
    for path in ("scores.json", "embeddings.h5"):  # of one job
        record(tmp_path, f"{RUN.path}/{path}", stage="evaluate", seconds=7.0, at="x", log="e.log")
    data, run = all_costs(tmp_path, ["d"], rows_of([scores_of()]))
    (extract,) = data.stages
    assert (extract.num_jobs, extract.seconds, extract.longest) == (2, 7, 5)
    assert (extract.cpu_seconds, extract.memory_mb, extract.device) == (3, 500, "CPU, H100")
    assert extract.log == "./d/logs/extract/a%20b"
    first, second = data.origins
    assert (first.first, first.known["host"], "gpu" in first.known) == (
        "2026-01-01T00:00:00+00:00", "here", False,
    )  # fmt: skip
    assert second.known["gpu"] == "H100"
    (evaluate,) = run.stages
    assert (evaluate.num_jobs, evaluate.seconds, evaluate.log) == (1, 7, "")


def test_a_run_of_another_config_is_named_with_config_and_date(tmp_path: Path) -> None:
    other = Run("d", "s", "f", "t", "m", 1)
    path = f"{other.path}/scores.json"
    record(tmp_path, path, stage="evaluate", seconds=1, at="2026-03-04T01:02:03+00:00")
    rows = rows_of([scores_of(), scores_of(other)])
    request = ReportRequest(
        runs=[ReportedRun(run=RUN, candidates=[])], datasets=[],
        found_runs=[ReportedRun(run=other, candidates=[])], left_out=["d/gone"],
    )  # fmt: skip
    origins = origins_of(tmp_path, request, rows)
    assert origins.found == {rows[0].identity: "seed 1 of another config, c.yaml, 2026-03-04"}
    assert list(origins.left_out) == ["d/gone"]


def test_a_command_knows_its_circumstances(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"command": "avca run http://me:secret@host/x", "config": "c.yaml", "other": "no"}
    monkeypatch.setenv(STARTED_BY, json.dumps(told))
    made = Stopwatch().read()
    assert made["config"] == "c.yaml"
    assert "secret" not in made["command"]
    assert "other" not in made
    assert made["memory_mb"] > 1
    assert made["seconds"] >= 0
    now = datetime.datetime.now(datetime.UTC)
    assert abs(datetime.datetime.fromisoformat(made["at"]) - now) < datetime.timedelta(days=1)


@pytest.mark.parametrize("told", ["no JSON", "[1]", '"x"'])
def test_a_strange_environment_is_no_error(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STARTED_BY, told)
    assert "command" not in Stopwatch().read()


def test_a_result_that_is_kept_keeps_its_circumstances(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    expected = Expected(tmp_path, "recipe", {})
    expected.write([tmp_path / "a"], {}, {}, {"seconds": 3})
    expected.write([tmp_path / "a"], {}, {})
    kept = records.read(tmp_path, tmp_path / "a")
    assert kept is not None
    assert kept.made == {"seconds": 3}


def test_a_config_is_kept_without_secrets_and_with_what_differs(tmp_path: Path) -> None:
    raw = {
        "results": str(tmp_path),
        "jobs_per_gpu": 2,
        "datasets": {"mine": {"plugin": "demo", "num_classes": 7}},
        "backbones": {"c3d": {}, "vggish": {}},
        "feature_sets": {"both": {"video": "c3d", "audio": "vggish"}},
        "text_embeddings": {"hashed": {}},
        "splits": {"built": {}},
        "models": {"avca": {"epochs": 3}},
        "experiment": {
            "datasets": ["mine"], "feature_sets": ["both"], "models": ["avca"],
            "text_embeddings": ["hashed"], "splits": ["built"],
        },
    }  # fmt: skip
    written = {**raw, "note": "https://me:secret@host/x"}
    name = keep_config(parse(raw), written, "config.yaml")
    kept = kept_configs.read(tmp_path, name)
    assert kept is not None
    differs = dict(kept.differs)
    assert differs["jobs_per_gpu"] == "2"
    assert differs["datasets.mine.num_classes"] == "7"
    assert differs["models.avca.epochs"] == "3"
    assert "models.avca.learning_rate" not in differs
    assert "secret" not in "".join(kept.lines)
    assert keep_config(parse(raw), written, "config.yaml") == name
    assert kept_configs.read(tmp_path, "../x") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
