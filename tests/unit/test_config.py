"""A wrong config gives one line that names the key and what would be right."""

from __future__ import annotations

import copy
import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline.commands import check
from avca_pipeline.errors import PipelineError
from avca_pipeline.models import avca
from avca_pipeline.planning.requests import Requests
from avca_pipeline.requests import Request
from avca_pipeline.stages import VERSIONS
from tests.conftest import REPOSITORY

DEFAULT = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def changed(change: Callable[[dict], Any]) -> dict:
    raw = copy.deepcopy(DEFAULT)
    change(raw)
    return raw


def put(*keys: str, value: Any) -> Callable[[dict], None]:
    def change(raw: dict) -> None:
        for key in keys[:-1]:
            raw = raw[key]
        raw[keys[-1]] = value

    return change


def imported(name: str, modality: str) -> Callable[[dict], None]:
    def change(raw: dict) -> None:
        raw["imported"] = {name: {"modality": modality, "path": "nowhere"}}
        raw["feature_sets"]["c3d-vggish"]["video"] = name

    return change


GRID = DEFAULT["experiment"]
PARTS = [
    {"plugin": "hashd"},
    {"plugin": "hashed", "settings": {"dim": -3}},
    {"plugin": "hashed", "settings": {"dmi": 3}},
    {"plugin": "precomputed"},
    {"plugin": "hashed"},
]
LOSSES = ("reconstruction", "decoded_triplets", "text_triplets", "cross_triplets", "regression")
OFFICIAL_PAIRING = {"plugin": "precomputed", "path": "x", "pairing": "official"}
AVCA = avca.Settings.model_fields
NO_DEMO = "experiment.datasets: 'demo' is not under datasets; there are: mine"
WRONG = {
    "top level": (put("model", value={}), "config: unknown key 'model'; did you mean 'models'?"),
    "plugin": (
        put("models", "avca", "learning_rat", value=1),
        "models.avca: unknown key 'learning_rat'; did you mean 'learning_rate'?",
    ),
    "value": (
        put("models", "avca", "learning_rate", value=-1),
        "models.avca.learning_rate: expected a number greater than 0, found -1",
    ),
    "not a number": (
        put("models", "avca", "epochs", value=float("nan")),
        "models.avca.epochs: expected a finite number, found nan",
    ),
    "searched": (
        put("models", "avca", "search", value={"encoder_dropot": [0]}),
        "models.avca.search: unknown key 'encoder_dropot'; did you mean 'encoder_dropout'?",
    ),
    "searched value": (
        put("models", "avca", "search", value={"encoder_dropout": [2]}),
        "models.avca.search.encoder_dropout: expected a number less than 1, found 2",
    ),
    "no plugin": (
        put("models", "avka", value={}),
        "models.avka: no plugin 'avka'; did you mean 'avca'?",
    ),
    "reference": (
        put("feature_sets", "c3d-vggish", "video", value="c3"),
        "feature_sets.c3d-vggish.video: 'c3' is not under backbones or imported; did you mean "
        "'c3d'?",
    ),
    "modality": (
        put("feature_sets", "c3d-vggish", "video", value="vggish"),
        "feature_sets.c3d-vggish.video: 'vggish' is a backbone for audio",
    ),
    "modality of sound": (
        put("feature_sets", "c3d-vggish", "audio", value="c3d"),
        "feature_sets.c3d-vggish.audio: 'c3d' is a backbone for video",
    ),
    "reference of sound": (
        put("feature_sets", "c3d-vggish", "audio", value="vgish"),
        "feature_sets.c3d-vggish.audio: 'vgish' is not under backbones or imported; did you mean",
    ),
    "excluded pretraining": (
        put("splits", "built", "exclude_pretraining_of", value=["c3"]),
        "splits.built.exclude_pretraining_of: 'c3' is not under backbones; did you mean 'c3d'?",
    ),
    "share of missing clips": (
        put("datasets", "demo", "max_missing", value=1.5),
        "datasets.demo.max_missing: expected a share from 0 to 1, found 1.5",
    ),
    "truth as a number": (
        put("datasets", "demo", "num_shards", value=True),
        "datasets.demo.num_shards: expected a whole number, found true",
    ),
    "modality of imported features": (
        imported("there", "audio"),
        "feature_sets.c3d-vggish.video: 'there' is a backbone for audio",
        "imported.there: nowhere/audio: no folder of features in it",
    ),
    "name of imported features": (
        imported("c3d", "video"),
        "imported: 'c3d' is the name of a backbone too",
        "imported.c3d: nowhere/video: no folder of features in it",
    ),
    "split plugin": (
        put("splits", value={"mine": {"seed": 1}}),
        "splits.mine: no plugin 'mine'; there are: built, official, official_grouped",
        "experiment.splits: 'built' is not under splits; there are: mine",
    ),
    "audit": (
        put("splits", "built", "audit", value={"sources_in_one_partition": "eror"}),
        "splits.built.audit.sources_in_one_partition: expected 'error', 'warning' or 'off', found "
        "'eror'; did you mean 'error'?",
    ),
    "experiment": (
        put("experiment", "models", value=["avc"]),
        "experiment.models: 'avc' is not under models; did you mean 'avca'?",
    ),
    "twice": (
        put("experiment", "seeds", value=[1, 1]),
        "experiment.seeds: list at least one, and each once (found [1, 1])",
    ),
    "list of grids": (
        put("experiment", value=[DEFAULT["experiment"], {"seeds": [0]}]),
        "experiment.1.datasets: is missing; add it: names under datasets",
        "experiment.1.feature_sets: is missing",
        "experiment.1.text_embeddings: is missing",
        "experiment.1.splits: is missing",
        "experiment.1.models: is missing",
    ),
    "no grid": (put("experiment", value=[]), "experiment: expected a grid or a list of grids"),
    "missing": (put("datasets", value=None), "datasets: expected names with their settings"),
    "shares": (
        put("splits", "built", "test_unseen_classes", value=0.9),
        "splits.built: val_unseen_classes and test_unseen_classes together must be less than 1",
    ),
    "shards": (
        put("datasets", "demo", "num_shards", value=0),
        "datasets.demo.num_shards: expected a whole number from 1 to 99999, found 0",
    ),
    "name": (
        put("splits", "../../x", value={}),
        "splits: '../../x' cannot be a name; use letters, digits, '.', '_' and '-'",
    ),
    "name with two dots": (put("splits", "a..b", value={}), "splits: 'a..b' cannot be a name"),
    "name with a dot at its end": (put("models", "a.", value={}), "models: 'a.' cannot be a name"),
    "name with a dash first": (put("models", "-a", value={}), "models: '-a' cannot be a name"),
    "name with a line break": (put("models", "a\n", value={}), "models: 'a\\n' cannot be a name"),
    "name that is none": (put("models", 7, value={}), "models: 7 cannot be a name"),
    "long name": (put("models", "a" * 101, value={}), "models: 'aaa"),
    "name of a file": (
        put("backbones", "c3d.h5", value={"plugin": "c3d"}),
        "backbones: 'c3d.h5' cannot be a name, because files or folders of the results",
    ),
    "name of the report": (
        put("datasets", "Report.HTML", value={"plugin": "demo"}),
        "datasets: 'Report.HTML' cannot be a name, because files or folders of the results",
    ),
    "name of a folder": (
        put("datasets", "logs", value={"plugin": "demo"}),
        "datasets: 'logs' cannot be a name, because files or folders of the results",
    ),
    "names alike": (
        put("backbones", "C3D", value={"plugin": "c3d"}),
        "backbones: 'c3d' and 'C3D' differ in capitals alone",
    ),
    "names alike in two sections": (
        imported("C3D", "video"),
        "imported: 'C3D' is the name of a backbone too",
        "imported.C3D: nowhere/video: no folder of features in it",
    ),
    "seed below 0": (
        put("experiment", "seeds", value=[0, -1]),
        "experiment.seeds.1: expected a number of at least 0, found -1",
    ),
    "large seed": (
        put("experiment", "seeds", value=[2**32]),
        "experiment.seeds.0: expected a number less than 4294967296, found 4294967296",
    ),
    "large seed of a backbone": (
        put("backbones", "c3d", "seed", value=2**64),
        "backbones.c3d.seed: expected a number less than 4294967296",
    ),
    "large seed of a split": (
        put("splits", "built", "seed", value=2**32),
        "splits.built.seed: expected a number less than 4294967296",
    ),
    "endless number": (
        put("experiment", "seeds", value=[10**5000]),
        "experiment.seeds.0: expected a number less than 4294967296, found a number with thousands",
    ),
    "results like an option": (
        put("results", value="-x"),
        "results: '-x' would be taken for an option",
    ),
    "cache like an option": (put("cache", value="--x"), "cache: '--x' would be taken for an"),
    "cache of nobody": (
        put("cache", value="~nobody-at-all/x"),
        "cache: there is no such home folder; write the whole path (found '~nobody-at-all/x')",
    ),
    "results with a long name": (
        put("results", value="a" * 256),
        "results: no file system has names or paths as long as that",
    ),
    "results of nobody": (
        put("results", value="~nobody-at-all/x"),
        "results: there is no such home folder; write the whole path (found '~nobody-at-all/x')",
    ),
    "results twice": (put("results", value="x/"), "results: found 'x/'; write 'x'"),
    "results there and back": (put("results", value="./x/../y"), "results: found './x/../y'; wr"),
    "results everywhere": (put("results", value="/"), "results: '/' cannot be the folder"),
    "results here": (put("results", value="./"), "results: './' cannot be the folder"),
    "results within Snakemake's": (
        put("results", value=".snakemake/x"),
        "results: '.snakemake/x' cannot be the folder",
    ),
    "results with a pattern": (put("results", value="a<b>"), "results: expected a path without"),
    "results with a NUL": (put("results", value="a\0b"), "results: expected a path without"),
    "results that are none": (
        put("results", value=""),
        "results: expected a path, found '', a text without characters; name a folder",
    ),
    "cache that is a number": (
        put("cache", value=3),
        "cache: expected a path, found 3; put it in quotes",
    ),
    "results that are empty": (put("results", value=None), "results: expected a path, found empty"),
    "name of the folder of records": (
        put("datasets", "records", value={"plugin": "demo"}),
        "datasets: 'records' cannot be a name, because files or folders of the results",
    ),
    "name that YAML reads as true": (
        put("models", True, value={}),
        "models: true cannot be a name; put the name in quotes, because YAML reads yes, no, on and",
    ),
    "name that YAML reads as a number": (
        put("models", 7, value={}),
        "models: 7 cannot be a name; put the name in quotes, because YAML reads it as",
    ),
    "list that is a text of digits": (
        put("splits", "built", "exclude_pretraining_of", value="7"),
        "splits.built.exclude_pretraining_of: expected a list of values, found '7'; write ['7']",
    ),
    "list that is a date": (
        put("experiment", "seeds", value=datetime.date(2020, 1, 1)),
        "experiment.seeds: expected a list of values, found 2020-01-01",
    ),
    "list of numbers that is a number": (
        put("experiment", "seeds", value=7),
        "experiment.seeds: expected a list of values, found 7; write [7]",
    ),
    "checksum that is none": (
        put("backbones", "c3d", "sha256", value="zz"),
        "backbones.c3d.sha256: expected the 64 digits of a SHA-256, 0-9 and a-f in lower case, "
        "found 'zz'",
    ),
    "number that is empty": (
        put("models", "avca", "epochs", value=None),
        "models.avca.epochs: expected a whole number, found empty",
    ),
    "list with true and nothing": (
        put("models", "avca", "epochs", value=[True, None]),
        "models.avca.epochs: expected a whole number, found [true, empty]",
    ),
    "plugin that is a list": (
        put("models", "avca", "plugin", value=["avca"]),
        "models.avca.plugin: expected a text, found ['avca']; name a plugin",
    ),
    "epochs without end": (
        put("models", "avca", "epochs", value=10**30),
        "models.avca.epochs: expected a number of at most 1000000, found 1000000000000",
    ),
    "address of another kind": (
        put("backbones", "c3d", "weights", value="ftp://user:secret@host/x"),
        "backbones.c3d.weights: expected a file or an address: only http(s) addresses can be "
        "downloaded (found 'ftp://host/x')",
    ),
    "address with a space": (
        put("backbones", "c3d", "weights", value="http://exa mple/x y"),
        "backbones.c3d.weights: expected a file or an address: there is a space in the name of the "
        "host",
    ),
    "address without a host": (
        put("backbones", "c3d", "weights", value="http:///x"),
        "backbones.c3d.weights: expected a file or an address: http:///x: no http(s) address with",
    ),
    "path with a NUL": (
        put("datasets", value={"mine": {"plugin": "folder", "path": "a\0b"}}),
        "datasets.mine.path: a path has no NUL character in it; remove it",
        NO_DEMO,
    ),
    "path that is too long": (
        put("datasets", value={"mine": {"plugin": "folder", "path": "a/" + "b" * 256}}),
        "datasets.mine.path: no file system has names or paths as long as that; shorten it (found "
        "'a/bbb",
        NO_DEMO,
    ),
    "path that is no text": (
        put("datasets", value={"mine": {"plugin": "folder", "path": "\udcff"}}),
        "datasets.mine.path: a path is written in UTF-8; rename what is not",
        NO_DEMO,
    ),
    "home of nobody": (
        put("datasets", value={"mine": {"plugin": "folder", "path": "~nobody-at-all/x"}}),
        "datasets.mine.path: there is no such home folder",
        NO_DEMO,
    ),
    "size of a network": (
        put("models", "avca", "token_dim", value=2**63),
        "models.avca.token_dim: expected a number of at most 1000000, found 9223372036854775808",
    ),
    "size of a table": (
        put("text_embeddings", "hashed", value={"dim": 10**12}),
        "text_embeddings.hashed.dim: expected a number of at most 100000",
    ),
    "long candidate": (
        put(
            "models",
            "avca",
            "search",
            value={key: [10_000] for key in AVCA if AVCA[key].annotation is int},
        ),
        "models.avca.search: 'epochs=10000-batches_per_epoch=10000-batch_size...",
    ),
    "endless search": (
        put(
            "models",
            "avca",
            "search",
            value={key: list(range(10)) for key in AVCA if AVCA[key].annotation is int},
        ),
        "models.avca.search: stands for 1000",
    ),
    "endless experiment": (
        put("experiment", "seeds", value=list(range(100_001))),
        "experiment: stands for 100001 runs; 100000 are the most",
    ),
    "checksum": (
        put("backbones", "c3d", "sha256", value="a" * 64),
        "backbones.c3d: sha256 is given but weights are random; name a file or an address",
    ),
    "loss switches": (
        put("models", "avca", value=dict.fromkeys(LOSSES, False)),
        "models.avca: all losses are off; turn one on",
    ),
    "modality that is not used": (
        put("models", "avca", value={"modalities": "audio"}),
        "models.avca: scored_embedding is video but modalities is audio; set both to audio (found "
        "modalities: 'audio')",
    ),
    "parameters without use": (
        put("backbones", "vggish", value={"pca_sha256": "a" * 64}),
        "backbones.vggish: pca_weights or pca_sha256 is given but postprocess is none, which does "
        "not use them; remove them, or set postprocess to pca-quantised (found pca_sha256: 'aaa",
    ),
    "pairing without names": (
        put("text_embeddings", "hashed", value=OFFICIAL_PAIRING),
        "text_embeddings.hashed: pairing official needs names, a CSV file of both spellings; ",
    ),
    "pattern of sources": (
        put("datasets", "demo", value={"plugin": "folder", "path": "x", "source_pattern": "a"}),
        "datasets.demo.source_pattern: expected exactly one group in parentheses, found 0",
    ),
    "pattern that is none": (
        put("datasets", "demo", value={"plugin": "folder", "path": "x", "source_pattern": "("}),
        "datasets.demo.source_pattern: expected a regular expression: missing ), unterminated",
    ),
    "choice without quotes": (
        put("splits", "built", "audit", value={"features_differ": False}),
        "splits.built.audit.features_differ: expected 'error', 'warning' or 'off', found false; "
        "put the word in quotes, because YAML reads it as true or false",
    ),
    "list that is a word": (
        put("experiment", "models", value="avca"),
        "experiment.models: expected a list of values, found 'avca'; write [avca]",
    ),
    "text that is a number": (
        put("feature_sets", "c3d-vggish", "video", value=3),
        "feature_sets.c3d-vggish.video: expected a text, found 3; put it in quotes",
    ),
    "named plugin": (
        put("models", "mine", value={"plugin": "avka"}),
        "models.mine.plugin: no plugin 'avka'; did you mean 'avca'?",
    ),
    "settings of a part": (
        put("text_embeddings", "hashed", value={"plugin": "concatenated", "parts": PARTS}),
        "text_embeddings.hashed.parts.0: no plugin 'hashd'; did you mean 'hashed'?",
        "text_embeddings.hashed.parts.1.settings.dim: expected a number of at least 1, found -3",
        "text_embeddings.hashed.parts.2.settings: unknown key 'dmi'; did you mean 'dim'?",
        "text_embeddings.hashed.parts.3.settings.path: is missing; add it: A .npy file with a dict "
        "from class name to vector, or an .h5 file with class_name and vectors",
    ),
    "too few parts": (
        put("text_embeddings", "hashed", value={"plugin": "concatenated", "parts": PARTS[4:]}),
        "text_embeddings.hashed.parts: expected a list of 2 or more values, found [{'plugin': ",
    ),
    "reference in a list of grids": (
        put(
            "experiment",
            value=[DEFAULT["experiment"], DEFAULT["experiment"] | {"splits": ["bilt"]}],
        ),
        "experiment.1.splits: 'bilt' is not under splits; did you mean 'built'?",
    ),
    "half an address": (
        put("backbones", "c3d", "weights", value="http://[x"),
        "backbones.c3d.weights: expected a file or an address: Invalid IPv6 URL",
    ),
    "port of an address": (
        put("backbones", "vggish", value={"pca_weights": "http://host:99999/x"}),
        "backbones.vggish.pca_weights: expected a file or an address: Port out of range",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_message(case: str) -> None:
    """Each mistake is one line, and what follows from it is another."""
    change, *expected = WRONG[case]
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(changed(change))
    lines = str(caught.value).split("\n")
    assert lines == caught.value.lines
    assert len(lines) == len(expected)
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            put("experiment", "seeds", value="2020-01-01"),
            "experiment.seeds: expected a list of values, found '2020-01-01'",
        ),
        (
            put(
                "text_embeddings",
                "hashed",
                value={"plugin": "concatenated", "parts": PARTS[:1] * 2},
            ),
            "text_embeddings.hashed.parts.0: no plugin 'hashd'; did you mean 'hashed'?",
        ),
    ],
    ids=["a value that is none of the list", "a value that is named already"],
)
def test_a_line_ends_where_all_is_said(change: Callable[[dict], None], line: str) -> None:
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(changed(change))
    assert caught.value.lines[0] == line


