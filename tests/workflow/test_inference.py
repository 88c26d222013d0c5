"""Classifying with a run that the workflow has made: its bits, its names, its weights."""

from __future__ import annotations

import contextlib
import functools
import json
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

import avca_pipeline
from avca_pipeline import PipelineError, cli, registry
from avca_pipeline.artifacts import (
    bundle,
    checkpoint,
    feature_windows,
    features,
    fetched,
    manifest,
    records,
    scores,
)
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.bundle import Bundle, BundledText
from avca_pipeline.artifacts.labels import read as read_labels
from avca_pipeline.artifacts.scores import Embeddings
from avca_pipeline.evaluation.clip_windows import ClipWindows
from avca_pipeline.evaluation.distances import euclidean_distances
from avca_pipeline.inference import card, run_folder
from avca_pipeline.models import Dims, Windows
from avca_pipeline.requests import EvaluateRequest, SelectRequest, TrainRequest
from avca_pipeline.stages import evaluate, select, train
from tests.conftest import REPOSITORY, program, shared_folder
from tests.transformer_models import saved
from tests.workflow.driving import tiny

RUN = "results/tiny/runs/built/both/hashed/avca/seed0"


class StoredTest:
    """What the workflow has stored of the test of a run, and where its clips are."""

    def __init__(self, folder: Path, run: str = RUN) -> None:
        self.run = folder / run
        self.embeddings: Embeddings = scores.read_embeddings(self.run / "embeddings.h5")
        self.scores = scores.read(self.run / "scores.json")
        data = folder / "results/tiny"
        tables = [fetched.read(path) for path in (data / "fetched").glob("*.csv")]
        media = {row.clip_id: folder / row.path for rows in tables for row in rows}
        clips = {clip.clip_id: clip for clip in manifest.read(data / "manifest.csv")}
        self.videos = []
        for clip_id in self.embeddings.clip_ids:
            clip = clips[clip_id]
            stretch = "" if clip.start_s is None else f"#t={clip.start_s},{clip.end_s}"
            self.videos.append(f"{media[clip_id]}{stretch}")

    @property
    def distances(self) -> np.ndarray:
        """Those by which AVCA's clips were scored."""
        return euclidean_distances(self.embeddings.clips, self.embeddings.classes)

    def check(self, distances: np.ndarray, class_names: Sequence[str]) -> None:
        """Asserts that these classes reach the accuracy of each class that was counted."""
        own = np.array(self.embeddings.class_of_clip)
        found = np.array(class_names)
        assert len(distances) == len(own) > 5
        for of_class in self.scores.per_class:
            is_own = own == of_class.class_name
            assert is_own.sum() == of_class.num_clips
            if of_class.gzsl is not None:
                assert (found[is_own] == of_class.class_name).mean() == of_class.gzsl


@pytest.fixture(scope="module")
def tested(finished: Path) -> StoredTest:
    return StoredTest(finished)


def predict(*arguments: str | Path) -> int:
    return cli.main(["predict", *map(str, arguments), "--device", "cpu", "--threads", "1"])


def test_each_test_clip_gets_the_class_and_the_distances_by_which_it_was_scored(
    tested: StoredTest,
) -> None:
    run = avca_pipeline.load_run(str(tested.run), device="cpu")
    assert any("#t=" in video for video in tested.videos)
    made = run.predict(tested.videos, top=None)
    np.testing.assert_array_equal(made.distances, tested.distances)
    tested.check(made.distances, [prediction.class_name for prediction in made])
    assert list(made.class_names) == list(tested.embeddings.class_names)
    np.testing.assert_array_equal(made.is_seen, ~tested.embeddings.is_unseen)

    # Alone, in another order of the classes and with other workers: the same bits.
    order = [*reversed(range(len(run.class_names)))]
    alone = avca_pipeline.load_run(tested.run, device="cpu", workers=2).predict(
        Path(tested.videos[-1]), classes=[run.class_names[column] for column in order], top=2
    )
    np.testing.assert_allclose(alone.distances[0], tested.distances[-1][order], rtol=1e-6)
    (nearest,) = (prediction.ranking for prediction in alone)
    assert [one.class_name for one in nearest] == [one.class_name for one in made[-1].ranking[:2]]
    np.testing.assert_array_equal(run.predict(tested.videos[-1]).distances[0], tested.distances[-1])


