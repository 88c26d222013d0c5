"""Frames that the device prepares are within one level of those that the host prepares."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from pydantic import ValidationError

from avca_pipeline import registry
from avca_pipeline.backbones import MediaSegment, c3d, timm_frames
from avca_pipeline.extraction import device_frames
from avca_pipeline.extraction.decoding import decode_pool
from avca_pipeline.extraction.devices import CpuDevice
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.extraction.encoder import Encoder, encode_clips
from avca_pipeline.media import MediaError, hardware, planes
from avca_pipeline.media.notes import Notes, taking_notes
from avca_pipeline.media.planes import StoredFrame, converted, keeping_planes, stored
from avca_pipeline.media.resizing import resized
from avca_pipeline.media.windows import RESTART, Window
from tests.media import synthetic
from tests.media.synthetic import LIMITS
from tests.media.test_upright import TURNS, with_matrix
from tests.planes import pairs
from tests.transformer_models import saved

BACKBONES = {
    "c3d": {},
    "selavi_video": {},
    "selavi_video official": {"windows": "official-script"},
    "timm_frames": {"model": "test_resnet.r160_in1k", "rate_hz": 5},
    "timm_frames bgr": {"colour": "bgr", "frames": 3},
    "torchvision_video": {},
}
LIMITED, FULL = 1, 2


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Noise and sharp edges in half a second, in several formats."""
    folder = tmp_path_factory.mktemp("planes")
    source = ["-f", "lavfi", "-i", "testsrc2=s=98x76:r=25:d=0.5,noise=alls=30"]
    small = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.3"]
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt"]
    wanted: dict[str, list[str]] = {
        "plain": [*source, *h264, "yuv420p"],
        "small": [*small, *h264, "yuv420p"],
        "full range 709": [*source, *h264, "yuvj420p", "-colorspace", "bt709"],
        "4:4:4": [*source, *h264, "yuv444p"],
    }
    paths = {name: folder / f"{name.replace(':', '')}.mp4" for name in wanted}
    for name, arguments in wanted.items():
        synthetic.ffmpeg(*arguments, paths[name])
    paths["turned"] = with_matrix(paths["plain"], *TURNS["transposed the other way"])
    return paths


def frame_of_noise(height: int, width: int, matrix: int, colour_range: int, name: str) -> Any:
    frame = VideoFrame(width, height, "yuv420p" if name == "nv12" else name)
    frame.colorspace, frame.color_range = matrix, colour_range
    rng = np.random.default_rng(height * width + matrix)
    for plane in frame.planes:
        plane.update(rng.bytes(plane.buffer_size))
    return frame


