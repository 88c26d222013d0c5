"""SeLaVi's audio network: ResNet-9 on a log filter bank, trained on VGGSound without labels.

Paper: Asano, Patrick, Rupprecht, Vedaldi: Labelling unlabelled videos from scratch with multi-modal
self-supervision (NeurIPS 2020).

Network: a ResNet of four blocks of two convolutions; 4.9 million parameters, 20 MB in fp32.

Input: windows of one second at 44.1 kHz, mono: 257 filters, one frame each 10 ms, of which 54 are
empty because the filters stand on whole bins of the spectrum.

Features: 512 values a window, pooled over time and frequency; a clip's features are the mean over
its windows. They are the audio half of the ``main`` features of the benchmark's paper.

Weights: one file for both networks, CC BY-NC 4.0; see `_selavi`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing, _selavi
from avca_pipeline.backbones._mel import hz_to_mel, mel_to_hz
from avca_pipeline.media import Limits
from avca_pipeline.media.audio import mono_blocks
from avca_pipeline.media.video import frame_count
from avca_pipeline.media.windows import Window, covering_windows
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("asano2020selavi",)
MODALITY: Modality = "audio"
BATCH_WINDOWS = {"cpu": 16, "cuda": 128}

RATE_HZ = 44_100
WINDOW_SAMPLES = 44_100
FRAME_SAMPLES, HOP_SAMPLES = 882, 441  # 20 ms every 10 ms
FFT_SIZE = 1024
NUM_FILTERS = 257
PRE_EMPHASIS = 0.97
INT16_SCALE = 32768.0
MEAN, STD = 1.93, 17.89


class Settings(_selavi.Settings):
    """SeLaVi's audio network."""


def spec(settings: Settings) -> Spec:
    """Returns what the network takes."""
    hop_s = WINDOW_SAMPLES / RATE_HZ if settings.has_steady_hop else math.nan
    timing = Timing(WINDOW_SAMPLES / RATE_HZ, hop_s, RATE_HZ)
    return Spec((WINDOW_SAMPLES,), "float64", dim=512, timing=timing)


published = _selavi.published
pretraining_classes = _selavi.pretraining_classes


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of one second, 44,100 samples in [-1, 1].

    Sound shorter than that is padded with silence. The published windows begin where those of
    the video do, so that they need a video stream.
    """
    blocks = mono_blocks(clip.path, RATE_HZ, clip.start_s, clip.end_s, limits)
    if settings.windows == "covering":
        return covering_windows(blocks, WINDOW_SAMPLES)
    count, fps = frame_count(clip.path, clip.start_s, clip.end_s, limits)
    starts = [round(start / fps * RATE_HZ) for start in _selavi.official_starts(count, fps)]
    return official_windows(blocks, starts or [0])


def official_windows(blocks: Iterable[np.ndarray], starts: Iterable[int]) -> Iterator[Window]:
    """Yields windows that begin at given samples, moved back where they would not end in time."""
    todo, held, first = deque(starts), np.zeros(0), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while todo and todo[0] + WINDOW_SAMPLES <= first + len(held):
            begin = todo.popleft() - first
            samples = held[begin : begin + WINDOW_SAMPLES].copy()
            yield Window(samples, WINDOW_SAMPLES, first + begin)
        if not todo:
            return
        surplus = max(0, min(todo[0] - first, len(held) - WINDOW_SAMPLES))
        held, first = held[surplus:], first + surplus
    for _ in todo:
        start = first + max(0, len(held) - WINDOW_SAMPLES)
        for window in covering_windows([held[-WINDOW_SAMPLES:]], WINDOW_SAMPLES):
            yield dataclasses.replace(window, start=start)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network without its classifier and what its parameters are."""
    from torchvision.models.resnet import BasicBlock, ResNet

    network = ResNet(BasicBlock, [1, 1, 1, 1])
    network.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    network.fc = torch.nn.Identity()
    return network, _selavi.fill_part(network, settings, cache, MODALITY)


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, 512)`` pooled features, float32.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, 44100)`` from `windows`.
        num_valid: unused: padding is silence.
    """
    spectrogram = (log_filterbank(data * INT16_SCALE) - MEAN) / STD
    features: torch.Tensor = network(spectrogram[:, None].to(next(network.parameters()).dtype))
    return features.float()


def log_filterbank(samples: torch.Tensor, num_filters: int = NUM_FILTERS) -> torch.Tensor:
    """Returns ``(windows, filters, frames)``: the natural logarithm of filter-bank energies.

    What the library python_speech_features computes: pre-emphasis, frames of 20 ms every 10 ms
    without a window function and the last one padded, power spectrum, triangular filters between
    whole FFT bins. Neither librosa nor torchaudio places filters on whole bins, which leaves 54
    of these empty; an empty one is the logarithm of the smallest step of a double.

    Args:
        samples: ``(windows, samples)`` at 44.1 kHz, in units of 16-bit samples.
        num_filters: how many, from 0 to 22,050 Hz.
    """
    # In single precision the quiet filters are off by more than 1e-4.
    samples = samples.double()
    emphasised = samples.clone()
    emphasised[:, 1:] -= PRE_EMPHASIS * samples[:, :-1]
    length = samples.shape[-1]
    num_frames = 1 + max(0, -(-(length - FRAME_SAMPLES) // HOP_SAMPLES))
    missing = (num_frames - 1) * HOP_SAMPLES + FRAME_SAMPLES - length
    frames = torch.nn.functional.pad(emphasised, (0, missing)).unfold(
        -1, FRAME_SAMPLES, HOP_SAMPLES
    )
    power = torch.fft.rfft(frames, FFT_SIZE).abs().square() / FFT_SIZE
    energies = power @ _filters(num_filters, power.device)
    energies = torch.where(energies == 0, torch.finfo(torch.float64).eps, energies)
    return energies.log().transpose(1, 2).float()


@functools.lru_cache(maxsize=8)
def _filters(num_filters: int, device: torch.device) -> torch.Tensor:
    """Returns `filter_bank` on a device; see `nn.constants` for why it stays there."""
    with torch.inference_mode(False):
        return torch.from_numpy(filter_bank(num_filters)).to(device)


@functools.cache
def filter_bank(num_filters: int) -> np.ndarray:
    """Returns ``(513, filters)`` float64: the weight of each FFT bin in each filter."""
    highest = hz_to_mel(RATE_HZ / 2)
    edges_hz = mel_to_hz(np.linspace(0, highest, num_filters + 2))
    edges = np.floor((FFT_SIZE + 1) * edges_hz / RATE_HZ)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    bins = np.arange(FFT_SIZE // 2 + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.where((bins >= low) & (bins < middle), (bins - low) / (middle - low), 0.0)
        falling = np.where((bins >= middle) & (bins < high), (high - bins) / (high - middle), 0.0)
    return rising + falling
