"""TCaF beyond what the published code computes: its stages, and its settings that are sound."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from avca_pipeline.artifacts import checkpoint, features, scores
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.errors import PipelineError
from avca_pipeline.models import BatchOverTime, Dims, Windows, tcaf
from avca_pipeline.models._sequences import cut
from avca_pipeline.requests import TrainRequest
from avca_pipeline.stages import train
from tests.builders import RUN, World, trained_and_scored

HOPS = {"video": 0.64, "audio": 0.96}
SMALL: dict[str, Any] = {
    "encoder_hidden": 8, "projection_hidden": 8, "embedding_dim": 6, "code_dim": 4, "depth": 1,
    "heads": 2, "head_dim": 4, "attention_hidden": 8, "audio_divisor": 1.0,
}  # fmt: skip
TRAINED = tcaf.Settings(
    **SMALL, epochs=2, batches_per_epoch=3, batch_size=8, learning_rate=0.01, train_windows=3
)


def windows(generator: np.random.Generator, modality: str, *lengths: int, dim: int = 5) -> Windows:
    number = np.concatenate([np.arange(length) for length in lengths])
    values = np.abs(generator.standard_normal((len(number), dim)))
    hop_s = HOPS[modality]
    return Windows(
        torch.from_numpy(values), torch.from_numpy(number * hop_s), torch.tensor(lengths), hop_s
    )


def network_of(settings: tcaf.Settings) -> torch.nn.ModuleDict:
    torch.manual_seed(0)
    return tcaf.build(settings, Dims(video=5, audio=5, text=7)).double().eval()


def embedded(settings: tcaf.Settings, video: Windows, audio: Windows) -> np.ndarray:
    with torch.no_grad():
        embedding: np.ndarray = tcaf.embed_clips(
            settings, network_of(settings), video, audio
        ).numpy()
    return embedding


def cut_by_hand(whole: Windows, starts: list[int], count: int) -> Windows:
    """Returns the windows from ``starts`` on of clips that are longer, with times from 0 on."""
    clips = zip(whole.values.split(whole.lengths.tolist()), starts, strict=True)
    return Windows(
        torch.cat([values[start : start + count] for values, start in clips]),
        torch.arange(count).double().repeat(len(starts)) * whole.hop_s,
        torch.tensor([count] * len(starts)),
        whole.hop_s,
    )


def write_windows(path: Path, modality: str) -> None:
    """Gives features of clips one to five windows each, whose mean they stay."""
    plain = features.read(path)
    lengths = 1 + (np.arange(len(plain.clip_ids)) * (2 if modality == "video" else 3)) % 5
    number = np.concatenate([np.arange(length) for length in lengths])
    clip = np.repeat(np.arange(len(lengths)), lengths)
    factor = 1 + 0.2 * (number - (lengths[clip] - 1) / 2)
    over_time = FeatureWindows(plain.features[clip] * factor[:, None], number * HOPS[modality])
    times = {"window_s": HOPS[modality], "hop_s": HOPS[modality]}
    features.write(path, replace(plain, num_windows=lengths, windows=over_time, **times))


def run(folder: Path, seed: int = 0) -> None:
    """Trains both stages and evaluates."""
    inputs = World().write(folder)
    for modality in HOPS:
        write_windows(inputs[modality], modality)
    settings = TRAINED.model_dump(mode="json")
    trained_and_scored(folder, inputs, "tcaf", settings, replace(RUN, seed=seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a run over time leaves behind."""
    path = tmp_path_factory.mktemp("run")
    run(path)
    return path


