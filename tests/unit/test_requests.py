"""What each stage is asked for by a config, and what an experiment uses, written out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from avca_pipeline import cli
from avca_pipeline import config as avca_config
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.cli.commands import COMMANDS
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.planning.requests import Requests
from avca_pipeline.requests import PluginUse, ReportedDataset, ReportedRun, Request
from avca_pipeline.settings import PluginSettings, descriptions
from avca_pipeline.stages import VERSIONS

SHARD = "00000-of-00003"
RAW: dict[str, Any] = {
    "datasets": {
        "small": {"plugin": "demo", "num_shards": 3, "max_missing": 0.1},
        "other": {"plugin": "table", "path": "clips.csv"},
    },
    "limits": {"max_pixels": 1000, "max_duration_s": 9},
    "backbones": {
        "frames": {"plugin": "timm_frames"},
        "known": {"plugin": "timm_frames", "weights": "published"},
        "stated": {"plugin": "timm_frames", "pretraining_classes": "classes.txt"},
        "vggish": {},
    },
    "imported": {"there": {"modality": "audio", "path": "features"}},
    "feature_sets": {
        "plain": {"video": "frames", "audio": "vggish"},
        "scaled": {"video": "known", "audio": "there", "scaling": "standard"},
        "told": {"video": "stated", "audio": "vggish"},
    },
    "text_embeddings": {"hashed": {}, "short": {"plugin": "hashed", "dim": 9}},
    "splits": {
        "built": {"exclude_pretraining_of": ["known"]},
        "free": {"plugin": "built"},
        "official": {"path": "lists", "benchmark": "UCF", "lists": "cls"},
    },
    "models": {
        "avca": {"epochs": 7, "search": {"learning_rate": [0.25, 0.5]}},
        "sje": {},
    },
    "experiment": [
        {"datasets": ["small"], "feature_sets": ["plain"], "text_embeddings": ["hashed"],
         "splits": ["built"], "models": ["avca"], "seeds": [0, 1]},
        {"datasets": ["small"], "feature_sets": ["plain", "scaled"], "text_embeddings": ["short"],
         "splits": ["free"], "models": ["sje"], "seeds": [0]},
        {"datasets": ["other"], "feature_sets": ["told"], "text_embeddings": ["hashed"],
         "splits": ["free", "official"], "models": ["sje"]},
        {"datasets": ["small"], "feature_sets": ["plain"], "text_embeddings": ["hashed"],
         "splits": ["built"], "models": ["avca"], "seeds": [1, 2]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def config() -> avca_config.Config:
    return avca_config.parse(RAW)


@pytest.fixture(scope="module")
def requests(config: avca_config.Config) -> Requests:
    return Requests(config, dict.fromkeys(VERSIONS, 4))


def test_what_is_kept_of_a_dataset(config: avca_config.Config, requests: Requests) -> None:
    sizes = {name: (entry.num_shards, entry.max_missing) for name, entry in config.datasets.items()}
    assert sizes == {"small": (3, 0.1), "other": (1, 0.3)}
    assert requests.manifest("other").model_dump() == {
        "version": 4, "plugin": "table", "package": "", "num_shards": 1,
        "settings": {"path": "clips.csv"},
    }  # fmt: skip


def test_what_extraction_is_asked_for(requests: Requests) -> None:
    request = requests.extract("small", "frames", SHARD)
    assert (request.backbone, request.plugin, request.shard) == ("frames", "timm_frames", SHARD)
    assert request.settings["weights"] == "random"
    assert (request.limits.max_pixels, request.limits.max_duration_s) == (1000, 9)
    assert requests.fetch("small", SHARD).max_bytes == MAX_BYTES


def test_what_a_split_and_its_audits_are_asked_for(
    config: avca_config.Config, requests: Requests
) -> None:
    # Random weights without a list know no class; what is excluded counts even if unused.
    backbones = requests.split("small", "built").backbones
    assert set(backbones) == {"known"}
    assert backbones["known"] is not None
    assert backbones["known"].settings["weights"] == "published"
    backbones = requests.split("small", "free").backbones
    assert set(backbones) == {"known", "stated", "there"}
    assert backbones["there"] is None
    assert set(requests.split("other", "official").backbones) == {"stated"}
    assert config.pretraining_lists("free") == [Path("classes.txt")]
    assert config.pretraining_lists("built") == []
    audit = requests.audit("small", "free")
    assert (audit.plugin, audit.max_missing, audit.num_shards) == ("built", 0.1, 3)
    assert audit.features == ("frames", "known", "there", "vggish")
    assert {name for names in audit.feature_sets.values() for name in names} == {*audit.features}
    assert audit.text_embeddings == ("short",)
    audit = requests.audit("other", "free")
    assert (audit.max_missing, audit.num_shards) == (0.3, 1)
    assert (audit.features, audit.text_embeddings) == (("stated", "vggish"), ("hashed",))


def test_what_export_and_import_are_asked_for(requests: Requests) -> None:
    official = requests.export("other", "official")
    assert (official.benchmark, official.lists) == ("UCF", "cls")
    free = requests.export("other", "free")
    assert (free.benchmark, free.lists) == ("other", "main")
    imported = requests.import_("small", "there", SHARD)
    assert (imported.features, imported.shard) == ("there", SHARD)
    assert (imported.source.modality, imported.source.path) == ("audio", Path("features"))


def test_what_training_is_asked_for(requests: Requests) -> None:
    run = ("small", "free", "scaled", "short", "avca", "3")
    request = requests.train_stage2(*run)
    assert (request.plugin, request.scaling, request.seed) == ("avca", "standard", 3)
    rates = {name: settings["learning_rate"] for name, settings in request.candidates.items()}
    assert rates == {"learning_rate=0.25": 0.25, "learning_rate=0.5": 0.5}
    assert {settings["epochs"] for settings in request.candidates.values()} == {7}
    assert requests.select(*run).candidates == tuple(rates)
    plain = ("small", "built", "plain", "hashed", "avca", "0")
    request = requests.train_stage1(*plain, "learning_rate=0.5")
    assert request.scaling == "none"
    assert {name: settings["learning_rate"] for name, settings in request.candidates.items()} == {
        "learning_rate=0.5": 0.5
    }
    sje = requests.train_stage2("small", "free", "plain", "short", "sje", "0")
    assert list(sje.candidates) == ["default"]


def test_what_evaluation_and_report_are_asked_for(requests: Requests) -> None:
    names = ("small", "free", "scaled", "short", "sje", "0")
    request = requests.evaluate(*names)
    assert request.run == Run("small", "free", "scaled", "short", "sje", 0)
    assert (request.video, request.audio) == ("known", "there")
    report = requests.report()
    assert sorted(reported.run.path for reported in report.runs) == RUNS
    assert {reported.candidates for reported in report.runs if reported.run.model == "avca"} == {
        ("learning_rate=0.25", "learning_rate=0.5")
    }
    small, other = report.datasets
    assert (small.dataset, small.num_shards) == ("small", 3)
    assert small.features == ("frames", "known", "there", "vggish")
    assert set(small.splits) == {"built", "free"}
    assert (other.dataset, other.num_shards) == ("other", 1)
    assert other.features == ("stated", "vggish")
    assert set(other.splits) == {"free", "official"}


def test_every_request_comes_through_a_command_line_as_it_was(requests: Requests) -> None:
    run = ("small", "built", "plain", "hashed", "avca", "0")
    jobs = {
        "manifest": ("small",), "fetch": ("small", SHARD), "extract": ("small", "frames", SHARD),
        "import": ("small", "there", SHARD), "gather": ("small", "frames"),
        "embed": ("small", "hashed"), "split": ("small", "built"), "audit": ("small", "built"),
        "train_stage1": (*run, "learning_rate=0.5"), "select": run, "train_stage2": run,
        "evaluate": run, "report": (), "export": run[:4],
    }  # fmt: skip
    of_commands = {command.name: command.request for command in COMMANDS}
    for rule, names in jobs.items():
        request = requests(rule, *names)
        kind = of_commands["train" if rule.startswith("train") else rule]
        assert type(request) is kind
        assert request.version == 4
        text = canonical_json(request.model_dump(mode="json"))
        assert avca_config.validated(kind, json.loads(text), "--settings") == request


def every_model(kind: type[BaseModel]) -> set[type[BaseModel]]:
    return {kind, *(model for child in kind.__subclasses__() for model in every_model(child))}


def test_every_key_of_a_request_is_described() -> None:
    kinds = [*every_model(Request), PluginUse, ReportedRun, ReportedDataset]
    assert len(kinds) > 13
    for kind in kinds:
        assert descriptions(kind).keys() == kind.model_fields.keys(), kind
        assert all(text.endswith(".") for text in descriptions(kind).values())


def test_texts_may_begin_left_of_their_class() -> None:
    class Inside(PluginSettings):
        first: int = 0
        """What the first
