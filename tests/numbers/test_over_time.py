"""Methods that look at clips over time: what they are given, and from where it comes."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline import cli
from avca_pipeline.artifacts import features, manifest
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import ImportedFeatures, parse
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.models import ModelSettings
from avca_pipeline.planning.requests import Requests
from avca_pipeline.published import layout
from avca_pipeline.requests import ImportRequest
from avca_pipeline.stages import VERSIONS, import_
from tests.builders import SHARD, World
from tests.numbers import protocol
from tests.numbers.windows import counted, of_clip


class OverTime(protocol.Unequal):
    """Clips of one to four windows, which begin anywhere, in files in an order of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = np.random.default_rng(2)
        self.windows: dict[str, dict[str, np.ndarray]] = {"video": {}, "audio": {}}
        self.starts_s: dict[str, dict[str, np.ndarray]] = {"video": {}, "audio": {}}

    def write(self, folder: Path) -> dict[str, Path]:
        paths = super().write(folder)
        for index, name in enumerate(self.windows):
            plain = features.read(paths[name])
            for clip in plain.clip_ids:
                count = self.drawn.integers(1, 5)
                noise = self.drawn.standard_normal((count, self.dim))
                self.windows[name][clip] = np.float32(self.features[clip][index] + noise)
                self.starts_s[name][clip] = self.drawn.random(count)
            of_clips = [self.windows[name][clip] for clip in plain.clip_ids]
            over_time = FeatureWindows(
                np.concatenate(of_clips),
                np.concatenate([self.starts_s[name][clip] for clip in plain.clip_ids]),
            )
            changed = replace(
                plain, features=np.array([rows.mean(axis=0) for rows in of_clips]),
                num_windows=np.array([len(rows) for rows in of_clips]), windows=over_time,
                window_s=0.5, hop_s=0.25,
            )  # fmt: skip
            features.write(paths[name], changed)
        return paths

    def sums(self, clips: list[str], training: list[str]) -> np.ndarray:
        """Returns what the method makes of scaled windows, recomputed."""
        both = []
        for name, windows in self.windows.items():
            means = np.array([windows[clip].mean(axis=0) for clip in training], np.float64)
            shift, factor = means.mean(axis=0), 1 / means.std(axis=0)
            both.append(
                [
                    (
                        ((windows[clip] - shift) * factor)
                        * (1 + self.starts_s[name][clip])[:, None]
                        * 0.25
                    ).sum(axis=0)
                    for clip in clips
                ]
            )
        return np.concatenate(both, axis=1)