def test_the_same_seed_gives_the_same_run(folder: Path, tmp_path: Path) -> None:
    results = {}
    for name, seed in (("same", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        run(tmp_path / name, seed)
        results[name] = checkpoint.read(tmp_path / name / "stage2.pt")["state"]
    first = checkpoint.read(folder / "stage2.pt")["state"]
    assert all(torch.equal(value, results["same"][name]) for name, value in first.items())
    assert not torch.equal(first["clip_token"], results["other"]["clip_token"])
    embeddings = [scores.read_embeddings(f / "embeddings.h5") for f in (folder, tmp_path / "same")]
    np.testing.assert_array_equal(embeddings[0].clips, embeddings[1].clips)
    lost = [json.loads((f / "2.json").read_text()) for f in (folder, tmp_path / "same")]
    assert [e["losses"] for e in lost[0]["epochs"]] == [e["losses"] for e in lost[1]["epochs"]]


def test_a_clip_is_embedded_as_if_it_were_alone(folder: Path) -> None:
    """What shorter and longer clips of the same block are padded to changes nothing."""
    content = checkpoint.read(folder / "stage2.pt")
    network = tcaf.build(TRAINED, Dims(*content["dims"]))
    network.load_state_dict(content["state"])
    network.eval()
    stored = {m: features.read(folder / m, with_windows=True) for m in HOPS}
    written = scores.read_embeddings(folder / "embeddings.h5")
    lengths = set()
    for clip_id, expected in zip(written.clip_ids, written.clips, strict=True):
        alone = {}
        for modality, value in stored.items():
            row = list(value.clip_ids).index(clip_id)
            first = int(value.num_windows[:row].sum())
            own = slice(first, first + int(value.num_windows[row]))
            assert value.windows is not None
            scaling = [content["scaling"][f"{modality}_{part}"] for part in ("mean", "factor")]
            mean, factor = (part.numpy() for part in scaling)
            alone[modality] = Windows(
                torch.from_numpy(np.float32((value.windows.values[own] - mean) * factor)),
                torch.from_numpy(value.windows.starts_s[own]),
                torch.tensor([own.stop - own.start]),
                value.hop_s,
            )
        lengths.add(tuple(len(each.values) for each in alone.values()))
        with torch.no_grad():
            embedding = tcaf.embed_clips(TRAINED, network, alone["video"], alone["audio"])
        np.testing.assert_allclose(embedding[0].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert len(lengths) > 3


def test_means_alone_are_refused(tmp_path: Path) -> None:
    inputs = World().write(tmp_path)
    candidates = {"default": TRAINED.model_dump(mode="json")}
    request = TrainRequest(plugin="tcaf", scaling="none", seed=0, candidates=candidates)
    with pytest.raises(PipelineError, match=r"video: has no windows.*keep_windows: true") as caught:
        train.run_stage1(
            request, inputs, tmp_path / "1.pt", tmp_path / "1.json",
            resume=tmp_path / "resume.pt", device="cpu",
        )  # fmt: skip
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "1.pt").exists()


def test_time_codes_are_what_orders_windows() -> None:
    generator = np.random.default_rng(0)
    video, audio = windows(generator, "video", 6), windows(generator, "audio", 4)
    reversed_video = replace(video, values=video.values.flip(0))
    for time_code in (True, False):
        settings = tcaf.Settings(**SMALL, time_code=time_code)
        forward, backward = (embedded(settings, each, audio) for each in (video, reversed_video))
        assert np.allclose(forward, backward, atol=1e-12) == (not time_code)


def test_a_code_is_of_seconds_unless_window_numbers_are_asked_for() -> None:
    generator = np.random.default_rng(0)
    video, audio = windows(generator, "video", 6), windows(generator, "audio", 4)
    numbered = [replace(each, starts_s=each.starts_s / each.hop_s) for each in (video, audio)]
    settings = tcaf.Settings(**SMALL)
    by_number = tcaf.Settings(**SMALL, scores_with_time_stamps=False)
    expected = embedded(settings, *numbered)
    np.testing.assert_allclose(embedded(by_number, video, audio), expected, atol=1e-9)
    assert not np.allclose(embedded(settings, video, audio), expected, atol=1e-6)


def test_video_is_normed_as_asked() -> None:
    generator = np.random.default_rng(0)
    video, audio = windows(generator, "video", 6), windows(generator, "audio", 4)
    length_of = {
        "window": video.values.norm(dim=1, keepdim=True),
        "time": video.values.norm(dim=0, keepdim=True),
    }
    plain = tcaf.Settings(**SMALL, video_norm="none")
    for norm, length in length_of.items():
        expected = embedded(plain, replace(video, values=video.values / length), audio)
        settings = tcaf.Settings(**SMALL, video_norm=norm)
        np.testing.assert_allclose(embedded(settings, video, audio), expected, atol=1e-12)


def test_a_long_clip_is_scored_by_its_middle() -> None:
    generator = np.random.default_rng(0)
    video, audio = windows(generator, "video", 9), windows(generator, "audio", 7)
    settings = tcaf.Settings(**SMALL, scored_windows=4)
    # Of 9 windows those from 2 on; 2 * 0.64 s is 1.33 windows of audio, and 4 * 0.64 s are 2.67.
    middle = cut_by_hand(video, [2], 4), cut_by_hand(audio, [1], 3)
    expected = embedded(tcaf.Settings(**SMALL), *middle)
    np.testing.assert_allclose(embedded(settings, video, audio), expected, atol=1e-12)


def test_a_long_clip_is_trained_on_at_a_place_that_is_drawn() -> None:
    generator = np.random.default_rng(0)
    video, audio = windows(generator, "video", 12, 9), windows(generator, "audio", 9, 7)
    text = torch.from_numpy(generator.standard_normal((2, 7)))
    batch = BatchOverTime(video, audio, text, text, torch.arange(2))
    network = network_of(tcaf.Settings(**SMALL))
    torch.manual_seed(1)
    starts = [int(torch.randint(12 - 4, (1,))), int(torch.randint(9 - 4, (1,)))]
    assert starts != [4, 2]  # which would be the middle
    # 0.64 s of video are two thirds of a window of audio, and four of these nearly three.
    of_audio = [round(start * 2 / 3) for start in starts]
    by_hand = replace(
        batch, video=cut_by_hand(video, starts, 4), audio=cut_by_hand(audio, of_audio, 3)
    )
    torch.manual_seed(1)
    ours = next(tcaf.steps(tcaf.Settings(**SMALL, train_windows=4), network, batch))
    theirs = next(tcaf.steps(tcaf.Settings(**SMALL), network, by_hand))
    np.testing.assert_allclose(ours["total"].item(), theirs["total"].item(), atol=1e-12)


@pytest.mark.parametrize(("multiplies", "count"), [(False, 40), (True, 37)])
def test_audio_is_as_long_as_the_video_beside_it(multiplies: bool, count: int) -> None:
    generator = np.random.default_rng(0)
    video, audio = windows(generator, "video", 90), windows(generator, "audio", 60)
    cuts = cut(video, audio, 60, at_random=False, multiplies_hops=multiplies)
    assert (cuts["video"].length, cuts["audio"].length) == (60, count)


def test_windows_at_unknown_distances_are_not_cut() -> None:
    generator = np.random.default_rng(0)
    video = replace(windows(generator, "video", 9), hop_s=math.nan)
    audio = windows(generator, "audio", 7)
    assert np.isfinite(embedded(tcaf.Settings(**SMALL), video, audio)).all()
    with pytest.raises(PipelineError, match=r"^train_windows and scored_windows .* set both to 0$"):
        embedded(tcaf.Settings(**SMALL, scored_windows=4), video, audio)


def test_frequencies_are_as_spread_as_published() -> None:
    torch.manual_seed(0)
    network = tcaf.build(tcaf.Settings(**SMALL | {"code_dim": 1000}), Dims(5, 5, 7))
    frequencies = network.get_buffer("frequencies")
    assert frequencies.std().item() == pytest.approx(10, rel=0.1)
    assert "frequencies" in network.state_dict()
    assert all(frequencies is not one for one in tcaf.trainable(tcaf.Settings(), network))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 2"):
        tcaf.Settings(code_dim=5)
    with pytest.raises(ValidationError, match="all losses are off; turn one on"):
        tcaf.Settings(reconstruction=False, regression=False, classification=False)