THREE_MISTAKES = [
    "models.avca: unknown key 'epoch'; did you mean 'epochs'?",
    "splits.built.seed: expected a whole number, found 'x'",
    "experiment.models: 'avac' is not under models; did you mean 'avca'?",
]


def three_mistakes() -> dict:
    raw = changed(put("models", "avca", "epoch", value=3))
    raw["splits"]["built"]["seed"] = "x"
    raw["experiment"]["models"] = ["avac"]
    return raw


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(three_mistakes())
    assert sorted(caught.value.lines) == sorted(THREE_MISTAKES)


@pytest.mark.parametrize("nothing", [None, {}], ids=repr)
def test_a_config_of_nothing_is_told_what_to_add(nothing: Any) -> None:
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(nothing)
    keys = ["datasets", "backbones"]
    assert [line.partition(": is missing; ")[0] for line in caught.value.lines] == keys
    assert caught.value.lines[0] == "datasets: is missing; add it: where clips come from"


def test_features_alone_need_datasets_and_backbones() -> None:
    config = avca_config.parse({key: DEFAULT[key] for key in ("datasets", "backbones")})
    assert config.runs() == []
    assert config.used_features() == [("demo", "c3d"), ("demo", "vggish")]
    assert config.used_backbones() == ["c3d", "vggish"]
    assert config.datasets_with_media() == ["demo"]


