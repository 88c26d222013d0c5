"""C3D: 3D convolutions over 16 frames, trained to name sports.

Paper: Tran, Bourdev, Fergus, Torresani, Paluri: Learning Spatiotemporal Features with 3D
Convolutional Networks (ICCV 2015).

Network: eight 3D convolutions of 3x3x3, five poolings, two full layers; 78.0 million parameters,
312 MB in fp32; 77 GFLOP a window. It was trained on Sports-1M, 1.1 million videos of 487 sports.

Input: windows of 16 frames that do not overlap, at 25 frames a second, so 0.64 s each. A frame is
resized to 128x171, its centre of 112x112 is cut out, and values are 0 to 255 in the order blue,
green, red, less the mean colour of Sports-1M.

Features: 4,096 values, the layer fc7 after its ReLU; a clip's features are the mean over its
windows. They are the video half of the ``cls`` features of the benchmark's paper.

Weights: the authors' Caffe weights, converted to PyTorch, whose publisher states no licence; see
`published`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.fetching.network_weights import load_weights
from avca_pipeline.fetching.weights import PublishedWeights, WeightsSettings
from avca_pipeline.media import Limits
from avca_pipeline.media.planes import each_prepared
from avca_pipeline.media.resizing import resized
from avca_pipeline.media.video import claimed_count, frames
from avca_pipeline.media.windows import Window, frame_windows
from avca_pipeline.nn.constants import constant
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("tran2015c3d",)
MODALITY: Modality = "video"
BATCH_WINDOWS = {"cpu": 8, "cuda": 64}

RATE_HZ = 25
WINDOW_FRAMES = 16
RESIZE = (128, 171)
CROP = 112
CROP_TOP, CROP_LEFT = 8, 30
BLOCK_BYTES = 1_000_000
MAX_CLAIMED_SHARE = 0.1

# Mean colour of Sports-1M in the order in which Caffe, and so the published weights, read frames.
MEAN_BGR = (90.0, 98.0, 102.0)
# What the published scripts apply to blue, green and red, in this order: it is Kinetics' for RGB.
OFFICIAL_MEAN = (0.43216, 0.394666, 0.37645)
OFFICIAL_STD = (0.22803, 0.22145, 0.216989)


class Settings(FramesOn, WeightsSettings):
    """C3D."""

    preprocessing: Literal["sports1m", "official-script", "official-script-activitynet"] = (
        "sports1m"
    )
    """What is done to the pixels. ``sports1m`` is what the network was trained on: values from 0 to
    255 in the order blue, green, red, minus their mean over the training set. The other two repeat
    the paper's scripts, for comparison. ``official-script-activitynet`` takes values from 0 to 1 in
    that order and normalises them with Kinetics' mean and deviation of red, green and blue.
    ``official-script``, the scripts for UCF and VGGSound, first replaces each value x by (256 - x)
    mod 256, which is a negative and comes from an overflow. Both count the frames by the file's
    header: where fewer frames can be decoded, as from many XviD files, the last frames are
    black.
    """

    @property
    def overflow(self) -> str:
        """Returns the key that asks for an overflow of bytes."""
        return "preprocessing" if self.preprocessing == "official-script" else ""

    def prepared(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, 112, 112, 3)`` uint8."""
        images = resized(pictures, RESIZE, "bilinear")
        centres = images[:, :, CROP_TOP : CROP_TOP + CROP, CROP_LEFT : CROP_LEFT + CROP]
        return centres.permute(0, 2, 3, 1)


def spec(settings: Settings) -> Spec:
    """Returns what the network takes."""
    timing = Timing.side_by_side(WINDOW_FRAMES, RATE_HZ)
    return Spec((WINDOW_FRAMES, CROP, CROP, 3), "uint8", dim=4096, timing=timing)


def published(settings: Settings) -> PublishedWeights:
    """Returns the Caffe weights of the paper's authors, converted to PyTorch."""
    return PublishedWeights(
        "http://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle",
        "not stated by its publisher; Sports-1M C3D of Tran et al.",
    )