def test_a_bundle_predicts_where_no_results_are(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = StoredTest(folder)
    assert cli.main(["bundle", str(tested.run), str(tmp_path / "mine")]) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "mine.zip", elsewhere / "theirs.zip")
    shutil.move(tmp_path / "mine", elsewhere / "folder")
    for name in ("features", "labels", "runs", "splits", "manifest.csv", "fetched"):
        path = folder / "results/tiny" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(folder / "results/records")

    # Where anything in its head is not as the Hub wants it, the library raises an error.
    described = ModelCard.load(elsewhere / "folder/README.md", ignore_metadata_errors=False).data
    assert (described.library_name, described.model_name) == ("avca_pipeline", "avca")
    stated = {
        str(one.metric_name).partition(":")[0]: one.metric_value for one in described.eval_results
    }
    assert stated == {
        short: pytest.approx(getattr(tested.scores.scores, name), abs=1e-6)
        for short, name in (("S", "seen"), ("U", "unseen"), ("HM", "hm"), ("ZSL", "zsl"))
    }
    broken = next((folder / "results/tiny/raw").glob("*no-audio*"))
    for name in ("theirs.zip", "folder"):
        out = elsewhere / "out.json"
        asked = [*tested.videos, str(broken), "nothing.mp4"]
        assert predict(*asked, "--run", elsewhere / name, "--top", "99", "--out", out) == 0
        found = json.loads(out.read_text())
        *rows, no_audio, no_file = found["predictions"]
        assert no_audio["reason"].startswith("no audio stream")
        assert no_file["reason"] == "missing file"
        distances = np.array([
            [{one["class_name"]: one["distance"] for one in row["ranking"]}[class_name]
             for class_name in tested.embeddings.class_names]
            for row in rows
        ])  # fmt: skip
        np.testing.assert_array_equal(distances, tested.distances)
        tested.check(distances, [row["ranking"][0]["class_name"] for row in rows])
    assert predict(tested.videos[0], "--run", elsewhere / "folder", "--top", "1") == 0
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if line.startswith("   1")]
    assert found["predictions"][0]["ranking"][0]["class_name"] in line
    assert " seen " in line or " unseen " in line
    assert "no probability" in shown
    asked = (tested.videos[0], "--run", elsewhere / "folder", "--leave-out-seen")
    assert predict(*asked) == 0
    assert " seen " not in capsys.readouterr().out


def test_a_timeline_ranks_each_window(
    tested: StoredTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = avca_pipeline.load_run(tested.run, device="cpu")
    found = run.predict([*tested.videos, "nothing.mp4"], timeline=True)
    *parts, missing = found
    assert missing.reason == "missing file"
    assert missing.start_s is None
    # A clip of 1.28 s has one whole window of sound, of 0.975 s.
    assert [part.video for part in parts] == tested.videos
    for part in parts:
        start_s = 1.3 if "#t=1.3" in part.video else 0.0
        assert (part.start_s, part.end_s) == (start_s, pytest.approx(start_s + 0.975))

    content = checkpoint.read(tested.run / "stage2.pt")
    scaled = {}
    for modality, backbone in run.backbones.items():
        made = avca_pipeline.extract(
            tested.videos, backbone.plugin, device="cpu", keep_windows=True, **backbone.settings
        )
        assert made.windows is not None
        assert list(made.clip_ids) == tested.videos
        clips = np.repeat(np.arange(len(parts)), made.num_windows)
        within = made.windows.starts_s < 0.975
        means = [
            made.windows.values[(clips == clip) & within].mean(axis=0) for clip in range(len(parts))
        ]
        mean, factor = (content["scaling"][f"{modality}_{name}"] for name in ("mean", "factor"))
        scaled[modality] = ((torch.from_numpy(np.array(means)) - mean) * factor).float()
    avca = registry.load("models", "avca")
    settings = avca.Settings(**json.loads(content["settings"]))
    network = avca.build(settings, Dims(*content["dims"]))
    network.load_state_dict(content["state"])
    with torch.inference_mode():
        clips = avca.embed_clips(settings, network.eval(), scaled["video"], scaled["audio"]).numpy()
    expected = euclidean_distances(clips, tested.embeddings.classes)
    np.testing.assert_allclose(found.distances[:-1], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - tested.distances).max() > 1e-3  # other frames than in the whole

    whole = next(path for path in tested.videos if "#t=" not in path)
    arguments = (whole, "--run", tested.run, "--timeline", "--out", tmp_path / "out.csv")
    assert predict(*arguments, "--top", "1") == 0
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].startswith("video,start_s,end_s,rank,class")
    assert lines[1].startswith(f"{whole},0.0,0.975,1,")
    assert "1 of 1 videos" in capsys.readouterr().err