@pytest.mark.parametrize("section", ["feature_sets", "text_embeddings", "splits", "models"])
def test_an_experiment_needs_its_sections(section: str) -> None:
    raw = {key: value for key, value in DEFAULT.items() if key != section}
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(raw)
    (line,) = caught.value.lines
    assert line.startswith(f"{section}: is missing; add it: ")


def test_a_long_list_of_mistakes_is_cut() -> None:
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(changed(put("experiment", "seeds", value=["x"] * 1000)))
    lines = caught.value.lines
    assert len(lines) == 21
    assert lines[0] == "experiment.seeds.0: expected a whole number, found 'x'"
    assert lines[-1] == "980 more mistakes are not shown; correct these first"


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever a config has a path: of a plugin, of several, of weights, of the cache."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "media/a").mkdir(parents=True)
    (tmp_path / "media/a/b.mp4").touch()
    (tmp_path / "weights.pth").touch()
    np.save(tmp_path / "v.npy", np.array({"a": np.ones(2)}, dtype=object), allow_pickle=True)
    raw = changed(put("datasets", "demo", value={"plugin": "folder", "path": "~/media"}))
    raw["backbones"]["c3d"]["weights"] = "~/weights.pth"
    raw["text_embeddings"]["hashed"] = {"plugin": "precomputed", "path": "~/v.npy"}
    raw["download"] = {"cookies": "~/cookies.txt"}
    raw["results"] = "~/results"
    config = avca_config.parse(raw)
    avca_config.check_inputs(config)
    assert config.datasets["demo"].settings.path == tmp_path / "media"
    assert config.download.cookies == tmp_path / "cookies.txt"
    assert config.results == str(tmp_path / "results")
    activity = {"plugin": "activitynet", "annotations": "~/a.json", "media": ["~/one", "/two"]}
    raw["datasets"]["activity"] = activity
    settings = avca_config.parse(raw).datasets["activity"].settings
    assert settings.media == (tmp_path / "one", Path("/two"))
    assert str(tmp_path) in Requests(config, VERSIONS).manifest("demo").model_dump_json()


