"""VGGish's front end, network and postprocessing against the reference implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.backbones import vggish
from avca_pipeline.media.resample import resampled
from avca_pipeline.media.windows import sample_windows
from tests.conftest import shared_folder
from tests.golden.filling import filled


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", "vggish_frontend.npz")) as file:
        return dict(file)


def mono(golden: dict[str, np.ndarray], name: str) -> np.ndarray:
    wave = golden[f"vggish/{name}/wave"] / 32768.0
    return wave.mean(axis=1) if wave.ndim > 1 else wave


def names(golden: dict[str, np.ndarray]) -> list[str]:
    return sorted({key.split("/")[1] for key in golden if key.endswith("/wave")})


def test_mel_matrix(golden: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(vggish.mel_matrix(), golden["vggish/mel_matrix"], atol=1e-7)


@pytest.mark.parametrize("block", [777, 10**9])
def test_resampling_in_blocks(golden: dict[str, np.ndarray], block: int) -> None:
    compared = 0
    for name in names(golden):
        if f"vggish/{name}/resampled" not in golden:
            continue
        wave, rate = mono(golden, name), int(golden[f"vggish/{name}/sr"])
        blocks = iter(np.split(wave, range(block, len(wave), block)))
        found = np.concatenate(list(resampled(blocks, rate, vggish.RATE_HZ)))
        np.testing.assert_allclose(found, golden[f"vggish/{name}/resampled"], atol=1e-6)
        compared += 1
    assert compared


def test_log_mel_examples(golden: dict[str, np.ndarray]) -> None:
    for name in names(golden):
        wave, rate = mono(golden, name), int(golden[f"vggish/{name}/sr"])
        expected = golden[f"vggish/{name}/examples"]
        samples = np.concatenate(list(resampled(iter([wave]), rate, vggish.RATE_HZ)))
        if not len(expected):  # the reference drops what is shorter than one example; we pad it
            assert len(samples) < vggish.EXAMPLE_SAMPLES
            continue
        hop = vggish.EXAMPLE_FRAMES * vggish.HOP_SAMPLES
        windows = [w.data for w in sample_windows(iter([samples]), vggish.EXAMPLE_SAMPLES, hop)]
        found = vggish.log_mel(torch.from_numpy(np.stack(windows))).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)


def test_network(golden: dict[str, np.ndarray]) -> None:
    with np.load(shared_folder("reference", "networks.npz")) as file:
        networks = dict(file)
    network, _ = vggish.build(vggish.Settings(), Path("unused"))
    state = network.state_dict()
    for position, stored in enumerate(networks["vggish/state_names"]):
        name = stored.replace("fc.", "embeddings.")
        value = filled(
            name, tuple(state[name].shape), int(networks["vggish/seed"]), position, 2**0.5
        )
        first = networks["vggish/state_first4"][position]
        np.testing.assert_array_equal(value.ravel()[: len(first)], first)
        state[name] = torch.from_numpy(value)
    network.load_state_dict(state)
    with torch.inference_mode():
        found = vggish.embed_log_mel(
            network, torch.from_numpy(golden["vggish/chirp16k/examples"])
        ).numpy()
    expected = networks["vggish/output"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_postprocessing(golden: dict[str, np.ndarray], tmp_path: Path) -> None:
    weights = tmp_path / "pca.pth"
    names_of = ("pca_eigen_vectors", "pca_means")
    torch.save({n: torch.from_numpy(golden[f"postprocess/{n}"]) for n in names_of}, weights)
    settings = vggish.Settings(postprocess="pca-quantised", pca_weights=str(weights))
    network, described = vggish.build(settings, tmp_path)
    found = vggish.quantised(network, torch.from_numpy(golden["postprocess/embeddings"]).float())
    np.testing.assert_array_equal(found.numpy(), golden["postprocess/quantised"])
    np.testing.assert_allclose(found.mean(dim=0).numpy(), golden["postprocess/average"], rtol=1e-6)
    assert "random:0+" in described


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
@pytest.mark.parametrize("num", [1, 12_345, 99_991])
def test_resampled_sound_lasts_as_long(rate: int, num: int) -> None:
    """As many whole samples as the time holds."""
    found = list(resampled(iter(np.array_split(np.ones(num), 3)), rate, 16_000))
    assert sum(map(len, found)) == num * 16_000 // rate