@pytest.mark.usefixtures("methods_of_the_tests")
def test_a_method_over_time_gets_the_windows_of_its_clips_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From training to the test, and no more of the file is read than the clips it looks at."""
    world, num_read = OverTime(), counted(monkeypatch)
    few = {"epochs": 2, "batches_per_epoch": 3, "batch_size": 2}
    settings = ModelSettings(**few).model_dump(mode="json")
    run = protocol.run(world, tmp_path, {"one": settings}, plugin="glance")
    training = [clip.clip_id for clip in world.usable("train", "val_seen", "val_unseen")]
    tested = [clip.clip_id for clip in world.usable("test_seen", "test_unseen")]
    assert list(run.embeddings.clip_ids) == tested
    state = {name: value.numpy() for name, value in run.stage2["state"].items()}
    expected = world.sums(tested, training) @ state["weight"].T + state["bias"]
    np.testing.assert_allclose(run.embeddings.clips, expected, rtol=1e-5, atol=1e-5)

    validation = {clip.clip_id for clip in world.usable("val_seen", "val_unseen")}
    length = {
        clip: sum(len(windows[clip]) for windows in world.windows.values())
        for clip in [*training, *tested]
    }
    epochs = 2 + len(run.history2["epochs"])
    validated = 2 + sum(epoch["val"] is not None for epoch in run.history2["epochs"])
    least = validated * sum(length[clip] for clip in validation) + sum(length[c] for c in tested)
    drawn = num_read["windows"] - least
    # Each epoch draws three times two clips, of one to four windows in both modalities.
    assert epochs * 6 * 2 <= drawn <= epochs * 6 * 8
    assert num_read["windows"] == num_read["window_starts_s"]


@pytest.mark.usefixtures("methods_of_the_tests")
def test_a_method_over_time_needs_windows(tmp_path: Path) -> None:
    settings = ModelSettings(epochs=1, batches_per_epoch=1, batch_size=2).model_dump(mode="json")
    text = json.dumps(
        {"plugin": "glance", "scaling": "none", "seed": 0, "candidates": {"one": settings}}
    )
    files = [text for name, path in World().write(tmp_path).items() for text in (f"--{name}", path)]
    out = [text for name in ("out", "history", "resume") for text in (f"--{name}", tmp_path / name)]
    command = ["train", "--stage", "1", "--settings", text, "--device", "cpu", *files, *out]
    assert cli.main([str(part) for part in command]) == 1
    assert not (tmp_path / "out").exists()


CONFIG: dict[str, Any] = {
    "datasets": {"demo": {}},
    "backbones": {"timm_frames": {}, "vggish": {"keep_windows": True}},
    "imported": {"theirs": {"modality": "video", "path": "."}},
    "feature_sets": {
        "ours": {"video": "timm_frames", "audio": "vggish"},
        "mixed": {"video": "theirs", "audio": "vggish"},
    },
    "text_embeddings": {"hashed": {}},
    "splits": {"built": {}},
    "models": {"glance": {}, "devise": {}},
    "experiment": {
        "datasets": ["demo"], "feature_sets": ["ours", "mixed"], "text_embeddings": ["hashed"],
        "splits": ["built"], "models": ["glance", "devise"],
    },
}  # fmt: skip


@pytest.mark.usefixtures("methods_of_the_tests")
def test_the_config_says_where_windows_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video/stage_1_train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    wrong = "models.glance: looks at clips over time, but of {0} only means are kept; set {0}"
    with pytest.raises(PipelineError) as error:
        parse(CONFIG)
    names = ("backbones.timm_frames", "imported.theirs")
    assert error.value.lines == [f"{wrong.format(name)}.keep_windows: true" for name in names]
    right = copy.deepcopy(CONFIG)
    right["backbones"]["timm_frames"]["keep_windows"] = True
    right["imported"]["theirs"]["keep_windows"] = True
    with pytest.raises(PipelineError, match=r"imported.theirs: .* window_s or hop_s is missing"):
        parse(right)
    right["imported"]["theirs"] |= {"window_s": 0.64, "hop_s": 0.64}
    config = parse(right)
    asked = Requests(config, VERSIONS)
    assert asked.extract("demo", "vggish", SHARD).keep_windows
    assert asked.import_("demo", "theirs", SHARD).source.keep_windows


def test_features_over_time_are_imported_from_the_published_layout(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    windows = {clip: drawn.random((count, 4)) for clip, count in (("a", 3), ("b", 1), ("c", 2))}
    ragged = np.empty(2, object)
    ragged[:] = [windows["a"], windows["b"]]
    contents = {
        "stage_1_train/run.pkl": (ragged, ["a.mp4", "b.mp4"]),
        "stage_2_test_seen/run.pkl": ([windows["c"]], ["c"]),
    }
    for name, (values, names) in contents.items():
        path = tmp_path / "video" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps({"features": values, "video_names": names, "fps": [25]}))
    manifest.write(tmp_path / "clips.csv", [Clip(name, name, "run", "x") for name in "abcd"])
    source = ImportedFeatures(
        modality="video", path=tmp_path, keep_windows=True, window_s=0.64, hop_s=0.5
    )
    request = ImportRequest(features="theirs", shard=SHARD, source=source)
    import_.run(request, tmp_path / "clips.csv", tmp_path / "out.h5")
    found = features.read(tmp_path / "out.h5", with_windows=True)
    assert (list(found.clip_ids), list(found.rejected)) == (["a", "b", "c"], ["d"])
    assert (found.window_s, found.hop_s) == (0.64, 0.5)
    assert found.num_windows.tolist() == [3, 1, 2]
    for clip in found.clip_ids:
        values, starts = of_clip(found, clip)
        assert values == windows[clip].astype(np.float32).tolist()
        assert starts == [0.5 * number for number in range(len(values))]
    expected = [windows[clip].astype(np.float32).mean(axis=0) for clip in "abc"]
    np.testing.assert_allclose(found.features, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"features": [np.ones((2, 3))], "video_names": ["a", "b"]}, "2 video_names but 1 feat"),
        ({"features": [np.ones(3)], "video_names": ["a"]}, r"'a' are \(3,\), not windows"),
        ({"features": [np.full((1, 3), np.nan)], "video_names": ["a"]}, "not finite"),
        ({"features": [Path("x")], "video_names": ["a"]}, "refers to pathlib"),
        ({"features": [], "video_names": [1]}, "something else than texts"),
        ({"video_names": ["a"]}, "holds no dict with 'features'"),
    ],
)
def test_pickles_of_anything_else_are_refused_in_one_line(
    tmp_path: Path, content: Any, text: str
) -> None:
    path = tmp_path / "video/stage_1_train/run.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(FormatError, match=text) as error:
        list(layout.read_windows(tmp_path, "video"))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
