"""A run as FiftyOne imports it: read back as its importer reads it, without FiftyOne."""

from __future__ import annotations

import base64
import io
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import fetched, manifest, predictions, scores, split
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.predictions import ClipPrediction, NearClass
from avca_pipeline.artifacts.scores import ClassAccuracy, Embeddings
from avca_pipeline.artifacts.split import SplitClip
from avca_pipeline.cli import main
from tests.builders import RUN, SHARD, scores_of

CLASS = {"trained": "dog"}
IDS = ("tested", "trained", "refused", "sound", "away")


def made(folder: Path) -> Path:
    results = folder / "work/out/results"
    own, run = results / "d", results / RUN.path
    names = {clip: f"{clip} é.{'wav' if clip == 'sound' else 'mp4'}" for clip in IDS}
    (folder / "work/media").mkdir(parents=True)
    for clip, name in names.items():
        if clip != "away":
            (folder / "work/media" / name).touch()
    clips = [Clip(clip, f"s-{clip}", CLASS.get(clip, "<b>cat</b>"), "x") for clip in IDS]
    clips[0] = replace(clips[0], start_s=1.5, end_s=2.0)
    manifest.write(own / "manifest.csv", clips)
    rows = [FetchedClip(clip, OK, path=f"media/{name}") for clip, name in names.items()]
    rows[2] = replace(rows[2], status=REJECTED, reason="damaged")
    fetched.write(own / f"fetched/{SHARD}.csv", rows)
    split.write(
        own / "splits/s.csv",
        [SplitClip("tested", "<b>cat</b>", "s-tested", "test_unseen"),
         SplitClip("trained", "dog", "s-trained", "train")],
    )  # fmt: skip
    per_class = (ClassAccuracy("<b>cat</b>", True, 1, 0.0, 1.0),)
    scores.write(run / "scores.json", scores_of(per_class=per_class, bias=0.25))
    dog, cat = NearClass("dog", False, 0.125), NearClass("<b>cat</b>", True, 0.5)
    answer = ClipPrediction("tested", "<b>cat</b>", True, 2, 1, dog, cat, (dog, cat))
    predictions.write(run / "predictions.csv", 0.25, [answer])
    scores.write_embeddings(
        run / "embeddings.h5",
        Embeddings(["tested"], ["<b>cat</b>"], np.array([[1.5, -2.0]], np.float32),
                   ["<b>cat</b>"], np.array([True]), np.zeros((1, 2))),
    )  # fmt: skip
    return run


def test_samples_have_labels_predictions_and_embeddings(tmp_path: Path) -> None:
    run, out = made(tmp_path), tmp_path / "out"
    for _ in range(2):  # the second time it replaces what is there
        assert main(["fiftyone", str(run), "--out", str(out)]) == 0
    metadata = json.loads((out / "metadata.json").read_text())
    # Without a version, FiftyOne takes it for a folder of samples and not for a database.
    assert metadata == {
        "media_type": "video", "info": {"run": RUN.path, "bias": 0.25},
        "default_classes": ["<b>cat</b>"],
    }  # fmt: skip
    samples = {s["clip_id"]: s for s in json.loads((out / "samples.json").read_text())["samples"]}
    assert set(samples) == {"tested", "trained", "refused"}
    for clip, sample in samples.items():
        assert sample["filepath"] == str(tmp_path / f"work/media/{clip} é.mp4")
        assert json.loads((out / sample["frames"]).read_text()) == {"frames": {}}
        name = CLASS.get(clip, "<b>cat</b>")
        label = {"_cls": "Classification", "tags": [], "label": name}
        assert sample["ground_truth"] == label
    tested = samples["tested"]
    assert tested["tags"] == ["test_unseen", "unseen"]
    assert (tested["start_s"], tested["end_s"]) == (1.5, 2.0)
    assert (tested["rank"], tested["is_right"]) == (2, False)
    assert tested["prediction"]["label"] == "dog"
    top = tested["top"]["classifications"]
    assert [(part["label"], part["distance"]) for part in top] == [
        ("dog", 0.125), ("<b>cat</b>", 0.5)
    ]  # fmt: skip
    packed = base64.b64decode(tested["embedding"]["$binary"]["base64"])
    array = np.load(io.BytesIO(zlib.decompress(packed)))
    np.testing.assert_array_equal(array, np.array([1.5, -2.0], np.float32))
    assert samples["trained"]["tags"] == ["train"]
    assert "prediction" not in samples["trained"]
    assert samples["refused"]["tags"] == ["rejected"]
    assert samples["refused"]["rejected_because"] == "damaged"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("scores.json", "is not the folder of a run that has ended"),
        ("predictions.csv", "has no predictions.csv, which this release writes"),
        ("media", "none of its 5 clips has a video file"),
        ("", "is there and is something else"),
    ],
)
def test_what_is_missing_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str, message: str
) -> None:
    run, out = made(tmp_path), tmp_path / "out"
    if missing == "media":
        (tmp_path / "work/media").rename(tmp_path / "work/elsewhere")
    elif missing:
        (run / missing).unlink()
    else:
        out.mkdir()
        (out / "mine.txt").touch()
    assert main(["fiftyone", str(run), "--out", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not (out / "samples.json").exists()
