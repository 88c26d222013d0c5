"""The JSON Schema of a config: in step with the code, and of the same opinion as the config."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline import registry
from avca_pipeline.cli import main
from avca_pipeline.config.entries import KEYS, EntryKeys
from avca_pipeline.errors import PipelineError
from tests.conftest import REPOSITORY
from tests.packaging import install, with_packages

FILE = REPOSITORY / "workflow" / "schemas" / "config.schema.json"
SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CONFIGS = [
    path
    for folder in ("workflow", "config")
    for path in sorted((REPOSITORY / folder).rglob("*.yaml"))
    if "profiles" not in path.parts  # which say how Snakemake runs
] + [REPOSITORY / "config.yaml"]
NAMES_ARE_FREE = (*registry.KINDS, "imported", "feature_sets")
NAMED_BY_FIRST_LINE = "# yaml-language-server: $schema="


def names(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_file_is_what_the_command_writes(tmp_path: Path) -> None:
    assert main(["schema", "--out", str(tmp_path / "schema.json")]) == 0
    written = (tmp_path / "schema.json").read_text(encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == written, (
        "the schema is out of step; run: make schema"
    )


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", CONFIGS, ids=names)
def test_every_config_is_valid(path: Path) -> None:
    VALIDATOR.validate(read(path))


@pytest.mark.parametrize("path", CONFIGS, ids=names)
def test_every_config_names_it_for_editors(path: Path) -> None:
    first_line = path.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith(NAMED_BY_FIRST_LINE)
    place = path.resolve().parent / first_line.removeprefix(NAMED_BY_FIRST_LINE)
    assert place.resolve() == FILE


def mappings(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yields each mapping whose keys are not chosen by the user, and where it stands."""
    if isinstance(value, dict):
        if not (len(place) == 1 and place[0] in NAMES_ARE_FREE):
            yield place, value
        for key, inner in value.items():
            yield from mappings(inner, (*place, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from mappings(inner, (*place, index))


def at(config: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        config = config[key]
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=names)
def test_a_misspelt_key_is_refused_at_every_level(path: Path) -> None:
    config = read(path)
    config |= {"limits": {"max_bytes": 5}, "download": {"workers": 2}}
    split = next(iter(config["splits"].values()))
    split |= {"audit": {"features_differ": "off"}}
    num_levels = 0
    for place, mapping in list(mappings(config)):
        for key in mapping:
            wrong = copy.deepcopy(config)
            section = at(wrong, place)
            section[f"{key}x"] = section.pop(key)
            assert not VALIDATOR.is_valid(wrong), (place, key)
            num_levels = max(num_levels, len(place))
    assert num_levels >= 3


def test_a_key_of_another_plugin_is_refused() -> None:
    config = read(REPOSITORY / "config.yaml")
    config["models"]["avca"]["surer"] = 1
    config["models"]["mine"] = {"plugin": "ale", "token_dim": 3}
    places = {".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(config)}
    assert places == {"models.avca", "models.mine"}


PARTS = [{"plugin": "hashed"}, {"plugin": "hashed", "settings": {"dmi": 3}}]
USERS_WRITE = """
results: results/mine
cache: ~/weights
imported: ~
limits:
download: {cookies: ~/cookies.txt, proxy: ~, rate_bytes_per_s: 1_000_000, pause_s: .5}
datasets:
  demo:
  films: {plugin: folder, path: ~/films, num_shards: 3, max_missing: 0}
  again: {plugin: demo, num_classes: 0x14, seed: 1_0}
backbones:
  c3d: {weights: ~/c3d.pth, sha256: ~, seed: 7}
  vggish:
feature_sets:
  both: {video: c3d, audio: vggish}
text_embeddings:
  hashed:
  two: {plugin: concatenated, parts: [{plugin: hashed}, {plugin: hashed, settings: {seed: 1}}]}
splits:
  built: {val_unseen_classes: 2e-1, audit: {features_differ: "off"}, aliases: {run: [jog]}}
models:
  avca: {learning_rate: 1e-3, margin: 1, weight_decay: 1.0e-5, reconstruction: no,
         search: {learning_rate: [1e-3, 2.5e-4, 0.002], heads: [1, 2]}}
experiment: {datasets: [demo], feature_sets: [both], text_embeddings: [hashed], splits: [built],
             models: [avca], seeds: [0, 4294967295]}
"""


def test_what_users_write_is_valid_and_read() -> None:
    """Home folders, empty values, numbers as YAML and Python write them."""
    written = yaml.safe_load(USERS_WRITE)
    assert [error.message for error in VALIDATOR.iter_errors(written)] == []
    config = avca_config.parse(written)
    settings = config.models["avca"].settings.model_dump()
    assert settings["learning_rate"] == 0.001
    assert settings["reconstruction"] is False
    assert len(config.models["avca"].candidates) == 6


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("datasets", "a..b"), {"plugin": "demo"}),
        (("datasets", "mine"), {}),
        (("datasets", "mine"), None),
        (("datasets", "mine"), {"plugin": "dem"}),
        (("datasets", "mine"), {"plugin": "folder"}),
        (("datasets",), {}),
        (("datasets", "demo", "num_shards"), 0),
        (("models", "avca", "search"), {"epochs": 3}),
        (("models", "avca", "search"), {"epochs": []}),
        (("models", "avca", "search"), {"epochs": [0]}),
        (("experiment",), []),
        (("experiment", "seeds"), []),
        (("experiment", "seeds"), [1, 1]),
        (("experiment", "seeds"), [2**32]),
        (("backbones", "c3d", "sha256"), "abc"),
        (("results",), ""),
        (("results",), "a b"),
        (("results",), "a{b}"),
        (("results",), "-x"),
        (("cache",), ""),
        (("cache",), "-x"),
        (("models", "avca", "epochs"), 10**30),
        (("models", "avca", "search"), {"epochs": [10**30]}),
        (("text_embeddings", "hashed"), {"plugin": "concatenated", "parts": PARTS}),
    ],
)
def test_schema_and_config_refuse_the_same(keys: tuple[str, ...], value: Any) -> None:
    config = read(REPOSITORY / "config.yaml")
    at(config, keys[:-1])[keys[-1]] = value
    assert not VALIDATOR.is_valid(config)
    with pytest.raises(PipelineError):
        avca_config.parse(config)


