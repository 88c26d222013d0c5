"""SeLaVi's front ends, windows and networks against the reference implementation."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from avca_pipeline.backbones import _selavi, selavi_audio, selavi_video
from avca_pipeline.errors import PipelineError
from tests.conftest import shared_folder
from tests.golden.filling import filled_state, layer_norms

PARTS = {"selavi_video": selavi_video, "selavi_audio": selavi_audio}


def load(name: str, prefix: str = "") -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", name)) as file:
        return {key: file[key] for key in file if key.startswith(prefix)}


def spectrogram(samples: np.ndarray, num_filters: int = selavi_audio.NUM_FILTERS) -> np.ndarray:
    values = torch.from_numpy(samples.astype(np.float64))[None]
    found: np.ndarray = selavi_audio.log_filterbank(values, num_filters).numpy()
    return found


def standardised(values: np.ndarray) -> np.ndarray:
    return (values - selavi_audio.MEAN) / selavi_audio.STD


def test_log_filterbank() -> None:
    golden = load("selavi_spectrogram.npz")
    wave, rate = golden["wave"], int(golden["sample_rate"])
    assert rate == selavi_audio.RATE_HZ
    compared = 0
    for key in golden:
        if not key.startswith("fr") or not key.endswith("/z"):
            continue
        name = key.split("/")[0]
        start = min(round(float(name[2:].split("_")[0]) * rate), len(wave) - rate)
        samples = np.zeros(rate) if "silence" in name else wave[start : start + rate]
        found = spectrogram(samples)
        np.testing.assert_allclose(standardised(found), golden[key], atol=1e-4, err_msg=name)
        if f"{name}/raw" in golden:
            np.testing.assert_allclose(found, golden[f"{name}/raw"], atol=1e-4)
        compared += 1
    assert compared
    nonzero = (selavi_audio.filter_bank(selavi_audio.NUM_FILTERS) > 0).sum(axis=0)
    np.testing.assert_array_equal(nonzero, golden["filterbank_nonzero_columns"])


class Shown(torch.nn.Module):
    """A network that gives out what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        return spectrogram


def test_the_audio_network_is_given_the_published_spectrogram() -> None:
    """Windows hold samples between -1 and 1; the published code reads 16-bit ones."""
    golden = load("selavi_spectrogram.npz")
    wave, rate = golden["wave"], int(golden["sample_rate"])
    starts = {key: re.fullmatch(r"fr([\d.]+)/z", key) for key in golden}
    compared = 0
    for key, match in starts.items():
        if match is None:
            continue
        start = min(round(float(match[1]) * rate), len(wave) - rate)
        window = torch.from_numpy(wave[start : start + rate].astype(np.float32) / 32768)[None]
        settings, num_valid = selavi_audio.Settings(), torch.tensor([rate])
        with torch.no_grad():
            found = selavi_audio.encode(settings, Shown(), window, num_valid)
        np.testing.assert_allclose(found[0].numpy(), golden[key], atol=1e-3, err_msg=key)
        compared += 1
    assert compared


def test_log_filterbank_of_less_than_a_window() -> None:
    golden = load("selavi_spectrogram.npz")
    rate = int(golden["sample_rate"])
    for key in [key for key in golden if key.startswith("short")]:
        held = golden["wave"][: round(float(key.split("/")[0][5:-1]) * rate)]
        # The published start is negative then and counts from the end.
        found = spectrogram(held[-(rate - len(held)) :])
        np.testing.assert_allclose(standardised(found), golden[key], atol=1e-4)


@pytest.mark.parametrize("shape", ["landscape", "portrait", "large"])
def test_video_transform(shape: str) -> None:
    golden = load("video_preprocessing.npz", f"selavi_transform/{shape}/")
    frames = golden[f"selavi_transform/{shape}/frames_rgb"]
    found = np.stack([selavi_video.normalised(_crop(frame)).numpy() for frame in frames])
    expected = golden[f"selavi_transform/{shape}/clip_kept"]
    np.testing.assert_allclose(found.transpose(3, 0, 1, 2), expected, atol=1e-5)


def _crop(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(selavi_video.cropped(frame))


def test_official_windows() -> None:
    golden = load("video_preprocessing.npz", "selavi_decode/")
    videos = {key.split("/")[1] for key in golden if key.count("/") == 2}
    assert videos
    for video in videos:
        part = {key.split("/")[2]: golden[key] for key in golden if f"/{video}/" in key}
        fps = float(part["fps"])
        starts = _selavi.official_starts(int(part["n_frames"]), fps)
        assert len(starts) == int(part["windows"]), video
        np.testing.assert_array_equal(starts, part["start_end"][:, 0])
        np.testing.assert_allclose(np.divide(starts, fps), part["audio_start_seconds"], rtol=1e-12)
        for start, picked in zip(starts, part["picked_frames"], strict=True):
            np.testing.assert_array_equal(selavi_video.official_picks(start, fps), picked)


def test_official_windows_leave_out_the_end() -> None:
    coverage = load("video_preprocessing.npz", "selavi_decode/coverage")
    for seconds, windows, last_start_s, share in coverage["selavi_decode/coverage_25fps"]:
        starts = _selavi.official_starts(int(25 * seconds), 25.0)
        assert len(starts) == windows
        if starts:
            assert starts[-1] / 25 == pytest.approx(last_start_s)
            assert (starts[-1] / 25 + 1) / seconds == pytest.approx(share)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the published form: both networks, ten heads, the prefix of parallel training."""
    golden = load("networks.npz")
    names = [str(name) for name in golden["selavi/full_state_names"]]
    state: dict[str, torch.Tensor] = {}
    for part in PARTS:
        base = f"{part.split('_')[1]}_network.base."
        filled = filled_state(golden, part, 1.0)
        assert {base + name for name in filled} == {n for n in names if n.startswith(base)}
        state |= {f"module.{base}{name}": value for name, value in filled.items()}
    heads = [name for name in names if name.startswith("mlp_")]
    assert heads
    state |= {f"module.{name}": torch.zeros(1) for name in heads}
    path = tmp_path_factory.mktemp("selavi") / "selavi.pth"
    torch.save({"model": state, "epoch": 200}, path)
    return path


@pytest.mark.parametrize("part", PARTS)
def test_network_reads_the_published_checkpoint(part: str, checkpoint: Path) -> None:
    golden = load("networks.npz")
    module: ModuleType = PARTS[part]
    network, _ = module.build(module.Settings(weights=str(checkpoint)), checkpoint.parent)
    if part == "selavi_video":
        generator = np.random.default_rng([int(golden[f"{part}/seed"]), 999])
        values = generator.standard_normal((1, 3, 30, 112, 112), dtype=np.float32)
    else:
        windows = load("selavi_spectrogram.npz")
        values = np.stack([windows["fr0.2/z"], windows["fr0.9/z"]])
    found, norms = layer_norms(network, lambda: network(torch.from_numpy(values)))
    for key in [key for key in golden if key.startswith(f"{part}/norm/")]:
        name = key.removeprefix(f"{part}/norm/")
        assert norms[name] == pytest.approx(float(golden[key]), rel=1e-4), name
    expected = golden[f"{part}/output"]
    found = found.numpy().reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["module.video_network.extra", "module.other.weight"])
def test_an_unexpected_name_is_refused(name: str, checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content["model"], name: torch.zeros(1)}, tmp_path / "other.pth")
    settings = selavi_audio.Settings(weights=str(tmp_path / "other.pth"))
    with pytest.raises(PipelineError, match=f"{name.removeprefix('module.')}"):
        selavi_audio.build(settings, tmp_path)
