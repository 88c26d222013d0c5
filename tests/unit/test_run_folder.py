"""What a run has left in its folder: what is read of it, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.artifacts import checkpoint, labels, records, scores
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.records import Record
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import ClassAccuracy
from avca_pipeline.artifacts.split import TEST_SEEN, TEST_UNSEEN
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference import run_folder
from tests.builders import SHARD, World, extract_request, scores_of

WEIGHTS = {"name": "tower", "revision": "0" * 40, "sha256": "ab" * 32}
OF_TEXT = {
    "plugin": "transformers_text",
    "settings": "{}",
    "files": "[]",
    "weights": canonical_json([WEIGHTS]),
}


def run_of(results: Path, world: World, model: str, of_text: Mapping[str, str] = OF_TEXT) -> Path:
    """Writes what is read of a run whose feature set is called ``features``; returns its folder."""
    own = results / "d"
    paths = world.write(results)
    run = Run("d", "s", "features", "t", model, 0)
    stated = {}
    for modality, plugin in (("video", "timm_frames"), ("audio", "vggish")):
        request = extract_request(plugin, {"weights": "random"}).model_dump(mode="json")
        shard, gathered = own / f"features/{modality}/{SHARD}.h5", own / f"features/{modality}.h5"
        gathered.parent.mkdir(parents=True, exist_ok=True)
        paths[modality].rename(gathered)
        records.write(results, shard, Record("", request=request))
        records.write(results, gathered, Record("", {records.within(results, shard): ""}))
        stated[modality] = {
            "name": modality, "backbone": plugin, "weights": "random:0", "dim": str(world.dim),
            "preprocessing": canonical_json(request["settings"]),
        }  # fmt: skip
    (own / "splits").mkdir()
    paths["split"].rename(own / "splits/s.csv")
    (own / "labels").mkdir()
    names = sorted(world.vectors)
    vectors = np.array([world.vectors[name] for name in names])
    labels.write(own / "labels/t.h5", Labels(names, vectors, "drawn", of_text))
    request = {"plugin": "transformers_text", "settings": {}}
    records.write(results, own / "labels/t.h5", Record("", request=request))

    folder = results / run.path
    folder.mkdir(parents=True)
    per_class = tuple(ClassAccuracy(name, name in "de", 1, None, None) for name in names)
    made = scores_of(run, per_class=per_class)
    provenance = replace(made.provenance, **stated, text={"name": "t", **of_text})
    scores.write(folder / "scores.json", replace(made, provenance=provenance))
    read = ["features/video.h5", "features/audio.h5", "labels/t.h5", "splits/s.csv"]
    inputs = {f"d/{name}": "" for name in read} | {f"{run.path}/selection.json": ""}
    records.write(results, folder / "stage2.pt", Record("", inputs))
    content = {"model": model, "settings": "{}", "scaling": {}, "state": {"w": torch.zeros(1)}}
    checkpoint.write(folder / "stage2.pt", content)
    (folder / "selection.json").write_text("{}")
    inputs |= {f"{run.path}/stage2.pt": ""}
    digests = {name: hashlib.sha256((results / name).read_bytes()).hexdigest() for name in inputs}
    records.write(results, folder / "scores.json", Record("", digests))
    return folder


def test_a_feature_set_may_be_called_features(tmp_path: Path) -> None:
    world = World()
    found = run_folder.read(run_of(tmp_path, world, "fvaegan"))
    trained = sorted(
        (clip for clip in world.clips if clip.partition not in (TEST_SEEN, TEST_UNSEEN)),
        key=lambda clip: clip.clip_id,
    )
    for index, modality in enumerate(("video", "audio")):
        expected = np.array([world.features[clip.clip_id][index] for clip in trained], np.float32)
        np.testing.assert_array_equal(found.arrays[f"training.{modality}"], expected)
    assert found.description.text.weights == (WEIGHTS,)
    assert found.description.backbones["audio"].plugin == "vggish"


def test_vectors_of_other_weights_than_the_runs_are_refused(tmp_path: Path) -> None:
    folder, path = run_of(tmp_path, World(), "devise"), tmp_path / "d/labels/t.h5"
    stored = labels.read(path)
    moved = {**OF_TEXT, "weights": canonical_json([{**WEIGHTS, "revision": "1" * 40}])}
    labels.write(path, replace(stored, attributes=moved))
    with pytest.raises(PipelineError, match=r"t\.h5: was made anew since the run was scored"):
        run_folder.read(folder)


@pytest.mark.parametrize(
    "name", ["stage2.pt", "selection.json", "splits/s.csv", "features/audio.h5"]
)
def test_a_part_of_another_training_than_the_one_scored_is_refused(
    name: str, tmp_path: Path
) -> None:
    folder = run_of(tmp_path, World(), "fvaegan")
    path = folder / name if "/" not in name else tmp_path / "d" / name
    if name == "stage2.pt":
        content = checkpoint.read(path)
        checkpoint.write(path, {**content, "state": {"w": torch.ones(1)}})
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(
        PipelineError, match="was made anew since the run was scored; run the"
    ) as error:
        run_folder.read(folder)
    assert str(error.value).startswith(f"{path}: ")


def test_a_bundle_is_not_the_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(b"PK")
    with pytest.raises(PipelineError, match=r"mine\.zip: is not the folder of a run"):
        run_folder.read(tmp_path / "mine.zip")


def test_a_run_that_says_nothing_of_weights_is_refused(tmp_path: Path) -> None:
    without = {name: value for name, value in OF_TEXT.items() if name != "weights"}
    with pytest.raises(PipelineError, match="does not say what the vectors were made with"):
        run_folder.read(run_of(tmp_path, World(), "devise", without))
