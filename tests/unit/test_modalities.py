"""Feature sets of one modality, and methods that use one of two: `does audio help?`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline import config as avca_config
from avca_pipeline import registry
from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.planning.requests import Requests, run_of
from avca_pipeline.reporting.tables import csv_columns, csv_row, rows_of, unusual_settings
from avca_pipeline.stages import VERSIONS
from tests.builders import RUN, World, scores_of, trained_and_scored
from tests.workflow.driving import tiny

ONE = {"seen": {"video": "frames"}, "heard": {"audio": "vggish"}}


def config(models: dict[str, Any], feature_sets: dict[str, Any], **grid: Any) -> dict[str, Any]:
    """Returns a config of these models on these feature sets."""
    raw = tiny(models=models, feature_sets=feature_sets)
    raw["experiment"] |= {"models": [*models], "feature_sets": [*feature_sets]} | grid
    return raw


def test_modalities_are_a_dimension_of_the_grid() -> None:
    raw = config({"ale": {}}, {**tiny()["feature_sets"], **ONE})
    both = avca_config.parse(raw)
    folder = "tiny/runs/built/{}/hashed/{}/seed0"
    assert [run.path for run in both.runs()] == [
        folder.format("both", "ale"), folder.format("seen", "ale+video"),
        folder.format("heard", "ale+audio"),
    ]  # fmt: skip
    assert both.used_backbones() == ["frames", "vggish"]
    alone = config({"ale": {}}, tiny()["feature_sets"], modalities=["both", "video", "audio"])
    runs = avca_config.parse(alone).runs()
    assert [run.path for run in runs] == [
        folder.format("both", model) for model in ("ale", "ale+video", "ale+audio")
    ]
    for run in runs:
        dataset, _, *names = run.path.split("/")
        assert run_of(dataset, *names[:-1], names[-1].removeprefix("seed")) == run


def test_stages_are_asked_for_the_modalities_of_the_run() -> None:
    raw = config({"avca": {}}, {**tiny()["feature_sets"], **ONE}, modalities=["both"])
    requests = Requests(avca_config.parse(raw), VERSIONS)
    start = ("tiny", "built")
    for feature_set, model, used in (
        ("both", "avca", "both"), ("both", "avca+audio", "audio"), ("heard", "avca+audio", "audio"),
    ):  # fmt: skip
        names = (*start, feature_set, "hashed", model, "0")
        (settings,) = requests.train_stage2(*names).candidates.values()
        assert settings["modalities"] == used
        assert settings["scored_embedding"] == ("audio" if used == "audio" else "video")
        request = requests.evaluate(*names)
        assert request.run.modalities == used
        assert (request.video, request.audio) == (
            "" if feature_set == "heard" else "frames", "vggish"
        )  # fmt: skip


SEARCHED = {
    "zero_shot": {"search": {"audio_weight": [0.25, 0.5, 0.75]}},
    "avca": {"search": {"scored_embedding": ["video", "audio"], "margin": [1.0, 2.0]}},
}


@pytest.mark.parametrize(
    ("model", "own", "grid", "kept"),
    [
        ("zero_shot", {}, "both", ["audio_weight=0.25", "audio_weight=0.5", "audio_weight=0.75"]),
        ("zero_shot", {}, "audio", ["audio_weight=0.25"]),
        ("zero_shot", {"modalities": "video"}, "both", ["audio_weight=0.25"]),
        (
            "avca",
            {},
            "video",
            ["scored_embedding=video-margin=1.0", "scored_embedding=video-margin=2.0"],
        ),
    ],
)
def test_candidates_that_are_the_same_with_one_modality_are_one(
    model: str, own: dict[str, Any], grid: str, kept: list[str], tmp_path: Path
) -> None:
    raw = config({model: SEARCHED[model] | own}, tiny()["feature_sets"], modalities=[grid])
    requests = Requests(avca_config.parse(raw), VERSIONS)
    name = model if grid == "both" else f"{model}+{grid}"
    names = ("tiny", "built", "both", "hashed", name, "0")
    candidates = requests.train_stage2(*names).candidates
    assert [*candidates] == kept
    assert requests.select(*names).candidates == tuple(kept)
    assert requests.report().runs[0].candidates == tuple(kept)
    jobs = Jobs(requests.config, VERSIONS, Digests(tmp_path / "digests.json"))
    trained = [job.names[-1] for job in jobs if job.rule == "train_stage1"]
    assert trained == kept


NEEDS_BOTH = "models.cjme: the method needs both video and audio, but "


@pytest.mark.parametrize(
    ("models", "feature_sets", "grid", "line"),
    [
        ({"ale": {}, "cjme": {}}, ONE, {}, f"{NEEDS_BOTH}feature_sets.seen has video alone"),
        (
            {"cjme": {}},
            tiny()["feature_sets"],
            {"modalities": ["audio"]},
            f"{NEEDS_BOTH}experiment.modalities names audio",
        ),
        (
            {"ale": {}},
            {"seen": ONE["seen"]},
            {"modalities": ["both", "audio"]},
            "experiment.modalities: audio, but feature_sets.seen has video alone",
        ),
        (
            {"mine": {"plugin": "ale", "modalities": "audio"}},
            {"seen": ONE["seen"]},
            {},
            "models.mine.modalities: audio, but feature_sets.seen has video alone",
        ),
        (
            {"tcaf": {}},
            {"seen": ONE["seen"]},
            {},
            "models.tcaf: the method needs both video and audio, but feature_sets.seen has video",
        ),
        ({"cjme": {"modalities": "video"}}, tiny()["feature_sets"], {}, "models.cjme.modalities: "),
        (
            {"mine": {"plugin": "ale", "modalities": "video"}},
            tiny()["feature_sets"],
            {"modalities": ["both", "video"]},
            "models.mine.modalities: video, but experiment.modalities names video; take",
        ),
        ({"ale": {}}, {"none": {}}, {}, "feature_sets.none: name a video backbone, an audio"),
        (
            {"ale": {}},
            {"seen": {"video": "vggish"}},
            {},
            "feature_sets.seen.video: 'vggish' is a backbone for audio",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(
    models: dict[str, Any], feature_sets: dict[str, Any], grid: dict[str, Any], line: str
) -> None:
    with pytest.raises(PipelineError) as error:
        avca_config.parse(config(models, feature_sets, **grid))
    assert any(found.startswith(line) for found in error.value.lines), error.value.lines
    assert all("\n" not in found for found in error.value.lines)


@pytest.mark.parametrize("cut", ["train_windows", "scored_windows"])
def test_windows_that_are_not_equally_far_apart_cannot_be_cut(cut: str) -> None:
    raw = config({"tcaf": {cut: 60}}, tiny()["feature_sets"])
    for backbone in raw["backbones"].values():
        backbone["keep_windows"] = True
    avca_config.parse(raw)
    raw["backbones"]["frames"]["frames"] = 8
    with pytest.raises(PipelineError) as error:
        avca_config.parse(raw)
    assert error.value.lines == [
        "models.tcaf: train_windows and scored_windows cut clips to one length, but windows of "
        "backbones.frames are not equally far apart; set both to 0"
    ]
    raw["models"]["tcaf"] = {}
    avca_config.parse(raw)


@pytest.mark.parametrize(
    ("plugin", "settings", "is_steady"),
    [
        ("timm_frames", {}, True),
        ("timm_frames", {"frames": 8}, False),
        ("timm_frames", {"frames": "middle"}, False),
        ("selavi_video", {}, True),
        ("selavi_video", {"windows": "official-script"}, False),
        ("selavi_audio", {"windows": "official-script"}, False),
        ("c3d", {}, True),
        ("vggish", {}, True),
    ],
)
def test_settings_say_whether_windows_are_equally_far_apart(
    plugin: str, settings: dict[str, Any], is_steady: bool
) -> None:
    module = registry.load("backbones", plugin)
    typed = module.Settings(**settings)
    timing = module.spec(typed).timing
    assert timing is not None
    assert (typed.has_steady_hop, math.isnan(timing.hop_s)) == (is_steady, not is_steady)


def scored(folder: Path, inputs: dict[str, Path], modalities: Any) -> dict[str, Any]:
    """Trains and scores ALE on these modalities; returns ``scores.json``."""
    settings = {"epochs": 2, "batches_per_epoch": 4, "batch_size": 8, "modalities": modalities}
    return trained_and_scored(folder, inputs, "ale", settings, replace(RUN, modalities=modalities))


def test_the_other_modality_decides_which_clips_count_and_nothing_else(tmp_path: Path) -> None:
    """ALE on video alone gets the same scores whatever the sound is, and fewer clips than both."""
    world = World()
    lost = next(clip.clip_id for clip in world.clips if clip.partition == "test_seen")
    world.missing["audio"] = {lost}
    inputs = world.write(tmp_path)
    first = scored(tmp_path, inputs, "video")
    assert first["num_missing"] == {"test_seen": 1}
    assert first["provenance"]["video"]["name"] == "video"
    assert first["provenance"]["audio"] == {}

    audio = features.read(inputs["audio"])
    features.write(inputs["audio"], replace(audio, features=np.flip(audio.features, 0) ** 3))
    assert scored(tmp_path, inputs, "video") == first
    del inputs["audio"]
    alone = scored(tmp_path, inputs, "video")
    assert alone["num_missing"] == {}
    assert alone["provenance"]["audio"] == {}
    with pytest.raises(PipelineError, match="--audio: is missing, and the model uses audio"):
        scored(tmp_path, inputs, "both")


def test_the_table_has_a_row_for_each() -> None:
    runs = [Run("d", "s", "f", "t", "ale", 0, modalities) for modalities in ("both", "audio")]
    rows = rows_of(with_settings(run, {"modalities": run.modalities}) for run in runs)
    assert [row.title for row in rows] == [
        "d · s · f · t · ale · audio alone",
        "d · s · f · t · ale",
    ]
    cells = [dict(zip(csv_columns(), csv_row(row), strict=True)) for row in rows]
    assert [(cell["model"], cell["modalities"]) for cell in cells] == [
        ("ale", "audio"), ("ale", "both")
    ]  # fmt: skip
    assert rows[0].group == rows[1].group
    assert not any(unusual_settings(rows).values())


def test_the_table_says_what_a_models_own_settings_used() -> None:
    """Two seeds whose validation chose other modalities have those of the grid."""
    rows = rows_of(
        with_settings(Run("d", "s", "f", "t", model, seed), {"modalities": used})
        for model, of_seeds in {"own": ("video", "video"), "searched": ("video", "both")}.items()
        for seed, used in enumerate(of_seeds)
    )
    cells = [dict(zip(csv_columns(), csv_row(row), strict=True)) for row in rows]
    assert {cell["model"]: cell["modalities"] for cell in cells} == {
        "own": "video", "searched": "both",
    }  # fmt: skip
    assert rows[0].title == "d · s · f · t · own · video alone"
    assert not any(unusual_settings(rows).values())


def with_settings(run: Run, settings: dict[str, Any]) -> Scores:
    """Returns scores of a run whose chosen candidate had these settings."""
    value = scores_of(run)
    return replace(value, provenance=replace(value.provenance, settings=settings))
