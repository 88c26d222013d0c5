"""Sound as a model's processor prepares it, a window at a time.

Windows are cut here. CLAP's processor, given more than a window, takes a piece of it at random.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from avca_pipeline.errors import PipelineError
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


class Clap(Sound):
    """Mel spectrograms ``(frames, 1 or 4, bands)``; shorter sound is repeated, as in training."""

    NUMBERS = ("nb_max_samples", "hop_length", "feature_size")

    def __init__(self, extractor: Any, window_s: float | None) -> None:
        self._extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)
        most = int(extractor.nb_max_samples)
        self.num_samples = _num_samples(window_s, self.rate_hz, most)
        num_copies = 4 if extractor.truncation == "fusion" else 1
        num_frames = most // extractor.hop_length + 1
        self.shape = (num_frames, num_copies, int(extractor.feature_size))

    def prepared(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns the mel spectrogram of a window."""
        features = self._extractor([samples], sampling_rate=self.rate_hz)["input_features"][0]
        num_valid = math.ceil(len(samples) / self._extractor.hop_length)
        mel = np.asarray(features, np.float32).swapaxes(0, 1)
        return mel, len(mel) if len(samples) >= self.num_samples else min(num_valid, len(mel))


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
