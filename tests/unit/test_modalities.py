"""Feature sets of one modality, and methods that use one of two: `does audio help?`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline import config as avca_config
from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.run import Run
from avca_pipeline.errors import PipelineError
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
    made = []
    for run in runs:
        value = scores_of(run)
        made.append(
            replace(
                value,
                provenance=replace(value.provenance, settings={"modalities": run.modalities}),
            )
        )
    rows = rows_of(made)
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