def test_candidates_keep_what_is_not_searched() -> None:
    raw = changed(put("models", "avca", value={
        "epochs": 7, "token_dim": 32, "search": {"learning_rate": [0.25, 0.5], "heads": [1, 2]},
    }))  # fmt: skip
    candidates = avca_config.parse(raw).models["avca"].candidates
    assert sorted(candidates) == [
        "learning_rate=0.25-heads=1", "learning_rate=0.25-heads=2",
        "learning_rate=0.5-heads=1", "learning_rate=0.5-heads=2",
    ]  # fmt: skip
    for name, settings in candidates.items():
        found = settings.model_dump()
        assert (found["epochs"], found["token_dim"]) == (7, 32)
        assert name == f"learning_rate={found['learning_rate']}-heads={found['heads']}"


def test_default_config_is_good() -> None:
    config = avca_config.parse(DEFAULT)
    avca_config.check_inputs(config)
    assert len(config.runs()) == len(DEFAULT["experiment"]["seeds"])


def test_several_grids_share_runs() -> None:
    raw = changed(put("text_embeddings", "short", value={"plugin": "hashed", "dim": 9}))
    raw["feature_sets"]["sound"] = {"video": "frames", "audio": "vggish"}
    raw["backbones"]["frames"] = {"plugin": "timm_frames"}
    raw["datasets"]["other"] = {"plugin": "demo"}
    one = {**raw["experiment"], "seeds": [0]}
    another = {**one, "text_embeddings": ["hashed", "short"]}
    elsewhere = {**one, "datasets": ["other"], "feature_sets": ["sound"]}
    raw["experiment"] = [one, another, elsewhere]
    config = avca_config.parse(raw)
    assert [(run.dataset, run.feature_set, run.text_embedding) for run in config.runs()] == [
        ("demo", "c3d-vggish", "hashed"),
        ("demo", "c3d-vggish", "short"),
        ("other", "sound", "hashed"),
    ]
    assert config.used_features() == [
        ("demo", "c3d"), ("demo", "vggish"), ("other", "frames"), ("other", "vggish"),
    ]  # fmt: skip
    assert config.datasets_with_media() == ["demo", "other"]
    assert config.used_splits() == [("demo", "built"), ("other", "built")]


