"""The encoder: what host and device do at the same time, and what happens where memory runs out.

The devices here are made up. They run on a clock of their own, or have as much memory as a test
says, and encode a batch only when its result is waited for: a batch whose memory was filled anew
before that would give wrong features.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.backbones import MediaSegment, Spec
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.devices import CpuDevice, Encode, check_precision
from avca_pipeline.extraction.encoded_clip import NOT_FINITE, EncodedClip
from avca_pipeline.extraction.encoder import Encoder
from avca_pipeline.fetching.weights import WeightsSettings

SHAPE = (3, 2)


class SumsAndCounts:
    """A backbone whose features are the sum of a window and how much of the window is real."""

    BATCH_WINDOWS: ClassVar = {"cpu": 4, "cuda": 4}

    def spec(self, settings: WeightsSettings) -> Spec:
        return Spec(SHAPE, "float32")

    def encode(
        self,
        settings: WeightsSettings,
        network: torch.nn.Module,
        data: torch.Tensor,
        num_valid: torch.Tensor,
    ) -> torch.Tensor:
        return torch.stack([network(data).sum(dim=(1, 2)), num_valid.float()], dim=1)


@dataclass
class LateResult:
    """What a device computes when it is waited for."""

    device: ClockedDevice
    done_s: float
    encode: Encode
    inputs: Sequence[torch.Tensor]

    def wait(self) -> torch.Tensor:
        self.device.now_s = max(self.device.now_s, self.done_s)
        self.device.num_underway -= 1
        return self.encode(*self.inputs)


class ClockedDevice(CpuDevice):
    """Takes so many seconds for each batch, one after the other, by a clock that tests move."""

    def __init__(self, batch_s: float) -> None:
        self.batch_s, self.now_s, self.free_s, self.idle_s = batch_s, 0.0, 0.0, 0.0
        self.num_underway = self.most_underway = 0

    def start(self, encode: Encode, *inputs: torch.Tensor) -> LateResult:
        if self.free_s:  # what comes before the first batch is no idle time
            self.idle_s += max(0.0, self.now_s - self.free_s)
        self.free_s = max(self.now_s, self.free_s) + self.batch_s
        self.num_underway += 1
        self.most_underway = max(self.most_underway, self.num_underway)
        return LateResult(self, self.free_s, encode, inputs)


class SmallDevice(ClockedDevice):
    """Has room for so many windows."""

    def __init__(self, room: int) -> None:
        super().__init__(batch_s=1.0)
        self.room, self.sizes, self.num_released = room, [], 0

    def start(self, encode: Encode, *inputs: torch.Tensor) -> LateResult:
        self.sizes.append(len(inputs[0]))
        if len(inputs[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().start(encode, *inputs)

    def release_memory(self) -> None:
        self.num_released += 1


def encoder_on(device: CpuDevice, *, batch_size: int = 4, keep_windows: bool = False) -> Encoder:
    return Encoder(
        SumsAndCounts(), WeightsSettings(), torch.nn.Identity(), device,
        batch_size=batch_size, keep_windows=keep_windows,
    )  # fmt: skip


def clip_named(name: str) -> EncodedClip:
    return EncodedClip(name, MediaSegment(Path(name)))


def encode(
    encoder: Encoder, windows_per_clip: Sequence[int], fill_s: float = 0.0
) -> list[EncodedClip]:
    """Encodes clips whose windows are filled with 0, 1, 2, … across all clips."""
    numbers = itertools.count()
    clips = [clip_named(str(index)) for index in range(len(windows_per_clip))]
    for clip, num_windows in zip(clips, windows_per_clip, strict=True):
        for _ in range(num_windows):
            if isinstance(encoder.device, ClockedDevice):
                encoder.device.now_s += fill_s
            number = next(numbers)
            encoder.add_window(clip, np.full(SHAPE, number, np.float32), 1 + number % 3)
    encoder.flush()
    return clips


def expected_sums(windows_per_clip: Sequence[int]) -> list[list[float]]:
    numbers = itertools.count()
    sums = []
    for num_windows in windows_per_clip:
        own = list(itertools.islice(numbers, num_windows))
        sums.append([sum(6.0 * number for number in own), sum(1.0 + n % 3 for n in own)])
    return sums


WINDOWS_PER_CLIP = (3, 1, 9, 2, 14, 11)  # 40 windows


def test_a_device_that_is_slower_than_decoding_is_never_idle() -> None:
    device = ClockedDevice(batch_s=1.0)
    clips = encode(encoder_on(device), WINDOWS_PER_CLIP, fill_s=0.24)
    assert device.idle_s == pytest.approx(0.0, abs=1e-9)
    assert device.now_s == pytest.approx(4 * 0.24 + 10 * 1.0)  # the first batch, then the network
    assert [clip.feature_sum.tolist() for clip in clips] == expected_sums(WINDOWS_PER_CLIP)


def test_decoding_that_is_slower_than_the_device_is_never_held_up() -> None:
    device = ClockedDevice(batch_s=0.9)
    clips = encode(encoder_on(device), WINDOWS_PER_CLIP, fill_s=0.25)
    assert device.now_s == pytest.approx(40 * 0.25 + 0.9)  # decoding, then the last batch
    assert [clip.feature_sum.tolist() for clip in clips] == expected_sums(WINDOWS_PER_CLIP)


def test_memory_for_batches_is_bounded() -> None:
    """However slow the device is: the host waits for the oldest batch before it fills another."""
    device = ClockedDevice(batch_s=100.0)
    encode(encoder_on(device), [400])
    assert device.most_underway == 3
    assert device.num_underway == 0


def test_windows_stay_in_order() -> None:
    clips = encode(encoder_on(ClockedDevice(1.0), keep_windows=True), WINDOWS_PER_CLIP, fill_s=0.1)
    rows = [row for clip in clips for row in clip.windows]
    assert [row[0] for row in rows] == [6.0 * number for number in range(40)]
    assert [len(clip.windows) for clip in clips] == list(WINDOWS_PER_CLIP)
    # A view of a batch would keep all of the batch in memory.
    assert all(row.base is None for row in rows)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 64])
def test_batch_size_changes_no_feature(batch_size: int) -> None:
    clips = encode(encoder_on(CpuDevice(), batch_size=batch_size), WINDOWS_PER_CLIP)
    assert [clip.feature_sum.tolist() for clip in clips] == expected_sums(WINDOWS_PER_CLIP)


def test_features_of_a_network_in_bf16_are_float32() -> None:
    class Rounded(SumsAndCounts):
        def encode(self, *arguments: Any) -> torch.Tensor:
            return super().encode(*arguments).to(torch.bfloat16)

    encoder = encoder_on(CpuDevice(), keep_windows=True)
    encoder.backbone = Rounded()
    (clip,) = encode(encoder, [45])
    assert {row.dtype.name for row in clip.windows} == {"float32"}
    assert [clip.windows[number][0] for number in (1, 40, 44)] == [6.0, 240.0, 264.0]


@pytest.mark.parametrize(
    ("batch_size", "room", "sizes"),
    [
        (4, 4, [4] * 10),
        (4, 3, [4, *[2] * 20]),
        (8, 2, [8, 4, *[2] * 20]),
        (6, 1, [6, 3, *[1] * 40]),
        (15, 4, [15, 5, *[1] * 40]),  # batches of 2 or 7 would leave a smaller one over
    ],
)
def test_a_batch_without_room_is_halved_and_nothing_is_lost(
    batch_size: int, room: int, sizes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    device = SmallDevice(room)
    with caplog.at_level(logging.INFO, logger="avca_pipeline"):
        clips = encode(encoder_on(device, batch_size=batch_size), WINDOWS_PER_CLIP)
    assert [clip.feature_sum.tolist() for clip in clips] == expected_sums(WINDOWS_PER_CLIP)
    assert device.sizes == sizes
    refused = [size for size in sizes if size > room]
    assert device.num_released == len(refused)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"the device has no room for a batch of {size} windows" for size in refused
    ]


def test_a_batch_is_halved_in_the_middle_of_a_shard() -> None:
    """As where another job comes onto the same GPU; results that are underway still arrive."""
    device = SmallDevice(room=8)
    encoder = encoder_on(device, batch_size=8)
    clip = clip_named("0")
    for number in range(40):
        device.room = 8 if number < 20 else 3
        encoder.add_window(clip, np.full(SHAPE, number, np.float32), 3)
    encoder.flush()
    assert device.sizes[:5] == [8, 8, 8, 4, 2]
    assert clip.feature_sum.tolist() == [6.0 * sum(range(40)), 3.0 * 40]


def test_a_library_without_room_counts_as_well() -> None:
    class Crowded(SmallDevice):
        def start(self, encode: Encode, *inputs: torch.Tensor) -> LateResult:
            if len(inputs[0]) > 2:
                raise RuntimeError(
                    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"
                )
            return super().start(encode, *inputs)

    clips = encode(encoder_on(Crowded(room=4)), WINDOWS_PER_CLIP)
    assert [clip.feature_sum.tolist() for clip in clips] == expected_sums(WINDOWS_PER_CLIP)


def test_a_device_without_room_for_one_window_is_one_line() -> None:
    with pytest.raises(PipelineError, match=r"no room for .* one window; .* jobs_per_gpu"):
        encode(encoder_on(SmallDevice(room=0)), [4])


def test_another_error_of_the_device_is_not_taken_for_lack_of_memory() -> None:
    class Broken(CpuDevice):
        def start(self, encode: Encode, *inputs: torch.Tensor) -> LateResult:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        encode(encoder_on(Broken()), [4])


@pytest.mark.parametrize("num_before", [7, 30])
def test_results_of_an_attempt_that_ended_do_not_count(num_before: int) -> None:
    """Some have arrived; others arrive after the clip's first window has been decoded again."""
    device = ClockedDevice(batch_s=1.0)
    encoder, clip = encoder_on(device), clip_named("0")
    for number in range(num_before):
        encoder.add_window(clip, np.full(SHAPE, 1000 + number, np.float32), 3)
    clip.restart()
    for number in range(3):
        encoder.add_window(clip, np.full(SHAPE, number, np.float32), 3)
    encoder.flush()
    assert clip.num_encoded == clip.num_decoded == 3
    assert clip.feature_sum.tolist() == [6.0 * 3, 9.0]


