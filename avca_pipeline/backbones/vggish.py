"""VGGish: a VGG network on log-mel spectrograms of 0.96 s, trained to name what is heard.

Paper: Hershey et al.: CNN Architectures for Large-Scale Audio Classification (ICASSP 2017).

Network: six 2D convolutions of 3x3, four poolings, three full layers; 72.1 million parameters,
289 MB in fp32; 1.7 GFLOP an example. It was trained on an early YouTube-8M, whose some 3,000
labels were made by machines.

Input: sound at 16 kHz, mono. An example is 96 frames of 25 ms, one each 10 ms, of 64 mel bands from
125 to 7,500 Hz; examples stand side by side and an incomplete one at the end is left out.

Features: 128 values for each example; with ``postprocess: pca-quantised`` rotated by a PCA, clipped
and rounded to 0…255, as released by its authors. A clip's features are the mean over its examples.
They are the audio half of the ``cls`` features of the benchmark's paper.

Weights: see `published` for address and licence.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from avca_pipeline.artifacts.npz_arrays import read_npz
from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing
from avca_pipeline.backbones._mel import hz_to_mel
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.network_weights import load_weights, read_state_dict
from avca_pipeline.fetching.weights import (
    PUBLISHED,
    FileOrAddress,
    PublishedWeights,
    WeightsSettings,
    is_local,
    obtain_weights,
)
from avca_pipeline.media import Limits
from avca_pipeline.media.audio import mono_blocks
from avca_pipeline.media.windows import Window, sample_windows
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.settings import SHA256

CITATIONS = ("hershey2017vggish",)
MODALITY: Modality = "audio"
BATCH_WINDOWS = {"cpu": 16, "cuda": 256}

RATE_HZ = 16_000
FRAME_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
EXAMPLE_FRAMES = 96
EXAMPLE_SAMPLES = (EXAMPLE_FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES
FFT_SIZE = 512
NUM_BANDS = 64
MIN_HZ, MAX_HZ = 125.0, 7500.0
GROUPED_BANDS = 16
LOG_OFFSET = 0.01
PCA_CLIP = 2.0
PCA_SHAPES = {"pca_eigen_vectors": (128, 128), "pca_means": (128,)}

RELEASE = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
PCA = PublishedWeights(f"{RELEASE}/vggish_pca_params-970ea276.pth", "Apache 2.0")


class Settings(WeightsSettings):
    """VGGish."""

    postprocess: Literal["pca-quantised", "none"] = "none"
    """What is done to the network's output. ``pca-quantised`` rotates it by the published PCA,
    clips it to [-2, 2] and quantises it to 0…255, which gives the features of the paper. ``none``
    leaves it as it is, the only choice for random weights.
    """
    pca_weights: FileOrAddress | None = None
    """File or address of the parameters of the PCA, of the PyTorch release (``.pth``) or Google's
    (``vggish_pca_params.npz``). Without it, the published parameters are used.
    """
    pca_sha256: str | None = Field(default=None, pattern=SHA256)
    """SHA-256 that the file of the PCA must have."""

    @model_validator(mode="after")
    def _parameters_are_used(self) -> Settings:
        if self.postprocess == "none" and (self.pca_weights or self.pca_sha256):
            raise ValueError(
                "pca_weights or pca_sha256 is given but postprocess is none, which does not use "
                "them; remove them, or set postprocess to pca-quantised"
            )
        return self

    def local_files(self) -> dict[str, Path]:
        """Returns the files that must be there, that of the PCA among them."""
        files = super().local_files()
        if is_local(self.pca_weights):
            files["pca_weights"] = Path(str(self.pca_weights)).expanduser()
        return files


def spec(settings: Settings) -> Spec:
    """Returns what the network takes."""
    hop_s = EXAMPLE_FRAMES * HOP_SAMPLES / RATE_HZ
    timing = Timing(EXAMPLE_SAMPLES / RATE_HZ, hop_s, RATE_HZ)
    return Spec((EXAMPLE_SAMPLES,), "float64", dim=128, timing=timing)


def published(settings: Settings) -> PublishedWeights:
    """Returns the TensorFlow release converted to PyTorch."""
    return PublishedWeights(
        f"{RELEASE}/vggish-10086976.pth", "Apache 2.0, of the original TensorFlow release"
    )


def pretraining_classes(settings: Settings) -> tuple[str, ...] | None:
    """Returns the classes that the user names.

    There is no list of the labels that VGGish was trained on: some 3,000 machine-generated labels
    of an early YouTube-8M.
    """
    return settings.stated_classes()


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of 15,600 samples, 0.96 s apart, at 16 kHz mono.

    Differs from the published script: sound shorter than one window is padded with silence;
    there it makes the script fail.
    """
    blocks = mono_blocks(clip.path, RATE_HZ, clip.start_s, clip.end_s, limits)
    return sample_windows(blocks, EXAMPLE_SAMPLES, EXAMPLE_FRAMES * HOP_SAMPLES)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the network, with the PCA as buffers where it is used, and what its parameters are.

    The published state dict has the names ``features.N`` and ``embeddings.N``; that of
    ``pytorch_vggish.pth``, which the paper's features were made with, ``features.N`` and ``fc.N``.
    """
    nn = torch.nn
    layers: list[torch.nn.Module] = []
    channels = 1
    for width in (64, 128, (256, 256), (512, 512)):
        for channels_out in width if isinstance(width, tuple) else (width,):
            layers += [nn.Conv2d(channels, channels_out, 3, padding=1), nn.ReLU(inplace=True)]
            channels = channels_out
        layers.append(nn.MaxPool2d(2, stride=2))
    embeddings = nn.Sequential(
        nn.Linear(512 * 4 * 6, 4096), nn.ReLU(inplace=True),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True),
        nn.Linear(4096, 128), nn.ReLU(inplace=True),
    )  # fmt: skip
    network = nn.ModuleDict({"features": nn.Sequential(*layers), "embeddings": embeddings})
    weights = load_weights(
        network,
        settings,
        cache,
        published=published(settings),
        rename=lambda name: f"embeddings.{name[3:]}" if name.startswith("fc.") else name,
        unused=lambda name: name.startswith("pproc."),
    )
    if settings.postprocess == "pca-quantised":
        weights = f"{weights}+{add_pca(network, settings, cache)}"
    return network, weights


def add_pca(network: torch.nn.Module, settings: Settings, cache: Path) -> str:
    """Gives a network the buffers that `quantised` needs; returns the SHA-256 of their file."""
    path, sha256 = obtain_weights(
        settings.pca_weights or PUBLISHED, settings.pca_sha256, cache, PCA
    )
    state = _read_pca(path)
    for name, shape in PCA_SHAPES.items():
        value = state.get(name)
        if value is None or value.numel() != math.prod(shape):
            raise PipelineError(f"weights {path}: has no {name} of shape {shape}")
        network.register_buffer(name, value.float().reshape(shape))
    return sha256


def _read_pca(path: Path) -> dict[str, torch.Tensor]:
    """Returns the parameters of the PCA from the PyTorch release or from Google's ``.npz``."""
    if path.suffix != ".npz":
        return read_state_dict(path)
    arrays = read_npz(path, PCA_SHAPES)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns the features of examples.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, 15600)`` float64 samples.
        num_valid: unused: padding is silence.

    Returns:
        ``(windows, 128)`` float32; 0…255 with ``pca-quantised``.
    """
    embedded = embed_log_mel(network, log_mel(data))
    return quantised(network, embedded) if settings.postprocess == "pca-quantised" else embedded


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Returns ``(windows, frames, 64)``, the natural logarithm of mel-band magnitudes + 0.01.

    Frames of 25 ms every 10 ms without padding, periodic Hann window, magnitude (not power)
    spectrum. As many frames as fit into ``samples``, ``(windows, samples)``.
    """
    double = torch.float64  # in float32 the bands beside a pure tone are off by up to 5e-4
    window = torch.hann_window(FRAME_SAMPLES, periodic=True, device=samples.device, dtype=double)
    frames = samples.unfold(-1, FRAME_SAMPLES, HOP_SAMPLES) * window
    spectrum = torch.fft.rfft(frames, FFT_SIZE)
    real, imaginary = spectrum.real, spectrum.imag
    # A third of the time of `abs`, which guards against numbers whose squares float64 cannot hold.
    magnitudes = torch.addcmul(real * real, imaginary, imaginary).sqrt_()
    # Bands by frames: MKL takes half as long for that as for frames by bands.
    mel = [weights @ magnitudes[..., part].mT for part, weights in _mel_bands(samples.device)]
    return torch.cat(mel, dim=-2).add_(LOG_OFFSET).log_().float().mT.contiguous()