def described(schema: dict[str, Any]) -> bool:
    inner = SCHEMA["$defs"].get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
    return bool(schema.get("description") or inner.get("description"))


def test_every_key_is_described() -> None:
    missing = [
        f"{name}.{key}"
        for name, definition in [("config", SCHEMA), *SCHEMA["$defs"].items()]
        for key, schema in definition.get("properties", {}).items()
        if name not in NAMES_ARE_FREE or name in ("imported", "feature_sets")
        if not described(schema)
    ]
    assert missing == []


def test_no_setting_of_a_plugin_hides_a_key_of_the_entry() -> None:
    for kind in registry.KINDS:
        keys = set(KEYS.get(kind, EntryKeys).model_fields)
        for plugin in registry.names(kind):
            assert keys.isdisjoint(registry.load(kind, plugin).Settings.model_fields), plugin


WITHOUT = '''"""A split of another package, which names backbones under a key of its own."""

from avca_pipeline.splits import SplitSettings


class Settings(SplitSettings):
    """What to leave out."""

    without: tuple[str, ...] = ()
    """Names of backbones."""

    def backbones_to_exclude(self):
        return self.without


def inputs(settings):
    return []


def build(clips, settings, pretrained=()):
    raise NotImplementedError
'''


def avca(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "avca_pipeline.cli", *arguments],
        env=with_packages(site), cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_plugin_of_another_package_is_described_and_checked_too(tmp_path: Path) -> None:
    install(tmp_path, "other_splits", {"without": WITHOUT}, {"splits": {"without": "without"}})
    config = read(REPOSITORY / "config.yaml")
    config["splits"]["mine"] = {"plugin": "without", "without": ["c3"]}
    assert not VALIDATOR.is_valid(config)
    assert avca(tmp_path, "schema", "--out", str(tmp_path / "schema.json")).returncode == 0
    larger = jsonschema.Draft202012Validator(json.loads((tmp_path / "schema.json").read_text()))
    assert larger.is_valid(config)
    config["splits"]["mine"]["withut"] = ["c3"]
    assert not larger.is_valid(config)
    del config["splits"]["mine"]["withut"]
    written = tmp_path / "config.yaml"
    written.write_text(yaml.safe_dump(config))
    assert avca(tmp_path, "check", str(written)).stderr == (
        "avca check: error: splits.mine: 'c3' is not under backbones; did you mean 'c3d'?\n"
    )


def test_a_plugin_that_cannot_be_imported_is_one_line_of_its_entry(tmp_path: Path) -> None:
    modules = {"broken": "import no_such_package"}
    install(tmp_path, "other", modules, {"models": {"broken": "broken"}})
    config = read(REPOSITORY / "config.yaml")
    config["models"]["broken"] = {"dim": 3}
    config["models"]["avca"]["epoch"] = 3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    lines = avca(tmp_path, "check", str(tmp_path / "config.yaml")).stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("avca check: error: models.avca: unknown key 'epoch'")
    assert lines[1].startswith("avca check: error: models.broken: models: plugin 'broken' of the")