def test_features_that_are_not_finite_reject_their_clip_alone() -> None:
    encoder, clips = encoder_on(CpuDevice()), [clip_named("0"), clip_named("1")]
    encoder.add_window(clips[0], np.full(SHAPE, np.nan, np.float32), 3)
    encoder.add_window(clips[1], np.full(SHAPE, 1, np.float32), 3)
    encoder.flush()
    assert [clip.reason for clip in clips] == [NOT_FINITE, ""]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_real_network_gives_the_same_features_in_batches_of_any_size(size: int) -> None:
    """But for what rounding makes of products that are added in another order."""
    backbone = registry.load("backbones", "timm_frames")
    settings = backbone.Settings(model="test_resnet.r160_in1k")
    network, _ = backbone.build(settings, Path("unused"))
    generator = np.random.default_rng(0)
    windows = generator.integers(0, 256, (6, *backbone.spec(settings).window_shape), np.uint8)
    sums = []
    for batch_size in (2, size):
        encoder = Encoder(backbone, settings, network, CpuDevice(), batch_size=batch_size)
        clip = clip_named("0")
        for window in windows:
            encoder.add_window(clip, window, 1)
        encoder.flush()
        sums.append(clip.feature_sum)
    np.testing.assert_allclose(sums[1], sums[0], rtol=1e-5, atol=1e-6 * abs(sums[0]).max())


@pytest.mark.parametrize(
    ("capability", "is_refused"), [((7, 0), True), ((7, 5), True), ((8, 0), False)]
)
def test_bf16_needs_a_gpu_that_has_it(
    capability: tuple[int, int], is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Volta and Turing have none: torch would emulate it, slower than fp32."""

    @dataclass
    class Properties:
        major: int
        minor: int

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties(*capability))
    if not is_refused:
        check_precision("bf16", "cuda")
        return
    with pytest.raises(PipelineError, match="precision: bf16: this cuda has no instructions"):
        check_precision("bf16", "cuda")