def embed_log_mel(network: torch.nn.Module, examples: torch.Tensor) -> torch.Tensor:
    """Returns ``(windows, 128)`` from ``(windows, 96, 64)``: the network without postprocessing."""
    assert isinstance(network, torch.nn.ModuleDict)
    dtype = network.get_parameter("embeddings.0.weight").dtype
    maps = network["features"](examples[:, None].to(dtype))
    # TensorFlow, where the weights come from, flattens (height, width, channel).
    flat = maps.permute(0, 2, 3, 1).flatten(1)
    embedded: torch.Tensor = network["embeddings"](flat)
    return embedded.float()


def quantised(network: torch.nn.Module, embedded: torch.Tensor) -> torch.Tensor:
    """Returns the published postprocessing of ``(windows, 128)``: whole numbers 0…255."""
    rotated = (embedded - network.get_buffer("pca_means")) @ network.get_buffer(
        "pca_eigen_vectors"
    ).T
    scaled = (rotated.clamp(-PCA_CLIP, PCA_CLIP) + PCA_CLIP) * (255.0 / (2 * PCA_CLIP))
    return scaled.to(torch.uint8).float()


@functools.lru_cache(maxsize=8)
def _mel_bands(device: torch.device) -> list[tuple[slice, torch.Tensor]]:
    """Returns `mel_matrix` as float64 on a device; see `nn.constants` for why it stays there.

    Most of it is zeros: of some bands together, the frequencies that are in them, and the weights
    ``(bands, frequencies)``.
    """
    parts = []
    with torch.inference_mode(False):
        for bands in np.split(mel_matrix(), NUM_BANDS // GROUPED_BANDS, axis=1):
            rows = np.flatnonzero(bands.any(axis=1))
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            weights = np.ascontiguousarray(bands[part].T, np.float64)
            parts.append((part, torch.from_numpy(weights).to(device)))
    return parts


@functools.cache
def mel_matrix() -> np.ndarray:
    """Returns ``(257, 64)`` float32: the weight of each frequency in each mel band.

    VGGish's triangles are straight in mel, between edges that are equally far apart in mel;
    librosa's and torchaudio's own filter banks are straight in Hz, off by up to 0.013.
    """
    frequencies = hz_to_mel(np.linspace(0.0, RATE_HZ / 2, FFT_SIZE // 2 + 1))
    low, high = hz_to_mel(np.array([MIN_HZ, MAX_HZ]))
    edges = np.linspace(low, high, NUM_BANDS + 2)
    rising = (frequencies[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies[:, None]) / (edges[2:] - edges[1:-1])
    matrix: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    matrix[0] = 0.0  # the constant part of the signal is left out
    return matrix.astype(np.float32)
