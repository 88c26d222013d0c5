"""The encoder on a GPU: overlap, lack of memory, and the stage as a whole."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from avca_pipeline import backbones, registry
from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.backbones import MediaSegment, Spec
from avca_pipeline.datasets import demo
from avca_pipeline.extraction.devices import CudaDevice, CudaResult, Encode, open_device
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.extraction.encoder import Encoder
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.stages import extract
from tests.benchmarks.device_clock import device_with_clock
from tests.builders import extract_request

SIZE = 256
BATCH = 16
CYCLES = 40_000_000  # some 25 ms, ten times as long as filling a batch
MIB = 1 << 20


class Plain:
    """A backbone that keeps a GPU busy for so many cycles for each batch."""

    BATCH_WINDOWS: ClassVar = {"cpu": 4, "cuda": BATCH}

    def __init__(self, cycles: int = 0) -> None:
        self.cycles = cycles

    def spec(self, settings: WeightsSettings) -> Spec:
        return Spec((SIZE, SIZE), "float32")

    def encode(
        self,
        settings: WeightsSettings,
        network: torch.nn.Module,
        data: torch.Tensor,
        num_valid: torch.Tensor,
    ) -> torch.Tensor:
        if self.cycles:
            torch.cuda._sleep(self.cycles)
        mixed = torch.tanh(data @ network.get_parameter("weight"))
        return torch.stack([mixed.mean(dim=(1, 2)), num_valid.float()], dim=1)


class Hungry(Plain):
    """A backbone that needs 256 MiB for each window."""

    def encode(
        self,
        settings: WeightsSettings,
        network: torch.nn.Module,
        data: torch.Tensor,
        num_valid: torch.Tensor,
    ) -> torch.Tensor:
        large = data.flatten(1).repeat(1, 256 * MIB // (4 * SIZE * SIZE))
        return torch.stack([large[:, : SIZE * SIZE].mean(dim=1), large[:, -1]], dim=1)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(SIZE, SIZE, bias=False).requires_grad_(False)


def encode(encoder: Encoder, num_windows: int) -> np.ndarray:
    clip = EncodedClip("clip", MediaSegment(Path("clip")))
    generator = np.random.default_rng(0)
    window = generator.standard_normal((SIZE, SIZE), np.float32)
    for number in range(num_windows):
        encoder.add_window(clip, window + np.float32(0.01 * number), SIZE)
    encoder.flush()
    return np.stack(clip.windows)


def test_the_host_does_not_wait_for_a_batch_that_it_starts(gpu: str) -> None:
    """Results are not there yet when ``start`` returns, nor are they waited for by the encoder."""
    pending: list[CudaResult] = []
    were_done: list[bool] = []

    class Watched(CudaDevice):
        def start(self, encode: Encode, *inputs: torch.Tensor) -> CudaResult:
            torch.cuda.set_sync_debug_mode("error")  # whatever waits raises an error
            try:
                result = super().start(encode, *inputs)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            assert result.values.is_pinned()
            were_done.append(result.copied.query())
            pending.append(result)
            return result

    backbone = Plain(CYCLES)
    encoder = Encoder(backbone, WeightsSettings(), network(), Watched(), keep_windows=True)
    encode(encoder, 3 * BATCH)  # the first batches load libraries and kernels
    pending.clear()
    were_done.clear()
    rows = encode(encoder, 8 * BATCH)
    assert were_done == [False] * 8
    assert len(rows) == 8 * BATCH


def test_a_gpu_with_enough_to_do_is_rarely_idle(gpu: str) -> None:
    """The network takes several times as long as filling a batch on the host."""
    device = device_with_clock(gpu)
    encoder = Encoder(Plain(CYCLES), WeightsSettings(), network(), device, keep_windows=True)
    encode(encoder, 3 * BATCH)
    device.reset()
    encode(encoder, 12 * BATCH)
    assert device.idle_share() < 0.2


def test_features_of_batches_that_overlap_are_right(device: str) -> None:
    """Each window's features are those of a batch of its own, waited for at once."""
    together = Encoder(
        Plain(), WeightsSettings(), network(), open_device(device), batch_size=8,
        keep_windows=True,
    )  # fmt: skip
    rows = encode(together, 100)
    backbone, alone = Plain(), network().to(device)
    generator = np.random.default_rng(0)
    window = generator.standard_normal((SIZE, SIZE), np.float32)
    with torch.inference_mode():
        for number in (0, 7, 8, 50, 99):
            data = torch.from_numpy(window + np.float32(0.01 * number))[None].to(device)
            right = backbone.encode(
                WeightsSettings(), alone, data, torch.tensor([SIZE], device=device)
            )
            np.testing.assert_allclose(rows[number], right[0].cpu().numpy(), rtol=1e-4, atol=1e-5)


