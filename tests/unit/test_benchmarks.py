"""The ready benchmarks, and the published numbers that the report puts beside theirs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline.artifacts import labels, manifest
from avca_pipeline.artifacts.audits import SplitMethod
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.scores import Provenance
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.planning.requests import Requests
from avca_pipeline.published.lists import class_names
from avca_pipeline.published.scores import PublishedScores, published, table
from avca_pipeline.stages import VERSIONS, embed
from tests.builders import scores_of
from tests.conftest import REPOSITORY, shared_folder

PUBLISHED_METHODS = {"ale", "apn", "avca", "avgzslnet", "cjme", "devise", "fvaegan", "sje"}
BENCHMARKS = sorted((REPOSITORY / "workflow" / "benchmarks").glob("*-gzsl.yaml"))
CLIPCLAP = sorted((REPOSITORY / "workflow" / "benchmarks").glob("clipclap-*.yaml"))
DIMS = {
    "selavi-video": 512, "selavi-audio": 512, "c3d": 4096, "vggish": 128,
    "released-clip": 512, "released-wavcaps": 1024,
}  # fmt: skip
"""Dimensions of the published features, by their names in the ready benchmarks."""
AVCA_PAPER = "https://arxiv.org/abs/2203.03598"
SOURCES = {
    "clipclap": "https://arxiv.org/abs/2404.06309",
    "tcaf": "https://github.com/ExplainableML/TCAF-GZSL",
}
"""Where the numbers of later methods are published."""


def raw_config(path: Path) -> dict[str, Any]:
    """Returns a ready benchmark that reads the published lists and vectors of this machine."""
    text = path.read_text().replace("data/official", str(shared_folder("official")))
    raw: dict[str, Any] = yaml.safe_load(text)
    return raw


@pytest.fixture(params=BENCHMARKS, ids=lambda path: path.stem)
def raw(request: pytest.FixtureRequest) -> dict[str, Any]:
    return raw_config(request.param)


@pytest.fixture
def config(raw: dict[str, Any]) -> avca_config.Config:
    return avca_config.parse(raw)


class Results:
    """What the files of a config's runs state about themselves, without any training."""

    def __init__(self, config: avca_config.Config, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.requests = Requests(config, VERSIONS)
        self.dims = dict(DIMS)
        self.weights = "a" * 64

    def published(self, run: avca_config.Run) -> PublishedScores | None:
        """Returns what the report puts beside a run."""
        entry = self.config.splits[run.split]
        method = SplitMethod(entry.plugin, entry.settings.model_dump(mode="json"))
        return published(method, [self.provenance(run)])

    def provenance(self, run: avca_config.Run) -> Provenance:
        """Returns what ``evaluate`` writes about the inputs of a run."""
        feature_set = self.config.feature_sets[run.feature_set]
        model = self.config.models[run.model]
        (settings,) = self.config.candidates(run).values()
        return replace(
            scores_of(run).provenance,
            video=self._features(feature_set.video),
            audio=self._features(feature_set.audio),
            text=self._text(run.text_embedding),
            scaling=feature_set.scaling,
            model=model.plugin,
            settings=settings.model_dump(mode="json"),
        )

    def _features(self, name: str) -> dict[str, str]:
        known = {"name": name, "dim": str(self.dims[name])}
        if name in self.config.imported:
            source = self.config.imported[name].model_dump(mode="json")
            imported = {"backbone": "imported", "weights": "imported"}
            return known | imported | {"preprocessing": canonical_json(source)}
        request = self.requests.extract("any", name, "00000-of-00001")
        weights = self.weights if request.settings["weights"] != "random" else "random:0"
        made = {"backbone": request.plugin, "weights": weights}
        return known | made | {"preprocessing": canonical_json(request.settings)}

    def _text(self, name: str) -> dict[str, str]:
        """Returns what ``embed`` states of vectors that it really makes."""
        clips, out = self.folder / "manifest.csv", self.folder / f"{name}.h5"
        if not out.exists():
            settings = next(iter(self.config.datasets.values())).settings
            root, benchmark = settings.path, settings.benchmark
            names = sorted(class_names(root, benchmark).values())
            manifest.write(clips, [Clip(name, name, name, "none") for name in names])
            embed.run(self.requests.embed("any", name), clips, out, cache=self.folder)
        vectors = labels.read(out)
        dim = str(vectors.vectors.shape[1])
        return {"name": name, "dim": dim, **vectors.attributes}


def test_the_whole_table_is_run(config: avca_config.Config) -> None:
    runs = config.runs()
    for combination in {(run.split, run.feature_set) for run in runs}:
        own = [run for run in runs if (run.split, run.feature_set) == combination]
        plugins = [config.models[run.model].plugin for run in own]
        assert set(plugins) == PUBLISHED_METHODS
        assert len({run.seed for run in own}) == 5
        assert len(own) == 5 * len(set(plugins))


def test_inputs_are_normalised_where_published(config: avca_config.Config) -> None:
    for run in config.runs():
        settings = config.models[run.model].settings.model_dump()
        normalises = settings.get("normalises_inputs", False)
        assert normalises == (run.split == "cls" and "normalises_inputs" in settings)


def test_every_number_of_the_paper_stands_beside_one_row(tmp_path: Path) -> None:
    beside: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for path in BENCHMARKS:
        folder = tmp_path / path.stem
        folder.mkdir()
        config = avca_config.parse(raw_config(path))
        results = Results(config, folder)
        for run in config.runs():
            row = results.published(run)
            if row is not None:
                key = (row.benchmark, row.lists, row.feature_set, row.model)
                beside.setdefault(key, set()).add((path.stem, run.split, run.model))
    assert all(len(rows) == 1 for rows in beside.values())
    assert set(beside) == {
        (row.benchmark, row.lists, row.feature_set, row.model)
        for row in table()
        if row.source == AVCA_PAPER
    }


def runs_of(raw: dict[str, Any], folder: Path) -> tuple[Results, avca_config.Run]:
    """Returns a config's results, and its run of AVCA on main lists."""
    config = avca_config.parse(raw)
    (run, *_) = (run for run in config.runs() if run.split == "main" and run.model == "avca")
    return Results(config, folder), run


def test_names_in_the_config_decide_nothing(raw: dict[str, Any], tmp_path: Path) -> None:
    text = yaml.safe_dump(raw, sort_keys=False)
    for old, new in (("selavi", "mine"), ("word2vec", "words")):
        text = text.replace(f"{old}:", f"{new}:").replace(f"- {old}\n", f"- {new}\n")
    renamed = yaml.safe_load(text)
    renamed["models"]["ours"] = {**renamed["models"].pop("avca"), "plugin": "avca"}
    for grid in renamed["experiment"]:
        grid["models"] = ["ours" if name == "avca" else name for name in grid["models"]]
    config = avca_config.parse(renamed)
    (run, *_) = (run for run in config.runs() if run.split == "main" and run.model == "ours")
    assert (run.feature_set, run.text_embedding) == ("mine", "words")
    folder = tmp_path / "former"
    folder.mkdir()
    before, former = runs_of(raw, folder)
    row = Results(config, tmp_path).published(run)
    assert row is not None
    assert row == before.published(former)


def random_mobilenet(raw: dict[str, Any]) -> None:
    raw["backbones"] = {
        "mobilenet": {"plugin": "timm_frames", "model": "mobilenetv3_small_050"},
        "selavi_audio": {"windows": "official-script"},
    }
    raw["feature_sets"]["selavi"] = {"video": "mobilenet", "audio": "selavi_audio"}


def cls_folder(raw: dict[str, Any]) -> None:
    raw["feature_sets"]["selavi"] = {"video": "c3d", "audio": "vggish"}


def own_folder(raw: dict[str, Any]) -> None:
    for name in ("selavi-video", "selavi-audio"):
        raw["imported"][name]["path"] = "data/mine/features/main_features"


def folder_of_another_benchmark(raw: dict[str, Any]) -> None:
    for name in ("selavi-video", "selavi-audio"):
        raw["imported"][name]["path"] = "data/Kinetics/features/main_features"


def scaled(raw: dict[str, Any]) -> None:
    raw["feature_sets"]["selavi"]["scaling"] = "standard"


def hashed_words(raw: dict[str, Any]) -> None:
    raw["text_embeddings"]["word2vec"] = {"plugin": "hashed"}


def fewer_epochs(raw: dict[str, Any]) -> None:
    raw["models"]["avca"]["epochs"] = 3


def ablation(raw: dict[str, Any]) -> None:
    raw["models"]["avca"]["cross_attention"] = False


def other_method(raw: dict[str, Any]) -> None:
    raw["models"]["avca"] = {"plugin": "zero_shot"}


def other_lists(raw: dict[str, Any]) -> None:
    raw["splits"]["main"]["lists"] = "cls"


def built_split(raw: dict[str, Any]) -> None:
    raw["splits"]["main"] = {"plugin": "built"}


def chosen_on_test(raw: dict[str, Any]) -> None:
    raw["models"]["avca"]["chosen_on_test"] = True


CHANGES = (
    random_mobilenet, cls_folder, own_folder, folder_of_another_benchmark, scaled, hashed_words,
    fewer_epochs, ablation, other_method, other_lists, built_split, chosen_on_test,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_another_thing_under_the_old_name_has_no_published_number(
    raw: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    change(raw)
    results, run = runs_of(raw, tmp_path)
    results.dims |= {"mobilenet": 512, "selavi_audio": 512}
    assert results.published(run) is None


def test_other_dimensions_or_vectors_have_no_published_number(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    results, run = runs_of(raw, tmp_path)
    assert results.published(run)
    results.dims["selavi-video"] = 513
    assert results.published(run) is None
    results.dims = DIMS
    provenance = results.provenance(run)
    entry = results.config.splits["main"]
    split = SplitMethod(entry.plugin, entry.settings.model_dump(mode="json"))
    files = json.loads(provenance.text["files"])
    for position in range(len(files)):
        changed = [
            [name, "0" * 64 if i == position else sha] for i, (name, sha) in enumerate(files)
        ]
        text = {**provenance.text, "files": json.dumps(changed)}
        assert published(split, [replace(provenance, text=text)]) is None
        fewer = {**provenance.text, "files": json.dumps(files[:position] + files[position + 1 :])}
        assert published(split, [replace(provenance, text=fewer)]) is None
    text = {**provenance.text, "plugin": "concatenated"}
    assert published(split, [replace(provenance, text=text)]) is None
    assert published(split, [provenance, replace(provenance, text={})]) is None
    assert published(split, [provenance] * 2)
    assert published(None, [provenance]) is None


def test_features_of_the_other_modality_have_no_published_number(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    """Those of SeLaVi have as many dimensions for audio as for video."""
    results, run = runs_of(raw, tmp_path)
    provenance = results.provenance(run)
    entry = results.config.splits["main"]
    split = SplitMethod(entry.plugin, entry.settings.model_dump(mode="json"))
    assert published(split, [provenance])
    swapped = replace(provenance, video=provenance.audio, audio=provenance.video)
    assert published(split, [swapped]) is None


def test_c3d_has_its_published_script_for_each_benchmark(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    (dataset,) = raw["datasets"]
    own = "official-script"
    if raw["datasets"][dataset]["benchmark"] == "ActivityNet":
        own = "official-script-activitynet"
    raw["backbones"] = {
        "c3d": {"weights": "published"},
        "vggish": {"weights": "published", "postprocess": "pca-quantised"},
    }
    raw["imported"] = {
        name: entry for name, entry in raw["imported"].items() if name not in raw["backbones"]
    }
    has_number = {}
    for script in ("official-script", "official-script-activitynet"):
        raw["backbones"]["c3d"]["preprocessing"] = script
        config = avca_config.parse(raw)
        (run, *_) = (
            run
            for run in config.runs()
            if run.split == "cls" and config.models[run.model].plugin == "avca"
        )
        results = Results(config, tmp_path)
        has_number[script] = results.published(run) is not None
    assert has_number == {script: script == own for script in has_number}


MADE_FEATURES = {
    "selavi_video": {"weights": "published", "windows": "official-script"},
    "selavi_audio": {"weights": "published", "windows": "official-script"},
}


def test_features_made_with_the_published_weights_are_the_published_ones(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    raw["backbones"] = {name: dict(settings) for name, settings in MADE_FEATURES.items()}
    raw["feature_sets"]["selavi"] = {"video": "selavi_video", "audio": "selavi_audio"}
    results, run = runs_of(raw, tmp_path)
    results.dims |= {"selavi_video": 512, "selavi_audio": 512}
    assert results.published(run)
    results.weights = "random:0"
    assert results.published(run) is None
    results.weights = "a" * 64
    for change in ({"windows": "covering"}, {"weights": "/data/other.pth"}, {"precision": "bf16"}):
        raw["backbones"]["selavi_video"] = {**MADE_FEATURES["selavi_video"], **change}
        other = Results(avca_config.parse(raw), tmp_path)
        other.dims = results.dims
        assert other.published(run) is None


@pytest.fixture(params=CLIPCLAP, ids=lambda path: path.stem)
def clipclap_raw(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """A ready benchmark of ClipClap, with made-up vectors under the names that its authors use."""
    text = request.param.read_text().replace("data/clipclap", str(tmp_path / "clipclap"))
    raw: dict[str, Any] = yaml.safe_load(
        text.replace("data/official", str(shared_folder("official")))
    )
    for part, dim in zip(raw["text_embeddings"]["clip-wavcaps"]["parts"], (512, 1024), strict=True):
        source = part["settings"]
        (benchmark,) = {split["benchmark"] for split in raw["splits"].values()}
        names = class_names(shared_folder("official"), benchmark).values()
        if "names" in source:
            with open(source["names"], newline="") as file:
                names = [row["manual"] for row in csv.DictReader(file)]
        Path(source["path"]).parent.mkdir(parents=True, exist_ok=True)
        np.save(source["path"], np.array({name: np.ones(dim, np.float32) for name in names}))
    return raw


def released_run(raw: dict[str, Any]) -> tuple[avca_config.Config, avca_config.Run]:
    """Returns a config of ClipClap, and its run on the released features."""
    config = avca_config.parse(raw)
    (run, *_) = (run for run in config.runs() if run.feature_set == "clip-wavcaps")
    return config, run


def test_clipclap_has_its_published_number(clipclap_raw: dict[str, Any], tmp_path: Path) -> None:
    config, run = released_run(clipclap_raw)
    results = Results(config, tmp_path)
    row = results.published(run)
    assert row is not None
    assert (row.model, row.source) == ("clipclap", SOURCES["clipclap"])
    results.dims["released-wavcaps"] = 512  # the free stand-in for the audio encoder
    assert results.published(run) is None
    clipclap_raw["models"]["clipclap"]["raw_weight"] = 1.0
    other, run = released_run(clipclap_raw)
    assert Results(other, tmp_path).published(run) is None


def test_one_modality_of_the_released_features_has_no_published_number(
    clipclap_raw: dict[str, Any], tmp_path: Path
) -> None:
    clipclap_raw["experiment"][0]["modalities"] = ["video", "audio"]
    config, _ = released_run(clipclap_raw)
    results = Results(config, tmp_path)
    alone = [run for run in config.runs() if run.feature_set == "clip-wavcaps"]
    assert {run.modalities for run in alone} == {"video", "audio"}
    assert all(results.published(run) is None for run in alone)


def test_clipclap_runs_on_released_features_and_on_our_own(clipclap_raw: dict[str, Any]) -> None:
    config = avca_config.parse(clipclap_raw)
    runs = {
        (run.feature_set, run.text_embedding, run.model, run.modalities) for run in config.runs()
    }
    own = {
        ("clip-clap", "clip-clap", model, modalities)
        for model in ("clipclap", "zero_shot")
        for modalities in ("both", "video", "audio")
    }
    assert runs == own | {("clip-wavcaps", "clip-wavcaps", "clipclap", "both")}
    assert len({run.seed for run in config.runs() if run.model == "clipclap"}) == 5
    assert config.feature_sets["clip-clap"].scaling == "none"


TCAF = {
    "scores_with_time_stamps": False, "video_norm": "time", "counts_padding": True,
    "refreshes_statistics": True,
}  # fmt: skip
TCAF_OF: dict[str, dict[str, Any]] = {
    "UCF": {},
    "ActivityNet": {"attention_dropout": 0.4, "train_windows": 60, "scored_windows": 300,
                    "multiplies_hops": True},
    "VGGSound": {"learning_rate": 6e-5, "lr_patience": 50, "depth": 8, "encoder_dropout": 0.2,
                 "token_dropout": 0.1, "attention_dropout": 0.5, "projection_dropout": 0.2},
}  # fmt: skip


def tcaf_config(raw: dict[str, Any]) -> dict[str, Any]:
    """Returns a config of TCaF on features over time in the published layout."""
    (dataset,) = raw["datasets"]
    benchmark = raw["datasets"][dataset]["benchmark"]
    path = f"data/{benchmark}/features/cls_features_non_averaged"
    times = {"c3d": ("video", 0.64), "vggish": ("audio", 0.96)}
    return {
        "results": "results/tcaf",
        "datasets": raw["datasets"],
        "imported": {
            name: {"modality": modality, "path": path, "keep_windows": True,
                   "window_s": hop_s, "hop_s": hop_s}
            for name, (modality, hop_s) in times.items()
        },
        "feature_sets": {"windows": {"video": "c3d", "audio": "vggish"}},
        "text_embeddings": {"word2vec": raw["text_embeddings"]["word2vec"]},
        "splits": {"cls": {**raw["splits"]["main"], "lists": "cls"}},
        "models": {"tcaf": {**TCAF, **TCAF_OF[benchmark]}},
        "experiment": {
            "datasets": [dataset], "feature_sets": ["windows"], "text_embeddings": ["word2vec"],
            "splits": ["cls"], "models": ["tcaf"], "seeds": [42],
        },
    }  # fmt: skip


def test_tcaf_has_its_published_number(raw: dict[str, Any], tmp_path: Path) -> None:
    own = tcaf_config(raw)

    def published_number() -> PublishedScores | None:
        config = avca_config.parse(own)
        (run,) = config.runs()
        return Results(config, tmp_path).published(run)

    row = published_number()
    assert row is not None
    assert (row.model, row.source) == ("tcaf", SOURCES["tcaf"])
    for peculiarity in TCAF:
        written = own["models"]["tcaf"].pop(peculiarity)
        assert published_number() is None
        own["models"]["tcaf"][peculiarity] = written
    own["imported"]["c3d"]["hop_s"] = 1.0
    assert published_number() is None


def test_published_numbers_are_consistent() -> None:
    """A slip in copying one of S, U and HM would show."""
    with_all = [row.scores for row in table() if len(row.scores) == 4]
    assert with_all
    for scores in with_all:
        mean = 2 * scores["seen"] * scores["unseen"] / (scores["seen"] + scores["unseen"])
        assert mean == pytest.approx(scores["hm"], abs=2e-4)


def test_every_published_number_has_its_source() -> None:
    for row in table():
        assert row.source == SOURCES.get(row.model, AVCA_PAPER)
        assert row.is_chosen_on_test == (row.model == "fvaegan")
    for model in SOURCES:
        assert len([row for row in table() if row.model == model]) == 3