def with_weights(made: Bundle, path: Path) -> Bundle:
    """Returns a run whose video backbone has the weights in a file."""
    backbone = made.description.backbones["video"]
    settings = {**backbone.settings, "weights": str(path)}
    backbone = replace(backbone, settings=settings, weights=file_sha256(path))
    backbones = {**made.description.backbones, "video": backbone}
    return replace(made, description=replace(made.description, backbones=backbones))


def test_other_weights_are_refused_and_the_same_ones_are_taken_from_anywhere(
    tested: StoredTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run_folder.read(tested.run)
    frames = registry.load("backbones", "timm_frames")
    settings: Any = frames.Settings(**made.description.backbones["video"].settings)
    network, _ = frames.build(settings, tmp_path)
    torch.save(network.state_dict(), tmp_path / "right.pt")
    made = with_weights(made, tmp_path / "right.pt")
    bundle.write(tmp_path / "mine", made, card.text(made))
    (tmp_path / "right.pt").rename(tmp_path / "moved.pt")
    torch.save({k: v * 1.5 for k, v in network.state_dict().items()}, tmp_path / "wrong.pt")

    asked = (tested.videos[0], "--run", tmp_path / "mine", "--out", tmp_path / "out.csv")
    for given in ([], ["--weights", f"frames={tmp_path / 'wrong.pt'}"]):
        capsys.readouterr()
        assert predict(*asked, *given) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert ("right.pt" if not given else file_sha256(tmp_path / "wrong.pt")) in line
        assert not (tmp_path / "out.csv").exists()
    assert predict(*asked, "--weights", f"frames={tmp_path / 'moved.pt'}") == 0
    first = (tmp_path / "out.csv").read_text().splitlines()[1].split(",")
    assert float(first[-3]) in tested.distances[0]

    version = made.description.backbones["video"].version
    older = replace(made.description.backbones["video"], version=version - 1)
    described = replace(made.description, backbones={"video": older})
    old = replace(made, description=described)
    bundle.write(tmp_path / "old", old, "")
    with pytest.raises(PipelineError, match=f"of version {version - 1} of the extraction"):
        avca_pipeline.load_run(tmp_path / "old", device="cpu")


def test_new_names_change_the_ranking(tested: StoredTest, tmp_path: Path) -> None:
    """With a network that nobody trained, in the space of language."""
    made = run_folder.read(tested.run)
    wordllama: Any = registry.load("text_embeddings", "wordllama")
    own = list(made.description.class_names)
    vectors = wordllama.vectors(wordllama.Settings(), own)
    devise = registry.load("models", "devise")
    settings = devise.Settings()
    torch.manual_seed(0)
    dims = Dims(*(made.description.backbones[name].dim for name in ("video", "audio")), 256)
    network = devise.build(settings, dims)
    files = [(path.name, file_sha256(path)) for path in wordllama.inputs(wordllama.Settings())]
    text = BundledText("wordllama", "", {}, tuple(sorted(files)), 256)
    described = replace(made.description, model="devise", model_settings={}, text=text, bias=0.25)
    arrays = {**made.arrays, "class_vectors": vectors}
    bundle.write(
        tmp_path / "mine", Bundle(described, network.state_dict(), arrays, made.scores), ""
    )

    run = avca_pipeline.load_run(tmp_path / "mine.zip", device="cpu")
    new = ["riding a wave", "playing the guitar"]
    found = run.predict(tested.videos[:2], classes=[*new, own[0].upper()], top=None)
    assert [name for name, seen in zip(found.class_names, found.is_seen, strict=True) if seen] == (
        [own[0]] if own[0] in run.seen_classes else []
    )
    assert found.class_names == (*new, own[0])
    asked = np.concatenate([wordllama.vectors(wordllama.Settings(), new), vectors[:1]])
    settings_of_model, clips = settings, []
    features = {
        name: avca_pipeline.extract(
            tested.videos[:2],
            made.description.backbones[name].plugin,
            device="cpu",
            **made.description.backbones[name].settings,
        ).features
        for name in ("video", "audio")
    }
    scaled = [
        torch.from_numpy(
            ((features[name] - made.arrays[f"scaling.{name}_mean"])
             * made.arrays[f"scaling.{name}_factor"]).astype(np.float32)
        )
        for name in ("video", "audio")
    ]  # fmt: skip
    with torch.inference_mode():
        clips = devise.embed_clips(settings_of_model, network.eval(), *scaled).numpy()
        classes = devise.embed_classes(settings_of_model, network, torch.from_numpy(asked)).numpy()
    expected = devise.distances(settings_of_model, network, clips, classes).gzsl
    np.testing.assert_allclose(found.distances, expected, rtol=1e-5)
    for row, prediction in enumerate(found):
        order = np.argsort(expected[row] + 0.25 * found.is_seen)
        assert [one.class_name for one in prediction.ranking] == [
            found.class_names[column] for column in order
        ]
    unseen = run.predict(tested.videos[:2], classes=[*new, *run.seen_classes], leave_out_seen=True)
    assert unseen.class_names == tuple(new)
    np.testing.assert_array_equal(unseen.distances, found.distances[:, :2])
    with pytest.raises(PipelineError, match="all are seen, and seen ones are left out"):
        run.predict([], classes=run.seen_classes, leave_out_seen=True)
    others = run.predict(tested.videos[:2], classes=["cooking soup", "a storm at sea"])
    assert {one.class_name for one in others[0].ranking} == {"cooking soup", "a storm at sea"}
    assert not others.is_seen.any()
    assert not np.isin(others.distances, found.distances).any()


def test_a_method_over_time_looks_at_the_windows_of_a_video(
    tested: StoredTest, tmp_path: Path
) -> None:
    """With a network that nobody trained, on windows as an evaluation reads them from a file."""
    made = run_folder.read(tested.run)
    tcaf: Any = registry.load("models", "tcaf")
    small = {"depth": 1, "heads": 2, "head_dim": 8, "code_dim": 8, "encoder_hidden": 16}
    settings = tcaf.Settings(**small)
    dims = Dims(*(made.description.backbones[name].dim for name in ("video", "audio")), 16)
    torch.manual_seed(0)
    network = tcaf.build(settings, dims).eval()
    described = replace(made.description, model="tcaf", model_settings=small, bias=0.0)
    bundle.write(
        tmp_path / "mine", replace(made, description=described, network=network.state_dict()), ""
    )
    run = avca_pipeline.load_run(tmp_path / "mine", device="cpu")

    long = next(video for video in tested.videos if "#t=1.3" in video).partition("#")[0]
    videos = [tested.videos[0], long]
    windows = {}
    with contextlib.ExitStack() as stack:
        for name, backbone in made.description.backbones.items():
            extracted = avca_pipeline.extract(
                videos, backbone.plugin, device="cpu", keep_windows=True, **backbone.settings
            )
            features.write(tmp_path / f"{name}.h5", extracted)
            scaling = [made.arrays[f"scaling.{name}_{part}"] for part in ("mean", "factor")]
            stored = stack.enter_context(feature_windows.opened(tmp_path / f"{name}.h5"))
            scale = functools.partial(
                lambda values, mean, factor: np.float32((values - mean) * factor),
                mean=scaling[0],
                factor=scaling[1],
            )
            windows[name] = ClipWindows(stored, np.arange(2), scale)
        both = {name: of_clips.read(torch.arange(2)) for name, of_clips in windows.items()}
    with torch.inference_mode():
        clips = tcaf.embed_clips(settings, network, both["video"], both["audio"]).numpy()
        vectors = torch.from_numpy(made.arrays["class_vectors"])
        classes = tcaf.embed_classes(settings, network, vectors).numpy()
    expected = tcaf.distances(settings, network, clips, classes).gzsl
    np.testing.assert_allclose(run.predict(videos).distances, expected, rtol=1e-5)

    # The second stretch of the long file: its own window of sound, and the frames half inside.
    found = run.predict(long, timeline=True)
    first, second = found
    sound, frames = both["audio"], both["video"]
    is_last = np.arange(len(sound.values)) == len(sound.values) - 1
    begins_s = float(sound.starts_s[-1])
    assert second.start_s == pytest.approx(begins_s)
    of_long = np.arange(len(frames.values)) >= int(frames.lengths[0])
    starts_s = frames.starts_s.numpy()
    overlap_s = np.minimum(starts_s + frames.hop_s, second.end_s) - np.maximum(starts_s, begins_s)
    inside = of_long & (overlap_s >= frames.hop_s / 2 - 1e-9)
    stretch = [
        Windows(
            part.values[rows],
            torch.clamp(part.starts_s[rows] - begins_s, min=0),
            torch.tensor([int(rows.sum())]),
            part.hop_s,
        )
        for part, rows in ((frames, inside), (sound, is_last))
    ]
    with torch.inference_mode():
        clip = tcaf.embed_clips(settings, network, *stretch).numpy()
    np.testing.assert_allclose(
        found.distances[1:], tcaf.distances(settings, network, clip, classes).gzsl, rtol=1e-5
    )
    assert first.start_s == 0.0


def test_a_name_without_a_vector_is_named_and_the_runs_own_need_no_file(
    tested: StoredTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run_folder.read(tested.run)
    table = tmp_path / "vectors.h5"
    shutil.copy(tested.run.parents[5] / "labels/hashed.h5", table)
    assert list(read_labels(table).class_names) == list(made.description.class_names)
    text = BundledText(
        "precomputed", "", {"path": str(table)}, ((table.name, file_sha256(table)),), 16
    )
    made = replace(made, description=replace(made.description, text=text))
    bundle.write(tmp_path / "mine", made, "")
    asked = (tested.videos[0], "--run", tmp_path / "mine")
    own = made.description.class_names[0]
    assert "," in own  # which stands between names on the command line
    (tmp_path / "names.txt").write_text(f"{own}\nsnow angels\n")
    assert predict(*asked, "--classes", tmp_path / "names.txt") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "no vector for class 'snow angels'" in line
    table.unlink()
    assert predict(*asked, "--classes", tmp_path / "names.txt") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert str(table) in line
    assert "'snow angels'" in line
    (tmp_path / "names.txt").write_text(f"{own}\n")
    assert predict(*asked, "--classes", tmp_path / "names.txt") == 0
    assert own in capsys.readouterr().out


@pytest.mark.parametrize("modalities", ["both", "video"])
def test_a_method_that_trains_a_classifier_for_the_classes_gets_the_same_bits(
    folder: Path, tmp_path: Path, modalities: Any
) -> None:
    data = folder / "results/tiny"
    inputs = {
        "split": data / "splits/built.csv", "labels": data / "labels/hashed.h5",
        "video": data / "features/frames.h5", "audio": data / "features/vggish.h5",
    }  # fmt: skip
    plugin = registry.load("models", "fvaegan")
    settings = plugin.Settings(
        epochs=1, batches_per_epoch=2, batch_size=8, latent_dim=8, generator_hidden=8,
        encoder_hidden=8, critic_hidden=8, synthetic_per_class=20, classifier_epochs=3,
        modalities=modalities,
    )  # fmt: skip
    request = TrainRequest(
        plugin="fvaegan", scaling="none", seed=0,
        candidates={"default": settings.model_dump(mode="json")},
    )  # fmt: skip
    names = scores.read(folder / RUN / "scores.json").run
    names = replace(names, model="fvaegan", modalities=modalities)
    run = folder / "results" / names.path
    run.mkdir(parents=True)
    state, history = {"resume": tmp_path / "resume.pt", "device": "cpu"}, tmp_path / "history.json"
    train.run_stage1(request, inputs, run / "stage1.pt", history, **state)
    select.run(SelectRequest(candidates=("default",)), [history], run / "selection.json")
    train.run_stage2(request, inputs, run / "selection.json", run / "stage2.pt", history, **state)
    read = {f"tiny/features/{name}.h5": "" for name in ("frames", "vggish")}
    records.write(folder / "results", run / "stage2.pt", records.Record("", read))
    evaluate.run(
        EvaluateRequest(run=names, video="frames", audio="vggish"),
        run / "stage2.pt", run / "selection.json", inputs,
        run / "scores.json", run / "embeddings.h5", run / "predictions.csv", device="cpu",
    )  # fmt: skip
    tested = StoredTest(folder, str(run.relative_to(folder)))

    paths = [*inputs.values(), run / "stage2.pt", run / "selection.json"]
    scored = {records.within(folder / "results", path): file_sha256(path) for path in paths}
    records.write(folder / "results", run / "scores.json", records.Record("", scored))

    silent = next((data / "raw").glob("*no-audio*"))
    made = avca_pipeline.load_run(run, device="cpu").predict([*tested.videos, silent])
    *rows, last = made
    assert last.reason.partition(":")[0] == ("no audio stream" if modalities == "both" else "")
    tested.check(made.distances[:-1], [prediction.class_name for prediction in rows])
    assert cli.main(["bundle", str(run), str(tmp_path / "mine")]) == 0
    bundled = avca_pipeline.load_run(tmp_path / "mine.zip", device="cpu")
    np.testing.assert_array_equal(bundled.predict(tested.videos).distances, made.distances[:-1])
    unseen = bundled.predict(tested.videos[:1], classes=[*bundled.unseen_classes, "a storm"])
    assert np.isfinite(unseen.distances).all()
    with pytest.raises(PipelineError, match="fvaegan needs an unseen one"):
        bundled.predict(tested.videos[:1], classes=bundled.seen_classes)


def test_results_that_were_changed_since_are_refused(folder: Path) -> None:
    run = folder / RUN
    kept = (run / "scores.json").read_text()
    (run / "scores.json").write_text(kept.replace('"is_on_test": false', '"is_on_test": true'))
    with pytest.raises(PipelineError, match="chosen on the test clips"):
        run_folder.read(run)
    (run / "scores.json").write_text(kept.replace("test_resnet", "test_vit"))
    with pytest.raises(PipelineError, match=r"frames\.h5: was made anew with other settings"):
        run_folder.read(run)
    (run / "scores.json").write_text(kept)
    shutil.copytree(run, folder / "copy")
    with pytest.raises(PipelineError, match="copy the folder of results as a whole"):
        run_folder.read(folder / "copy")
    shutil.rmtree(folder / "results/records")
    with pytest.raises(PipelineError, match="has no record"):
        run_folder.read(run)


def streams(path: Path) -> set[str]:
    """Returns which kinds of streams a file has, as ffmpeg says."""
    asked = ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", str(path)]
    done = subprocess.run([program("ffprobe"), *asked], capture_output=True, text=True, check=True)
    return set(done.stdout.replace(",", " ").split())


def test_encoders_that_share_a_space_classify_real_clips_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With tiny random towers, so that only the path is shown and not what it is worth."""
    models = {name: str(saved(name, tmp_path / "models")) for name in ("clip", "clap")}
    config = tiny(
        cache=str(tmp_path / "cache"),
        backbones={
            "images": {"plugin": "transformers_images", "model": models["clip"], "frames": 2},
            "sound": {"plugin": "transformers_audio", "model": models["clap"]},
        },
        feature_sets={"towers": {"video": "images", "audio": "sound"}},
        text_embeddings={
            "hashed": {"dim": 16},
            "texts": {
                "plugin": "concatenated",
                "parts": [
                    {"plugin": "transformers_text", "settings": {"model": models["clip"]}},
                    {"plugin": "transformers_text", "settings": {"model": models["clap"]}},
                ],
            },
        },
    )
    config["experiment"] |= {"feature_sets": ["towers"], "text_embeddings": ["texts"]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    media = sorted(shared_folder("media").iterdir())
    assert len(media) > 10
    (tmp_path / "text.mp4").write_text("no video")
    videos = [*(f"{path}#t=0,1.5" for path in media), tmp_path / "text.mp4"]
    asked = [
        *videos, "--zero-shot", "towers", "--config", tmp_path / "config.yaml",
        "--classes", "a rabbit, a silent film,a tone",
    ]  # fmt: skip
    assert predict(*asked, "--out", tmp_path / "out.json") == 0
    *found, text = json.loads((tmp_path / "out.json").read_text())["predictions"]
    assert text["reason"].partition(":")[0] == "not a media file"
    usable = 0
    for path, row in zip(media, found, strict=True):
        missing = {"video", "audio"} - streams(path)
        if missing:
            assert row["reason"] == f"no {missing.pop()} stream", path
            assert not row["ranking"]
            continue
        usable += 1
        assert sorted(one["class_name"] for one in row["ranking"]) == [
            "a rabbit", "a silent film", "a tone",
        ], path  # fmt: skip
        assert sum(one["score"] for one in row["ranking"]) == pytest.approx(1)
    assert 0 < usable < len(media)
    capsys.readouterr()
    assert predict(*asked[:-2]) == 1
    assert "name the classes" in capsys.readouterr().err
    assert predict(*videos, "--zero-shot", "tower", "--config", tmp_path / "config.yaml") == 1
    assert "did you mean 'towers'?" in capsys.readouterr().err


def block_of_the_page(language: str, mark: str) -> str:
    text = (REPOSITORY / "docs/classify.md").read_text()
    blocks = [part.partition("```")[0] for part in text.split(f"```{language}\n")[1:]]
    (block,) = [block for block in blocks if mark in block]
    return block


def test_the_page_runs_as_it_stands(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its lines of Python and of the shell, on the tiny run instead of the demo's."""
    monkeypatch.chdir(finished)
    code, shell = (
        block_of_the_page("python", "load_run"),
        block_of_the_page("sh", "avca bundle"),
    )
    whole_file = next(video for video in StoredTest(finished).videos if "#t=" not in video)
    for theirs, ours in {
        "results/demo/runs/built/c3d-vggish/hashed/avca/seed0": RUN,
        "clip.mp4": whole_file,
        "results/demo/": "results/tiny/",
        "c3d.h5": "frames.h5",
        "my-bundle": str(tmp_path / "my-bundle"),
    }.items():
        assert theirs in code + shell, theirs
        code, shell = code.replace(theirs, ours), shell.replace(theirs, shlex.quote(ours))
    names: dict[str, Any] = {}
    exec(compile(code, "classify.md", "exec"), names)
    assert len(code.strip().splitlines()) <= 12
    assert names["found"][1].start_s == 0.2
    assert "blinking yellow dots" in capsys.readouterr().out
    lines = [shlex.split(line) for line in shell.strip().splitlines()]
    assert [line[:2] for line in lines] == [["avca", "predict"], ["avca", "bundle"]]
    for line in lines:
        assert cli.main(line[1:]) == 0, line
    assert bundle.is_one(tmp_path / "my-bundle")
