"""Sound as a model's processor prepares it: windows one by one, spectrograms in batches.

Windows are cut here. CLAP's processor, given more than a window, takes a piece of it at random.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from avca_pipeline.errors import PipelineError
from avca_pipeline.media.filters import librosa_filters
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.loading import processor
from avca_pipeline.transformer_models.stated_numbers import whole_number

LEAST_RATE_HZ = 1000
"""Least rate: filter banks move by a hundredth of a second, which must hold samples."""


class Sound(ABC):
    """What a model's processor does to a window of sound.

    Attributes:
        rate_hz: samples in a second.
        num_samples: in a window.
        shape: of a prepared window, time first.
    """

    NUMBERS: ClassVar[tuple[str, ...]]
    """What the settings of the library's class must state, as whole numbers."""

    rate_hz: int
    num_samples: int
    shape: tuple[int, ...]

    @abstractmethod
    def prepared(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns a prepared window, float32, and how much of it along time is real.

        Args:
            samples: ``(samples,)`` in [-1, 1], at most a window.
        """

    def spectrograms(self, windows: torch.Tensor) -> torch.Tensor:
        """Returns what the network is given of ``(windows, time, …)`` prepared windows."""
        return windows


class Clap(Sound):
    """Samples, of which log-mel spectrograms ``(frames, 1 or 4, bands)`` are made on the device.

    Shorter sound is repeated, as in training.
    """

    NUMBERS = ("nb_max_samples", "hop_length", "feature_size", "fft_window_size")
    AMIN = 1e-10
    """Power below which nothing is heard."""

    def __init__(self, extractor: Any, window_s: float | None) -> None:
        self._extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)
        most = int(extractor.nb_max_samples)
        self.num_samples = _num_samples(window_s, self.rate_hz, most)
        self.shape = (most,)

    def prepared(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns the samples of a window, repeated or with silence behind them."""
        (most,), num_valid = self.shape, len(samples)
        window = np.zeros(most, np.float32)
        if self._extractor.padding == "repeat":
            window[:] = np.resize(samples, most)
        else:
            times = most // num_valid if self._extractor.padding == "repeatpad" else 1
            window[: times * num_valid] = np.tile(samples, times)
        return window, num_valid if num_valid < self.num_samples else most

    def spectrograms(self, windows: torch.Tensor) -> torch.Tensor:
        """Returns ``(windows, frames, 1 or 4, bands)`` float32, in dB."""
        from torchaudio.functional import amplitude_to_DB, spectrogram

        given = self._extractor
        size, is_fused = int(given.fft_window_size), given.truncation == "fusion"
        # In single precision the bands beside a loud tone are off by more than 1e-5.
        hann = torch.hann_window(size, dtype=torch.float64, device=windows.device)
        hop = int(given.hop_length)
        power = spectrogram(windows.double(), 0, hann, size, hop, size, 2.0, normalized=False)
        band_hz = (float(given.frequency_min), float(given.frequency_max))
        bands = _mel_bands(
            self.rate_hz, size, int(given.feature_size), band_hz, is_fused, windows.device
        )
        mel = power.transpose(1, 2) @ bands
        decibels: torch.Tensor = amplitude_to_DB(mel, 10.0, self.AMIN, 0.0).float()
        return decibels[:, :, None].expand(-1, -1, 4 if is_fused else 1, -1)


class Ast(Sound):
    """Filter banks of Kaldi ``(frames, bands)``, made by torchaudio."""

    NUMBERS = ("max_length", "num_mel_bins")

    def __init__(self, extractor: Any, window_s: float | None) -> None:
        self._extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)
        self._frame, self._hop = round(0.025 * self.rate_hz), round(0.01 * self.rate_hz)
        most = (extractor.max_length - 1) * self._hop + self._frame
        self.num_samples = _num_samples(window_s, self.rate_hz, most)
        self.shape = (int(extractor.max_length), int(extractor.num_mel_bins))

    def prepared(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns the filter banks of a window."""
        long_enough = np.pad(samples, (0, max(0, self._frame - len(samples))))
        values = self._extractor([long_enough], sampling_rate=self.rate_hz)["input_values"][0]
        num_valid = 1 + (len(long_enough) - self._frame) // self._hop
        return np.asarray(values, np.float32), min(num_valid, self.shape[0])


class PeAudio(Sound):
    """The samples themselves ``(samples,)``; what fills up the last hop is their reflection."""

    NUMBERS = ("hop_length",)
    DEFAULT_S = 10.0

    def __init__(self, extractor: Any, window_s: float | None) -> None:
        self._extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)
        hop = int(extractor.hop_length)
        asked = round((window_s or self.DEFAULT_S) * self.rate_hz)
        self.num_samples = max(1, asked // hop) * hop
        self.shape = (self.num_samples,)

    def prepared(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns the samples of a window, with zeros behind them."""
        values = self._extractor([samples], sampling_rate=self.rate_hz)["input_values"][0]
        filled = np.asarray(values, np.float32).reshape(-1)
        return np.pad(filled, (0, self.num_samples - len(filled))), len(filled)


KINDS = {
    "ClapFeatureExtractor": Clap,
    "ASTFeatureExtractor": Ast,
    "PeAudioFeatureExtractor": PeAudio,
}


def sound(folder: Path, name: str, window_s: float | None) -> Sound:
    """Returns what prepares sound for a model.

    Args:
        folder: with the model's files.
        name: of the library's class.
        window_s: how long a window is; as long as the model takes unless given.

    Raises:
        PipelineError: the settings are damaged, or a window is longer than the model takes.
    """
    kind: Any = KINDS[name]
    extractor = processor(folder, name)
    rate_hz = getattr(extractor, "sampling_rate", None)
    whole_number(folder, "sampling_rate", rate_hz, least=LEAST_RATE_HZ)
    for key in kind.NUMBERS:
        whole_number(folder, key, getattr(extractor, key, None))
    built: Sound = kind(extractor, window_s)
    return built


def _num_samples(window_s: float | None, rate_hz: int, most: int) -> int:
    asked = most if window_s is None else round(window_s * rate_hz)
    if asked > most:
        raise PipelineError(
            f"window_s: {window_s:g} is more than the {most / rate_hz:g} s that the model takes"
        )
    return max(1, asked)


@functools.lru_cache(maxsize=8)
def _mel_bands(
    rate_hz: int, fft_size: int, num_bands: int, band_hz: tuple[float, float], is_fused: bool,
    device: torch.device,
) -> torch.Tensor:  # fmt: skip
    """Returns ``(frequencies, bands)`` float64 on a device; see `nn.constants` why it stays there.

    CLAP was trained with HTK's scale where it fuses four spectrograms, else with Slaney's.
    """
    scale = {"htk": True, "norm": None} if is_fused else {"htk": False, "norm": "slaney"}
    low, high = band_hz
    bands = librosa_filters().mel(
        sr=rate_hz, n_fft=fft_size, n_mels=num_bands, fmin=low, fmax=high, dtype=np.float64, **scale
    )
    with torch.inference_mode(False):
        return torch.from_numpy(np.ascontiguousarray(bands.T)).to(device)