is for."""
        second: int = 0
        """What the second is for."""

    expected = {"first": "What the first\nis for.", "second": "What the second is for."}
    assert descriptions(Inside) == expected


@pytest.mark.parametrize(
    ("command", "settings", "message"),
    [
        (
            "select",
            {"candidates": ["a"], "candidate": []},
            "--settings: unknown key 'candidate'; did you mean ",
        ),
        ("gather", {"features": "a"}, "--settings.num_shards: is missing"),
        ("gather", {"features": "a", "num_shards": 0}, "--settings.num_shards: "),
    ],
)
def test_a_wrong_request_is_one_line(
    command: str,
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {"select": ["--histories"], "gather": ["--features", str(tmp_path / "no.h5")]}
    arguments = [command, "--settings", json.dumps(settings), *files[command]]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"avca {command}: error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_more_names_than_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = json.dumps({"candidates": ["a", "b"]})
    out = tmp_path / "selection.json"
    code = cli.main(["select", "--settings", settings, "--histories", "a", "--out", str(out)])
    assert code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--histories: the request names 2 of them, found 1 files" in line


RUNS = [
    "other/runs/free/told/hashed/sje/seed0",
    "other/runs/official/told/hashed/sje/seed0",
    "small/runs/built/plain/hashed/avca/seed0",
    "small/runs/built/plain/hashed/avca/seed1",
    "small/runs/built/plain/hashed/avca/seed2",
    "small/runs/free/plain/short/sje/seed0",
    "small/runs/free/scaled/short/sje/seed0",
]


def test_what_an_experiment_uses(config: avca_config.Config) -> None:
    assert sorted(run.path for run in config.runs()) == RUNS
    assert config.used_features_of_split("free") == ["frames", "known", "stated", "there", "vggish"]
    assert config.used_features_of_split("free", "other") == ["stated", "vggish"]
    assert config.used_features_of_split("built") == ["frames", "vggish"]
    assert config.used_text_embeddings_of_split("free", "small") == ["short"]
    assert config.used_text_embeddings_of_split("free", "other") == ["hashed"]
    assert config.used_text_embeddings_of_split("built", "other") == []
    assert config.used_backbones() == ["frames", "known", "stated", "there", "vggish"]
    assert config.datasets_with_media() == ["other", "small"]