def test_a_batch_without_room_is_halved(gpu: str, caplog: pytest.LogCaptureFixture) -> None:
    """16 windows need 4 GiB and more; this process may have no more than 2."""
    whole = Encoder(
        Hungry(), WeightsSettings(), network(), open_device(gpu), keep_windows=True
    )  # fmt: skip
    rows = encode(whole, 40)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2048 * MIB) / total)
    try:
        tight = Encoder(Hungry(), WeightsSettings(), network(), open_device(gpu), keep_windows=True)
        with caplog.at_level(logging.INFO, logger="avca_pipeline"):
            halved = encode(tight, 40)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert tight.batch_size < BATCH
    assert f"no room for a batch of {BATCH} windows; going on with batches of 8" in caplog.text
    np.testing.assert_allclose(halved, rows, rtol=1e-5, atol=1e-6)


def extracted(folder: Path, paths: Sequence[Path], plugin: str, device: str, name: str) -> Features:
    listed, rows = [], []
    for number, path in enumerate(paths):
        status, sha256 = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
        listed.append(Clip(str(number), str(number), "class", path.name))
        rows.append(
            FetchedClip(
                str(number), OK, path=str(path), sha256=sha256,
                size=status.st_size, modified_ns=status.st_mtime_ns,
            )
        )  # fmt: skip
    manifest.write(folder / "clips.csv", listed)
    fetched.write(folder / "fetched.csv", rows)
    extract.run(
        extract_request(plugin, {}, keep_windows=True), folder / "clips.csv",
        folder / "fetched.csv", folder / name, cache=folder, device=device, workers=2,
    )  # fmt: skip
    return features.read(folder / name, with_windows=True)


@pytest.mark.parametrize("plugin", ["vggish", "timm_frames", "c3d"])
def test_two_runs_give_the_same_bits(plugin: str, device: str, tmp_path: Path) -> None:
    if device == "cpu" and plugin == "c3d":
        pytest.skip("takes minutes on a CPU")
    settings = demo.Settings(num_classes=4, sources_per_class=1)
    clips = demo.clips(settings)[:3]
    paths = [demo.locate(settings, clip, tmp_path / "media") for clip in clips]
    first, second = (
        extracted(tmp_path, paths, plugin, device, name) for name in ("first.h5", "second.h5")
    )
    assert len(first.clip_ids) >= 2  # one of the demo's clips has no sound
    assert first.windows is not None
    assert second.windows is not None
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.windows.values, second.windows.values)


def test_two_jobs_share_a_gpu(device: str, tmp_path: Path) -> None:
    """As with `jobs_per_gpu: 2`: each gives the bits of a job that has the GPU to itself."""
    settings = demo.Settings(num_classes=4, sources_per_class=1)
    paths = [demo.locate(settings, clip, tmp_path / "media") for clip in demo.clips(settings)[:3]]
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    alone = extracted(tmp_path, paths, "timm_frames", device, "alone.h5")
    with ProcessPoolExecutor(len(folders), multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(extracted, folder, paths, "timm_frames", device, "shared.h5")
            for folder in folders
        ]
        for job in jobs:
            np.testing.assert_array_equal(job.result().features, alone.features)


@pytest.fixture
def read_numbers(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a backbone whose clips are text files with a window a line."""
    folder = str(Path(__file__).parents[1] / "numbers" / "plugins")
    monkeypatch.setattr(backbones, "__path__", [*backbones.__path__, folder])
    registry._own_names.cache_clear()
    yield "read_numbers"
    registry._own_names.cache_clear()


def test_a_decode_worker_may_be_replaced_while_the_gpu_is_in_use(
    device: str, read_numbers: str, tmp_path: Path
) -> None:
    """The new worker is forked from a process with a CUDA context, and leaves that alone."""
    texts = ["\n".join(str(number) for number in range(40)), "1\n2\ndie once\n3", "5\n6"]
    paths = [tmp_path / f"{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    table = extracted(tmp_path, paths, read_numbers, device, "out.h5")
    assert table.features[:, 0].tolist() == [19.5, 2.0, 5.5]
    assert table.rejected == {}