def test_all_missing_inputs_are_named_together(tmp_path: Path) -> None:
    raw = changed(put("datasets", "demo", value={"plugin": "folder", "path": str(tmp_path / "no")}))
    raw["backbones"]["c3d"] = {
        "weights": str(tmp_path / "no.pth"), "pretraining_classes": str(tmp_path / "no.txt"),
    }  # fmt: skip
    raw["text_embeddings"]["hashed"] = {"plugin": "precomputed", "path": str(tmp_path / "no.npy")}
    with pytest.raises(PipelineError) as caught:
        avca_config.check_inputs(avca_config.parse(raw))
    beginnings = [
        f"datasets.demo: {tmp_path / 'no'}: the raw folder cannot be read",
        f"text_embeddings.hashed: {tmp_path / 'no.npy'}: no such file",
        f"backbones.c3d.weights: {tmp_path / 'no.pth'}: no such file",
        f"backbones.c3d.pretraining_classes: {tmp_path / 'no.txt'}: no such file",
    ]
    lines = caught.value.lines
    assert len(lines) == len(beginnings)
    assert all(map(str.startswith, lines, beginnings)), lines


def test_missing_inputs_are_named_with_all_other_mistakes(tmp_path: Path) -> None:
    """But not those of an entry with a mistake, nor those that the experiment does not use."""
    gone = str(tmp_path / "no")
    raw = changed(put("models", "avca", "learning_rat", value=0.1))
    raw["splits"]["built"] = {"seed": "one"}
    raw["backbones"]["c3d"] = {"weights": gone}
    raw["text_embeddings"]["hashed"] = {"plugin": "precomputed", "path": gone}
    raw["text_embeddings"]["unused"] = {"plugin": "precomputed", "path": f"{gone} either"}
    raw["datasets"]["demo"] = {"plugin": "folder", "path": gone, "num_shards": 0}
    raw["experiment"]["seeds"] = [-1]
    with pytest.raises(PipelineError) as caught:
        avca_config.parse(raw)
    assert sorted(line.split(": ")[0] for line in caught.value.lines) == [
        "backbones.c3d.weights", "datasets.demo.num_shards", "experiment.seeds.0", "models.avca",
        "splits.built.seed", "text_embeddings.hashed",
    ]  # fmt: skip