def pretraining_classes(settings: Settings) -> tuple[str, ...] | None:
    """Returns Sports-1M's 487 classes if the user has named a file of them."""
    return settings.stated_classes()


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of ``(16, 112, 112, 3)`` uint8; frames behind the clip's end are zero."""
    picked = frames(clip.path, RATE_HZ, clip.start_s, clip.end_s, limits)
    if settings.is_on_device:
        crops = each_prepared(picked, lambda frame: next(cropped(settings, iter([frame]))))
    else:
        crops = cropped(settings, picked)
    if settings.preprocessing == "official-script" and clip.start_s is None and clip.end_s is None:
        crops = _as_many_as_claimed(crops, clip.path, limits)
    return frame_windows(crops, WINDOW_FRAMES)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network up to fc7 and what its parameters are.

    The published state dict has the names of these layers, and fc8, which is not used.
    """
    with torch.device("meta"):  # the default initialisation of 78 M parameters would be overwritten
        network = torch.nn.Sequential(OrderedDict(_layers()))
    network = network.to_empty(device="cpu")
    weights = load_weights(
        network,
        settings,
        cache,
        published=published(settings),
        unused=lambda name: name.startswith("fc8."),
    )
    # The fastest layout on CPUs and GPUs alike; torch's annotations do not know the argument.
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network, weights


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns fc7 after ReLU.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, 16, 112, 112, 3)`` uint8, from `windows`.
        num_valid: ``(windows,)``, how many frames of each are no padding.

    Returns:
        ``(windows, 4096)`` float32.
    """
    pixels = normalised(settings, data, num_valid).to(network.get_parameter("fc7.weight").dtype)
    # (windows, frames, height, width, channels) in memory is channels-last of what follows.
    features: torch.Tensor = network(pixels.permute(0, 4, 1, 2, 3))
    return features.float()


