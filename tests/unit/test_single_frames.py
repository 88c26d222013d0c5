"""Which frames of a clip are encoded one by one, and in which colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from pydantic import ValidationError
from torchvision import transforms

from avca_pipeline import registry
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.backbones import MediaSegment, timm_frames
from avca_pipeline.media import MediaError
from avca_pipeline.media.ticks import at_positions
from avca_pipeline.media.video import native_frames, spread_frames
from tests.conftest import shared_folder
from tests.media import synthetic
from tests.media.synthetic import LIMITS
from tests.transformer_models import saved

COLOURS = {"rgb": "rgb", "activitynet": "bgr", "vggsound": "bgr", "ucf": "bgr-negative"}
"""Name in the golden data to the key that reproduces it."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 frames in 2 s; each shows its number."""
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    write_numbers(path, 50)
    return path


def write_numbers(path: Path, num_frames: int) -> None:
    raw = path.with_suffix(".rgb")
    raw.write_bytes(synthetic.pictures(range(num_frames)).tobytes())
    synthetic.ffmpeg(
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{synthetic.WIDTH}x{synthetic.HEIGHT}",
        "-r", synthetic.RATE_HZ, "-i", raw, "-pix_fmt", "yuv420p", path,
    )  # fmt: skip


def shown(
    path: Path, count: int, start: float | None = None, end: float | None = None
) -> list[int]:
    return [synthetic.number(f) for f, _ in spread_frames(path, count, start, end, LIMITS)]


def test_frames_are_from_the_middles_of_equal_parts(clip: Path) -> None:
    assert shown(clip, 1) == [25]
    assert shown(clip, 2) == [12, 37]
    assert shown(clip, 5) == [5, 15, 25, 35, 45]
    assert shown(clip, 50) == list(range(50))
    assert shown(clip, 3, start=0.4, end=1.0) == [12, 17, 22]
    assert shown(clip, 1, start=1.0) == [37]


def test_a_clip_of_few_frames_repeats_them(tmp_path: Path) -> None:
    write_numbers(tmp_path / "a.mp4", 3)
    assert shown(tmp_path / "a.mp4", 1) == [1]
    assert shown(tmp_path / "a.mp4", 6) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(MediaError, match="nothing in segment"):
        shown(tmp_path / "a.mp4", 2, start=5.0, end=6.0)


def test_the_last_item_stands_for_those_that_are_missing() -> None:
    assert list(at_positions("abcd", [1, 1, 2, 7, 9])) == ["b", "b", "c", "d", "d"]
    assert list(at_positions("", [0, 1])) == []
    items = iter("abcd")
    assert list(at_positions(items, [0])) == ["a"]
    assert list(items) == []


def test_frames_that_are_not_used_are_not_converted(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[VideoFrame] = []

    class Counting:
        """The library's own, whose calls are counted; it allows no subclass."""

        def __init__(self) -> None:
            self._reformatter = VideoReformatter()

        def reformat(self, frame: VideoFrame, **options: Any) -> VideoFrame:
            converted.append(frame)
            return self._reformatter.reformat(frame, **options)

    monkeypatch.setattr("av.video.reformatter.VideoReformatter", Counting)
    assert shown(clip, 3) == [8, 25, 41]
    assert len(converted) == 3
    assert len(list(native_frames(clip, None, None, LIMITS))) == 50
    assert len(converted) == 53


@pytest.mark.parametrize("plugin", ["timm_frames", "transformers_images"])
def test_a_backbone_encodes_the_chosen_frames(plugin: str, clip: Path, tmp_path: Path) -> None:
    module = registry.load("backbones", plugin)
    named: dict[str, Any] = {"model": "test_resnet.r160_in1k"}
    if plugin == "transformers_images":
        named = {"model": str(saved("clip", tmp_path))}

    def windows(*segment: float, **settings: Any) -> list[np.ndarray]:
        of_clip = MediaSegment(clip, *segment)
        made = module.windows(module.Settings(**named, **settings), of_clip, LIMITS)
        return [window.data for window in made]

    assert len(windows()) == 4
    assert len(windows(rate_hz=10)) == 20
    assert len(windows(0.5, 1.5, rate_hz=10)) == 10
    every = windows(frames=50)
    assert len(every) == 50
    for settings, numbers in ({"frames": "middle"}, [25]), ({"frames": 2}, [12, 37]):
        chosen = windows(**settings)
        np.testing.assert_array_equal(chosen, [every[number] for number in numbers])
    part = windows(0.4, 1.0, frames=3)
    np.testing.assert_array_equal(part, [every[number] for number in (12, 17, 22)])
    (bgr,) = windows(frames=1, colour="bgr")
    np.testing.assert_array_equal(bgr, every[25][..., ::-1])


def test_the_rate_is_the_default_and_older_recipes_stay() -> None:
    settings = timm_frames.Settings()
    assert (settings.frames, settings.colour) == ("all", "rgb")
    assert canonical_json(settings.model_dump(mode="json")) == canonical_json(
        {
            "weights": "random", "sha256": None, "seed": 0, "precision": "fp32",
            "pretraining_classes": None, "model": "mobilenetv3_small_100", "rate_hz": 2,
        }
    )  # fmt: skip
    chosen = timm_frames.Settings(frames="8", colour="bgr")
    dumped = chosen.model_dump(mode="json")
    assert (dumped["frames"], dumped["colour"]) == (8, "bgr")
    assert timm_frames.Settings(**dumped) == chosen


@pytest.mark.parametrize("value", [0, -1, 1001, 2.5, True, "some", "", None, [1]])
def test_other_frames_are_refused_in_one_line(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        timm_frames.Settings(frames=value)
    (error,) = refused.value.errors()
    assert error["msg"].startswith("expected all, middle or a whole number from 1 to 1000, found")


@pytest.mark.parametrize("picture", ["landscape", "portrait", "large"])
def test_pixels_are_those_of_the_published_scripts(picture: str, tmp_path: Path) -> None:
    with np.load(shared_folder("reference") / "clipclap_frames.npz") as file:
        arrays = {name: file[name] for name in file.files if f"/{picture}/" in name}
    rgb = np.ascontiguousarray(arrays[f"picture/{picture}/frame_bgr"][..., ::-1])
    (tmp_path / "a.rgb").write_bytes(rgb.tobytes())
    synthetic.ffmpeg(
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{rgb.shape[1]}x{rgb.shape[0]}",
        "-r", 25, "-i", tmp_path / "a.rgb", "-c:v", "png", tmp_path / "a.mov",
    )  # fmt: skip
    published = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.Resize(224, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
        ]
    )
    for name, colour in COLOURS.items():
        settings = timm_frames.Settings(frames=1, colour=colour)
        ((frame, _),) = settings.picked(MediaSegment(tmp_path / "a.mov"), LIMITS)
        pixels = np.asarray(published(frame), int).transpose(2, 0, 1)
        golden = {
            key: value
            for key, value in arrays.items()
            if key.startswith(f"picture/{picture}/{name}/pixel")
        }
        assert golden or (picture, name) == ("large", "rgb")
        for key, value in golden.items():
            if key.endswith("pixel_sums"):
                np.testing.assert_allclose(pixels.sum(axis=(1, 2)), value, rtol=1e-4)
            else:
                rows = pixels[:, 112:120] if key.endswith("rows112") else pixels
                assert np.abs(rows - value).max() <= 1