def as_nv12(frame: Any) -> Any:
    """Returns a frame as a GPU's decoder gives it."""
    found = VideoFrame(frame.width, frame.height, "nv12")
    found.colorspace, found.color_range = frame.colorspace, frame.color_range
    y, u, v = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size) for p in frame.planes)
    pairs_of_chroma = np.zeros((u.shape[0], found.planes[1].line_size), np.uint8)
    width = -(-frame.width // 2)
    pairs_of_chroma[:, : 2 * width : 2], pairs_of_chroma[:, 1 : 2 * width : 2] = (
        u[:, :width], v[:, :width],
    )  # fmt: skip
    luma = np.zeros((y.shape[0], found.planes[0].line_size), np.uint8)
    luma[:, : frame.width] = y[:, : frame.width]
    found.planes[0].update(luma.tobytes())
    found.planes[1].update(pairs_of_chroma.tobytes())
    return found


def kept(frame: Any, *, is_from_gpu: bool = False) -> StoredFrame | None:
    """Returns what `stored` does inside `keeping_planes`."""

    def windows(clip: Any) -> Iterator[Any]:
        yield stored(clip, None, is_from_gpu=is_from_gpu)

    found: Any = next(keeping_planes(windows, frame))
    return found


@pytest.mark.parametrize("matrix", planes.INVERSE)
@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "nv12"])
def test_colours_are_those_of_swscale(name: str, matrix: int) -> None:
    for height, width in ((48, 64), (16, 33), (2, 1)):
        for colour_range in (0, LIMITED, FULL):
            frame = frame_of_noise(height, width, matrix, colour_range, name)
            expected = VideoReformatter().reformat(frame, format="rgb24", threads=1).to_ndarray()
            is_nv12 = name == "nv12"
            found = kept(as_nv12(frame) if is_nv12 else frame, is_from_gpu=is_nv12)
            assert found is not None
            assert found.layout is not None
            rgb = converted(torch.from_numpy(found.data)[None], found.layout)[0].permute(1, 2, 0)
            assert np.abs(rgb.numpy().astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resizing_is_that_of_bytes_on_a_cpu(mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    for sides, size in (((24, 32), (64, 85)), ((128, 33), (17, 128)), ((37, 53), (37, 20))):
        noise = torch.randint(0, 256, (2, 3, *sides), generator=generator, dtype=torch.uint8)
        for pictures in (noise, (noise > 128).to(torch.uint8) * 255):
            expected = torch.nn.functional.interpolate(
                pictures, size=size, mode=mode, antialias=True
            )
            found = resized(pictures, size, mode)
            assert (found.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("clip", ["plain", "full range 709", "turned", "4:4:4"])
def test_what_the_network_takes_is_that_of_the_host(
    name: str, clip: str, clips: dict[str, Path]
) -> None:
    backbone = registry.load("backbones", name.split(maxsplit=1)[0])
    settings = backbone.Settings(**BACKBONES[name], frames_on="device")
    with taking_notes() as notes:
        found = list(pairs(backbone, settings, clips[clip]))
    assert found
    assert all(np.abs(ours.astype(float) - theirs).max() <= 1 for ours, theirs in found)
    assert notes.on_host == ("yuv444p" if clip == "4:4:4" else "")


@pytest.mark.parametrize("plugin", ["transformers_images", "transformers_video"])
def test_pictures_of_transformers_are_those_of_the_host(
    plugin: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    families = ("siglip", "clip") if plugin == "transformers_images" else ("videomae", "xclip")
    for family in families:
        backbone = registry.load("backbones", plugin)
        model = str(saved(family, tmp_path))
        settings = backbone.Settings(model=model, weights="random", frames_on="device")
        found = list(pairs(backbone, settings, clips["plain"]))
        assert found
        assert all(np.abs(ours.astype(int) - theirs).max() <= 1 for ours, theirs in found)


@pytest.mark.parametrize(
    ("name", "height", "reason"),
    [("yuv420p", 47, "odd height"), ("yuv422p", 48, "yuv422p"), ("nv12", 48, "nv12")],
)
def test_the_host_converts_what_the_device_cannot(name: str, height: int, reason: str) -> None:
    frame = VideoFrame(64, height, name)
    frame.colorspace = 2
    with taking_notes() as notes:
        assert kept(frame) is None
    assert notes.on_host == reason
    if name != "nv12":
        with pytest.raises(MediaError, match=reason):  # so that the CPU decodes it again
            kept(frame, is_from_gpu=True)


def features(settings: timm_frames.Settings, paths: list[Path]) -> list[np.ndarray]:
    clips = [EncodedClip(str(number), MediaSegment(path)) for number, path in enumerate(paths)]
    torch.manual_seed(0)
    network, _ = timm_frames.build(settings, Path("unused"))
    encoder = Encoder(timm_frames, settings, network, CpuDevice(), batch_size=4)
    with decode_pool(timm_frames, settings, clips, LIMITS, device="cpu", num_workers=2) as pool:
        encode_clips(pool.events(), clips, encoder)
    assert not any(clip.reason for clip in clips)
    return [clip.feature_sum / clip.num_encoded for clip in clips if clip.feature_sum is not None]


def test_features_depend_on_no_other_clip_and_on_no_memory(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames of several sizes and of the host come together in one batch."""
    values = {"model": "test_resnet.r160_in1k", "rate_hz": 4}
    paths = [clips["plain"], clips["small"], clips["4:4:4"], clips["plain"]]
    host = features(timm_frames.Settings(**values), paths)
    settings = timm_frames.Settings(**values, frames_on="device")
    with caplog.at_level(logging.INFO):
        found = features(settings, paths)
    assert "frames_on: device: the CPU has prepared frames of 1 clips (yuv444p: 1)" in caplog.text
    # A level of 255 in each pixel would be twenty times as much.
    np.testing.assert_allclose(found, host, atol=1e-3 * np.abs(host).max())
    monkeypatch.setattr(device_frames, "COLLECTED_BYTES", 8_000)  # less than a frame of most clips
    monkeypatch.setattr(device_frames, "CONVERTED_BYTES", 1)
    assert np.array_equal(features(settings, paths[::-1])[::-1], found)
    assert np.array_equal(found[0], found[3])


def test_the_choice_is_part_of_what_features_are_made_with() -> None:
    assert "frames_on" not in c3d.Settings().model_dump()
    assert c3d.Settings(frames_on="device").model_dump()["frames_on"] == "device"


@pytest.mark.parametrize(
    ("plugin", "values"),
    [("c3d", {"preprocessing": "official-script"}), ("timm_frames", {"colour": "bgr-negative"})],
)
def test_an_overflow_is_left_to_the_host(plugin: str, values: dict[str, str]) -> None:
    settings = registry.load("backbones", plugin).Settings
    settings(**values)
    key = next(iter(values))
    with pytest.raises(ValidationError, match=f"{key} repeats an overflow.*leave frames_on out"):
        settings(**values, frames_on="device")


def windows_of(clip: Path) -> Iterator[Window]:
    settings = c3d.Settings(frames_on="device")
    return functools.partial(c3d.windows, settings, limits=LIMITS)(MediaSegment(clip))


def data_of(window: Window) -> bytes:
    return b"".join(frame.data.tobytes() for frame in window.data[: window.num_valid])


def test_without_a_decoder_of_a_gpu_the_cpu_decodes(clips: dict[str, Path]) -> None:
    if hardware._device() is not None:
        pytest.skip("this machine has NVDEC")
    by_gpu_first = functools.partial(hardware.by_hardware_first, windows_of)
    expected = [data_of(window) for window in keeping_planes(windows_of, clips["plain"])]
    with taking_notes() as notes:
        found = list(keeping_planes(by_gpu_first, clips["plain"]))
    assert [data_of(window) for window in found] == expected
    assert notes == Notes(decoded_on_cpu="no NVDEC")


def test_a_decoder_of_a_gpu_that_fails_costs_no_clip(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the driver has no room for one more process after the probe."""
    if hardware._device() is not None:
        pytest.skip("this machine has NVDEC")
    monkeypatch.setattr(hardware, "_device", object)
    by_gpu_first = functools.partial(hardware.by_hardware_first, windows_of)
    expected = [data_of(window) for window in keeping_planes(windows_of, clips["plain"])]
    with taking_notes() as notes:
        first, *found = keeping_planes(by_gpu_first, clips["plain"])
    assert first is RESTART
    assert [data_of(window) for window in found] == expected
    assert notes == Notes(decoded_on_cpu="not a media file")
    with taking_notes() as notes:
        list(keeping_planes(by_gpu_first, clips["4:4:4"]))
    assert (notes.decoded_on_cpu, notes.on_host) == ("yuv444p", "yuv444p")


def test_a_clip_that_nothing_decodes_is_rejected_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no media")
    with pytest.raises(MediaError, match="not a media file"):
        list(keeping_planes(functools.partial(hardware.by_hardware_first, windows_of), path))