def cropped(settings: Settings, picked: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields ``(112, 112, 3)`` uint8: frames resized to 128x171 with antialiasing, centre crop.

    Within one level of what Pillow makes of the same frame, at a fraction of its time.
    """
    is_negative = settings.preprocessing == "official-script"
    block: _Block | None = None
    newest: np.ndarray | None = None
    places: list[int] = []  # in the block, of the frame at each tick
    for frame in picked:
        if frame is not newest:  # one that is shown for several ticks is resized once
            if block is not None and (block.is_full or frame.shape != block.frame_shape):
                yield from block.crops(places)
                places = []
            if block is None or frame.shape != block.frame_shape:
                block = _Block(frame.shape)
            block.add(frame, is_negative=is_negative)
            newest = frame
        assert block is not None
        places.append(block.num_frames - 1)
    if block is not None:
        yield from block.crops(places)


class _Block:
    """Frames of one shape that are resized together, few enough to stay in a core's cache.

    A call for each small frame would cost a fifth more. A frame is copied as soon as it comes,
    while the cache still holds it, and always into the same memory: new memory costs much time.
    """

    def __init__(self, frame_shape: tuple[int, ...]) -> None:
        self.frame_shape = frame_shape
        height, width, _ = frame_shape
        num_rows, self.size = height, RESIZE
        self.scales: tuple[float | None, float | None] = None, None
        ratios = height / RESIZE[0], width / RESIZE[1]
        # torch rounds weights by the largest of them, which in a part of an enlarged frame may be
        # another one.
        if min(ratios) >= 1:
            # What is below the crop, and to the right of it, is neither copied nor computed.
            self.size = CROP_TOP + CROP, CROP_LEFT + CROP
            self.scales = reciprocal(ratios[0]), reciprocal(ratios[1])
            num_rows = min(height, math.ceil((self.size[0] + 1) * ratios[0]) + 1)
        capacity = -(-BLOCK_BYTES // math.prod(frame_shape))
        self.memory = np.empty((capacity, num_rows, width, 3), np.uint8)
        self.images: list[np.ndarray] = []

    @property
    def is_full(self) -> bool:
        """Whether the next frame has to wait for the crops of these."""
        return len(self.images) == len(self.memory)

    @property
    def num_frames(self) -> int:
        """How many frames are in it."""
        return len(self.images)

    def add(self, frame: np.ndarray, *, is_negative: bool) -> None:
        """Takes a frame, or the negative of one; what a full block had is gone."""
        if self.is_full:
            self.images = []
        image, shown = self.memory[len(self.images)], frame[: self.memory.shape[1]]
        if is_negative:
            # Negation of bytes wraps as the script's conversion does: 0 stays 0.
            np.negative(shown, out=image)
        elif len(self.memory) == 1 and shown.flags.c_contiguous:
            image = shown  # copying a large frame costs as much as resizing it
        else:
            image[:] = shown
        self.images.append(image)

    def crops(self, places: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the crops of the frames at these places, which the block need not hold longer."""
        is_alone = len(self.memory) == 1
        images = self.images[0] if is_alone else self.memory[: len(self.images)]
        shown = torch.from_numpy(images)
        # The cut of what `torch.nn.functional.interpolate` makes of whole frames, to the bit. That
        # function cannot be asked for a part.
        resized = torch.ops.aten._upsample_bilinear2d_aa.default(
            (shown[None] if is_alone else shown).permute(0, 3, 1, 2),
            self.size,
            False,
            *self.scales,
        )
        crops = resized.permute(0, 2, 3, 1).numpy()
        crops = crops[:, CROP_TOP : CROP_TOP + CROP, CROP_LEFT : CROP_LEFT + CROP]
        for place in places:
            yield crops[place]


def reciprocal(ratio: float) -> float:
    """Returns the number whose reciprocal is a ratio, to the bit wherever there is one."""
    near = 1 / ratio
    candidates = (near, math.nextafter(near, 0), math.nextafter(near, math.inf))
    return min(candidates, key=lambda candidate: abs(1 / candidate - ratio))


def _as_many_as_claimed(
    crops: Iterator[np.ndarray], path: Path, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields crops and, if they are fewer than the file's header counts, black ones up to that.

    Unlike the padding behind the clip's end, which is grey, these are normalised as any other.
    """
    num_yielded = 0
    for crop in crops:
        yield crop
        num_yielded += 1
    num_missing = claimed_count(path, RATE_HZ, limits) - num_yielded
    if num_missing <= max(1, MAX_CLAIMED_SHARE * num_yielded):  # otherwise it is nonsense
        for _ in range(num_missing):
            yield np.zeros((CROP, CROP, 3), np.uint8)


def normalised(settings: Settings, data: torch.Tensor, num_valid: torch.Tensor) -> torch.Tensor:
    """Returns the network's input, ``(windows, 16, 112, 112, 3)`` in the order BGR, float32.

    Padding frames become zero after normalisation, that is mean grey, as in the published script.
    """
    pixels = data.flip(-1).float()
    if settings.preprocessing == "sports1m":
        pixels = pixels - constant(MEAN_BGR, data.device)
    else:
        mean, deviation = (constant(v, data.device) for v in (OFFICIAL_MEAN, OFFICIAL_STD))
        pixels = (pixels / 255.0 - mean) / deviation
    is_real = torch.arange(data.shape[1], device=data.device) < num_valid[:, None]
    return pixels * is_real[:, :, None, None, None]


def _layers() -> Iterator[tuple[str, torch.nn.Module]]:
    nn = torch.nn
    channels = 3
    for block, names, width in (
        (1, ("1",), 64),
        (2, ("2",), 128),
        (3, ("3a", "3b"), 256),
        (4, ("4a", "4b"), 512),
        (5, ("5a", "5b"), 512),
    ):
        for name in names:
            yield f"conv{name}", nn.Conv3d(channels, width, 3, padding=1)
            yield f"relu{name}", nn.ReLU(inplace=True)
            channels = width
        size = (1 if block == 1 else 2, 2, 2)
        padding = (0, 1, 1) if block == 5 else (0, 0, 0)
        yield f"pool{block}", nn.MaxPool3d(size, stride=size, padding=padding)
    yield "flatten", nn.Flatten()
    yield "fc6", nn.Linear(8192, 4096)
    yield "relu6", nn.ReLU(inplace=True)
    yield "fc7", nn.Linear(4096, 4096)
    yield "relu7", nn.ReLU(inplace=True)
