"""Frames that a GPU prepares, and decodes where it can, are those of the CPU."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.datasets import demo
from avca_pipeline.extraction.devices import set_precision
from avca_pipeline.media import hardware
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.planes import keeping_planes
from avca_pipeline.media.resizing import resized
from avca_pipeline.media.windows import RESTART
from tests.planes import LIMITS, pairs

BACKBONES = {"timm_frames": {"model": "test_resnet.r160_in1k"}}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = demo.Settings(num_classes=4, sources_per_class=1)
    return demo.locate(settings, demo.clips(settings)[0], tmp_path_factory.mktemp("media"))


@pytest.mark.parametrize("name", ["c3d", "selavi_video", "timm_frames", "torchvision_video"])
def test_frames_are_within_one_level(name: str, clip: Path, device: str) -> None:
    backbone = registry.load("backbones", name)
    settings = backbone.Settings(**BACKBONES.get(name, {}), frames_on="device")
    found = list(pairs(backbone, settings, clip, device))
    assert found
    assert all(np.abs(ours.astype(float) - theirs).max() <= 1 for ours, theirs in found)


def test_resizing_is_exact_in_tf32(device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (2, 3, 72, 98), generator=generator, dtype=torch.uint8)
    set_precision("tf32")
    try:
        found = resized(pictures.to(device), (31, 41), "bicubic")
    finally:
        set_precision("fp32")
    assert torch.equal(found.cpu(), resized(pictures, (31, 41), "bicubic"))


def test_nvdec_gives_the_planes_of_the_cpu(clip: Path, device: str) -> None:
    if hardware._device() is None:
        pytest.skip("this machine has no NVDEC")
    backbone = registry.load("backbones", "c3d")
    windows = functools.partial(backbone.windows, backbone.Settings(), limits=LIMITS)
    by_gpu = functools.partial(hardware.by_hardware_first, windows)
    with taking_notes() as notes:
        found = list(keeping_planes(by_gpu, MediaSegment(clip)))
    assert (RESTART in found, notes.decoded_on_cpu) == (False, "")
    for ours, theirs in zip(found, keeping_planes(windows, MediaSegment(clip)), strict=True):
        for our, their in zip(ours.data, theirs.data, strict=True):
            assert our == their == 0 or np.array_equal(our.data, their.data)
