"""C3D's preprocessing and network against the reference implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.backbones import c3d
from avca_pipeline.media.windows import frame_windows
from tests.conftest import shared_folder
from tests.golden.filling import filled_state

SCRIPTS = {
    "ucf": "official-script",
    "vggsound": "official-script",
    "activitynet": "official-script-activitynet",
}


def test_network_reads_the_published_names(tmp_path: Path) -> None:
    with np.load(shared_folder("reference", "networks.npz")) as file:
        golden = {key: file[key] for key in file if key.startswith("c3d/") or key == "gain"}
    torch.save(filled_state(golden, "c3d", float(golden["gain"])), tmp_path / "c3d.pickle")
    settings = c3d.Settings(weights=str(tmp_path / "c3d.pickle"))
    network, sha256 = c3d.build(settings, tmp_path)
    assert len(sha256) == 64
    generator = np.random.default_rng([int(golden["c3d/seed"]), 999])
    window = generator.standard_normal((1, 3, 16, 112, 112), dtype=np.float32)
    with torch.inference_mode():
        found = network(torch.from_numpy(window)).numpy()
    expected = golden["c3d/output"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", "video_preprocessing.npz")) as file:
        return {key: file[key] for key in file if key.startswith("c3d/")}


@pytest.mark.parametrize("script", SCRIPTS)
def test_official_preprocessing(golden: dict[str, np.ndarray], script: str) -> None:
    settings = c3d.Settings(preprocessing=SCRIPTS[script])
    clip = [np.ascontiguousarray(frame[..., ::-1]) for frame in golden["c3d/frames_small_bgr"]]
    windows = list(frame_windows(c3d.cropped(settings, iter(clip)), c3d.WINDOW_FRAMES))
    data = torch.from_numpy(np.stack([window.data for window in windows]))
    num_valid = torch.tensor([window.num_valid for window in windows])

    kept = golden[f"c3d/{script}/kept_clip_frame"]
    expected = golden[f"c3d/{script}/pixels_after_crop_uint8"].transpose(0, 2, 3, 1)
    found = data[kept[:, 0], kept[:, 1]].flip(-1).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1  # of 255
    assert (found != expected).mean() < 0.01

    normalised = c3d.normalised(settings, data, num_valid)
    sums = normalised.double().sum((2, 3, 4)).numpy()
    np.testing.assert_allclose(
        sums / normalised[0, 0].numel(),
        golden[f"c3d/{script}/frame_sums"] / normalised[0, 0].numel(),
        atol=1e-3,
    )
    assert (normalised[-1, int(num_valid[-1]) :] == 0).all()
    corner = golden[f"c3d/{script}/normalised_first_frame_crop16"]
    size = corner.shape[-1]
    one_level = 1 / 255 / min(c3d.OFFICIAL_STD)
    np.testing.assert_allclose(
        normalised[0, 0, :size, :size].permute(2, 0, 1).numpy(), corner, atol=1.001 * one_level
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_large_frames(golden: dict[str, np.ndarray], script: str) -> None:
    settings = c3d.Settings(preprocessing=SCRIPTS[script])
    large = [np.ascontiguousarray(frame[..., ::-1]) for frame in golden["c3d/frames_big_bgr"]]
    found = next(c3d.cropped(settings, iter(large)))[..., ::-1].transpose(2, 0, 1)
    expected = golden[f"c3d/{script}/big_pixels_after_crop_uint8"]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_scripts_table_of_wrapped_values(golden: dict[str, np.ndarray]) -> None:
    settings = c3d.Settings(preprocessing="official-script")
    for value, wrapped in enumerate(golden["c3d/float_frame_value_table"]):
        flat = np.full((128, 171, 3), value, np.uint8)
        assert (next(c3d.cropped(settings, iter([flat]))) == wrapped).all()


def test_sports1m_is_the_mean_off_in_the_order_bgr(golden: dict[str, np.ndarray]) -> None:
    frame = np.ascontiguousarray(golden["c3d/frames_big_bgr"][0][..., ::-1])
    settings = c3d.Settings()
    crop = next(c3d.cropped(settings, iter([frame])))
    # The pixels are those of the published resize and crop, which the ActivityNet script shows.
    expected = golden["c3d/activitynet/big_pixels_after_crop_uint8"].astype(float)
    found = c3d.normalised(settings, torch.from_numpy(crop)[None, None], torch.ones(1, dtype=int))
    expected -= np.array(c3d.MEAN_BGR)[:, None, None]
    np.testing.assert_allclose(found[0, 0].permute(2, 0, 1).numpy(), expected, atol=1)


@pytest.mark.parametrize("preprocessing", ["sports1m", "official-script"])
@pytest.mark.parametrize("shape", [(240, 320), (360, 340), (720, 1280), (128, 171), (125, 142)])
def test_a_crop_is_that_of_whole_resized_frames(shape: tuple[int, int], preprocessing: str) -> None:
    """Whatever is left out on the way to it: to the bit, for rows with and without padding."""
    generator = np.random.default_rng(7)
    padded = generator.integers(0, 256, (7, shape[0], shape[1] + 4, 3), np.uint8)
    frames = list(padded[:, :, : shape[1]])
    settings = c3d.Settings(preprocessing=preprocessing)
    found = list(c3d.cropped(settings, iter([frames[0], *frames])))
    whole = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    shown = whole.neg() if preprocessing == "official-script" else whole
    resized = torch.nn.functional.interpolate(
        shown.contiguous(memory_format=torch.channels_last),
        size=c3d.RESIZE,
        mode="bilinear",
        antialias=True,
    )
    expected = resized[:, :, 8:120, 30:142].permute(0, 2, 3, 1).numpy()
    assert np.array_equal(np.stack(found), expected[[0, *range(7)]])
