"""Backbones of timm and torchvision against the library's own transform and network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from avca_pipeline.backbones import MediaSegment, c3d, selavi_video, timm_frames, torchvision_video
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import Limits, MediaError
from avca_pipeline.media.video import frames
from tests.media import synthetic
from tests.media.synthetic import LIMITS, ffmpeg


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MediaSegment:
    """A second of coloured, smooth, moving pictures, wider than high."""
    folder = tmp_path_factory.mktemp("libraries")
    source = "-f lavfi -i testsrc2=size=320x200:rate=25 -t 1 -vf gblur=sigma=2"
    codec = "-c:v libx264 -pix_fmt yuv420p -crf 10"
    ffmpeg(*source.split(), *codec.split(), folder / "a.mp4")
    return MediaSegment(folder / "a.mp4")


@pytest.fixture
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def encoded(
    module: object, settings: WeightsSettings, clip: MediaSegment, network: torch.nn.Module
):
    windows = list(module.windows(settings, clip, LIMITS))  # type: ignore[attr-defined]
    data = torch.from_numpy(np.stack([window.data for window in windows]))
    num_valid = torch.tensor([window.num_valid for window in windows])
    return data, num_valid, module.encode(settings, network, data, num_valid).numpy()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "model",
    # A crop that is all of the resized picture, and two that are less; both interpolations.
    ["test_resnet.r160_in1k", "resnet18.tv_in1k", "mobilenetv3_small_050.lamb_in1k"],
)
@pytest.mark.usefixtures("no_gradients")
def test_timm(model: str, clip: MediaSegment, tmp_path: Path) -> None:
    settings = timm_frames.Settings(model=model, rate_hz=5)
    network, _ = timm_frames.build(settings, tmp_path)
    data, _, found = encoded(timm_frames, settings, clip, network)

    library = timm.create_model(model, pretrained=False)
    config = resolve_model_data_config(
        library, pretrained_cfg=timm.get_pretrained_cfg(model).to_dict()
    )
    transform = create_transform(**config, is_training=False)
    pictures = list(frames(clip.path, 5, None, None, LIMITS))
    inputs = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    # Pillow's resizing and ours may round a value differently; a level is 1.
    levels = (inputs * std + mean) * 255
    ours = data[:, 0].permute(0, 3, 1, 2).float()
    assert levels.shape == ours.shape
    assert (levels - ours).abs().mean() < 0.3
    assert (levels - ours).abs().max() <= 2.01

    state = network.state_dict()
    library.load_state_dict(state, strict=False)
    assert set(state) <= set(library.state_dict())
    library.reset_classifier(0)
    normalised = (ours / 255 - mean) / std
    expected = library.eval()(normalised).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("model", ["r2plus1d_18", "swin3d_t", "mvit_v2_s", "s3d"])
def test_torchvision_preprocessing(model: str, clip: MediaSegment) -> None:
    settings = torchvision_video.Settings(model=model, window_frames=5, rate_hz=5)
    (window,) = torchvision_video.windows(settings, clip, LIMITS)
    import torchvision

    preset = torchvision.models.get_model_weights(model).DEFAULT.transforms()
    pictures = np.stack(list(frames(clip.path, 5, None, None, LIMITS)))
    expected = preset(torch.from_numpy(pictures).permute(0, 3, 1, 2))  # (channels, frames, …)
    data = torch.from_numpy(window.data)[None]
    seen: list[torch.Tensor] = []

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append(pixels)
            return pixels.mean((2, 3, 4))

    torchvision_video.encode(settings, Network(), data, torch.tensor([5]))
    assert seen[0][0].shape == expected.shape
    # The library resizes whole numbers, as we do.
    torch.testing.assert_close(seen[0][0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("no_gradients")
def test_torchvision_features(clip: MediaSegment, tmp_path: Path) -> None:
    import torchvision

    settings = torchvision_video.Settings(model="r2plus1d_18", window_frames=4, rate_hz=4)
    network, _ = torchvision_video.build(settings, tmp_path)
    _, _, found = encoded(torchvision_video, settings, clip, network)
    library = torchvision.models.get_model("r2plus1d_18", weights=None)
    library.load_state_dict(network.state_dict(), strict=False)
    library.fc = torch.nn.Identity()
    preset = torchvision.models.get_model_weights("r2plus1d_18").DEFAULT.transforms()
    pictures = np.stack(list(frames(clip.path, 4, None, None, LIMITS)))
    inputs = preset(torch.from_numpy(pictures).permute(0, 3, 1, 2))[None]
    expected = library.eval()(inputs).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("size", ["20000x2", "2x20000"])
@pytest.mark.parametrize(
    ("module", "settings"),
    [
        (timm_frames, timm_frames.Settings(model="test_resnet.r160_in1k")),
        (torchvision_video, torchvision_video.Settings()),
        (selavi_video, selavi_video.Settings()),
        (selavi_video, selavi_video.Settings(windows="official-script")),
    ],
    ids=["timm_frames", "torchvision_video", "selavi_video", "selavi_video-official"],
)
def test_thin_frames_are_refused(
    module: object, settings: WeightsSettings, size: str, tmp_path: Path
) -> None:
    """Their short side would be blown up, and the long one with it, beyond the limit of pixels."""
    path = tmp_path / "thin.mkv"
    source = f"-f lavfi -i color=red:size={size}:rate=25 -frames:v 2 -c:v ffv1 -pix_fmt gray"
    ffmpeg(*source.split(), path)
    limits = Limits(8192 * 4320, 60.0)
    assert next(frames(path, 25, None, None, limits)).size == 3 * 40_000
    with pytest.raises(MediaError, match=f"too large: {size} pixels, resized"):
        list(module.windows(settings, MediaSegment(path), limits))  # type: ignore[attr-defined]


def test_c3d_takes_thin_frames_at_the_cost_of_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "thin.mkv"
    source = "-f lavfi -i color=red:size=20000x2:rate=25 -frames:v 2 -c:v ffv1"
    ffmpeg(*source.split(), path)
    (window,) = c3d.windows(c3d.Settings(), MediaSegment(path), Limits(8192 * 4320, 60.0))
    assert window.data.shape == (16, 112, 112, 3)


@pytest.fixture
def claims_more(tmp_path: Path) -> Path:
    """An AVI file of 40 frames whose header counts 41."""
    inputs = synthetic.sources(tmp_path, 1.6)
    path = tmp_path / "a.avi"
    ffmpeg(*inputs, "-map", 0, "-c:v", "mpeg4", "-q:v", "2", path)
    content = bytearray(path.read_bytes())
    for name, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):  # both headers count
        at = content.index(name) + offset
        assert int.from_bytes(content[at : at + 4], "little") == 40
        content[at : at + 4] = (41).to_bytes(4, "little")
    path.write_bytes(content)
    return path


def test_frames_that_a_header_counts_and_the_file_lacks(claims_more: Path) -> None:
    """The published script has black ones there, which are normalised; padding is grey."""
    clip = MediaSegment(claims_more)
    settings = c3d.Settings(preprocessing="official-script")
    windows = list(c3d.windows(settings, clip, LIMITS))
    assert [window.num_valid for window in windows] == [16, 16, 9]
    assert windows[2].data[7].any()
    assert not windows[2].data[8].any()
    data, num_valid = torch.from_numpy(windows[2].data)[None], torch.tensor([9])
    pixels = c3d.normalised(settings, data, num_valid)[0]
    black = -torch.tensor(c3d.OFFICIAL_MEAN) / torch.tensor(c3d.OFFICIAL_STD)
    torch.testing.assert_close(pixels[8], black.expand(112, 112, 3))
    assert not pixels[9:].any()
    for other in ("sports1m", "official-script-activitynet"):
        windows = list(c3d.windows(c3d.Settings(preprocessing=other), clip, LIMITS))  # type: ignore[arg-type]
        assert [window.num_valid for window in windows] == [16, 16, 8]
    segment = MediaSegment(claims_more, 0.0, 1.6)
    windows = list(c3d.windows(settings, segment, LIMITS))
    assert [window.num_valid for window in windows] == [16, 16, 8]


def test_timm_s_weights_have_seen_imagenet_s_classes() -> None:
    settings = timm_frames.Settings(model="test_resnet.r160_in1k", weights="published")
    found = timm_frames.pretraining_classes(settings)
    assert found is not None
    assert {"goldfish", "tench", "great white shark"} <= set(found)
    assert len(found) >= 1000
    with_more = timm_frames.Settings(model="vit_tiny_patch16_224.augreg_in21k", weights="published")
    assert len(timm_frames.pretraining_classes(with_more) or ()) > 10_000