@pytest.mark.parametrize("beginning", ["", "below/"])
def test_a_file_in_the_place_of_the_results_is_named_with_all_else(
    tmp_path: Path, beginning: str
) -> None:
    (tmp_path / "file").write_text("")
    results = f"{tmp_path}/file/{beginning}results"
    raw = changed(put("results", value=results))
    raw["backbones"]["c3d"] = {"weights": str(tmp_path / "no.pth")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(PipelineError) as caught:
        check.run(avca_config.load(tmp_path / "config.yaml"))
    assert caught.value.lines == [
        f"results: {results}: {tmp_path / 'file'} is a file; name another folder",
        f"backbones.c3d.weights: {tmp_path / 'no.pth'}: no such file",
    ]


def test_an_address_with_a_password_is_shown_without(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(
            changed(put("backbones", "c3d", "weights", value="ftp://user:secret@host/x"))
        )
    )
    with pytest.raises(PipelineError) as caught:
        avca_config.load(tmp_path / "config.yaml")
    assert "secret" not in str(caught.value)


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    folder = {"plugin": "folder", "path": str(tmp_path / "no")}
    table = {"plugin": "table", "path": str(tmp_path / "no.csv")}
    vectors = {"plugin": "precomputed", "path": str(tmp_path / "no.npy")}
    for change, expected in (
        (put("datasets", "demo", value=folder), "no: the raw folder"),
        (put("datasets", "demo", value=table), "no such file"),
        (
            put("backbones", "c3d", "weights", value=str(tmp_path / "no.pth")),
            "backbones.c3d.weights",
        ),
        (put("backbones", "c3d", "weights", value="x" * 300), "backbones.c3d.weights"),
        (put("backbones", "c3d", "weights", value="a\0b"), "backbones.c3d.weights"),
        (
            put("backbones", "c3d", "weights", value="~nobody-at-all/x"),
            "backbones.c3d: there is no such home folder",
        ),
        (
            put("backbones", "c3d", "pretraining_classes", value="x" * 300),
            "backbones.c3d.pretraining_classes",
        ),
        (put("text_embeddings", "hashed", value=vectors), "text_embeddings.hashed"),
    ):
        with pytest.raises(PipelineError, match=expected):
            avca_config.check_inputs(avca_config.parse(changed(change)))


def requests_of(raw: dict) -> dict[str, Request]:
    config = avca_config.parse(raw)
    requests = Requests(config, VERSIONS)
    run = ("demo", "built", "c3d-vggish", "hashed", "avca", "0")
    return {
        "manifest": requests.manifest("demo"),
        "extract": requests.extract("demo", "c3d", "00000-of-00001"),
        "embed": requests.embed("demo", "hashed"),
        "split": requests.split("demo", "built"),
        "train": requests.train_stage2(*run),
    }


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (put("models", "avca", "search", value={"learning_rate": [0.01]}), {"train"}),
        (put("splits", "built", "seed", value=5), {"split"}),
        (put("text_embeddings", "hashed", value={"dim": 10}), {"embed"}),
        (put("backbones", "c3d", "seed", value=3), {"extract"}),
        (put("backbones", "vggish", "seed", value=3), set()),
        (put("limits", value={"max_duration_s": 5}), {"extract"}),
        (put("datasets", "demo", "seed", value=3), {"manifest"}),
        (put("feature_sets", "c3d-vggish", "scaling", value="none"), {"train"}),
        (put("cache", value="elsewhere"), set()),
        (put("experiment", "seeds", value=[7]), set()),
        (lambda raw: raw.update(dict(reversed(raw.items()))), set()),
    ],
)
def test_what_a_change_makes_stale(change: Callable[[dict], Any], stale: set[str]) -> None:
    before, after = requests_of(DEFAULT), requests_of(changed(change))
    assert {stage for stage in before if before[stage] != after[stage]} == stale


def test_reading_a_config_does_not_import_torch() -> None:
    """Whatever it uses: all plugins and the ready benchmarks are read in one process."""
    benchmarks = (REPOSITORY / "workflow" / "benchmarks").glob("*.yaml")
    done = subprocess.run(
        [sys.executable, "-c", READS_EVERYTHING, *map(str, benchmarks)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


READS_EVERYTHING = """
import sys
from pathlib import Path
import yaml
from avca_pipeline import cli, config, registry
cli.main(["check", "config.yaml"])
for path in sys.argv[1:]:
    config.parse(yaml.safe_load(Path(path).read_text()))
for kind in registry.KINDS:
    assert registry.names(kind)
    for name in registry.names(kind):
        registry.load(kind, name).Settings.model_json_schema()
heavy = "torch torchvision torchaudio timm av librosa gensim h5py sklearn scipy yt_dlp".split()
print([name for name in heavy if name in sys.modules])
"""
