"""Plugins: frozen encoders of one modality.

A backbone is one file here, or a module that another package registers. `Backbone` says what it
must have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import torch

    from avca_pipeline.fetching.weights import PublishedWeights, WeightsSettings
    from avca_pipeline.media import Limits
    from avca_pipeline.media.windows import Window

Modality: TypeAlias = Literal["video", "audio"]


@dataclass(frozen=True)
class MediaSegment:
    """Where a backbone finds a clip: a file and the stretch of it, in seconds."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Timing:
    """Where the windows of a backbone are in the time of a clip.

    Attributes:
        window_s: length of a window in seconds; NaN where that differs from clip to clip.
        hop_s: seconds from the beginning of a window to that of the next one; NaN likewise. The
            last window may begin earlier, so as to end with its clip.
        rate_hz: how many of what `Window.start` counts are in a second.
    """

    window_s: float
    hop_s: float
    rate_hz: float

    @classmethod
    def side_by_side(cls, length: int, rate_hz: float) -> Timing:
        """Returns the timing of windows that do not overlap.

        Args:
            length: of a window, in frames or samples.
            rate_hz: of the frames or samples.
        """
        return cls(length / rate_hz, length / rate_hz, rate_hz)


@dataclass(frozen=True)
class Spec:
    """What a backbone's network takes.

    Attributes:
        window_shape: of one window, time first.
        window_dtype: NumPy's name for the type of its elements.
        dim: length of the features; ``None`` where only the built network tells.
        timing: of the windows; without it, windows cannot be kept.
    """

    window_shape: tuple[int, ...]
    window_dtype: str
    dim: int | None = None
    timing: Timing | None = None


SettingsT = TypeVar("SettingsT", bound="WeightsSettings")
NetworkT = TypeVar("NetworkT", bound="torch.nn.Module")


class Backbone(Protocol[SettingsT, NetworkT]):
    """What the module of a backbone must have."""

    @property
    def Settings(self) -> type[SettingsT]:
        """The class of the weights and of whatever else changes the backbone's features."""

    @property
    def MODALITY(self) -> Modality:
        """What of a clip the backbone encodes."""

    @property
    def BATCH_WINDOWS(self) -> Mapping[str, int]:
        """How many windows fill a batch on a ``cpu`` and on a GPU, ``cuda``."""

    def spec(self, settings: SettingsT) -> Spec:
        """Returns what the network takes.

        Args:
            settings: settings of the backbone.

        Raises:
            PipelineError: there is no such network.
        """

    def published(self, settings: SettingsT) -> PublishedWeights | None:
        """Returns the weights that ``weights: published`` stands for, if there are any.

        Args:
            settings: settings of the backbone.
        """

    def pretraining_classes(self, settings: SettingsT) -> tuple[str, ...] | None:
        """Returns the classes that the pretraining saw with labels, for the leakage audit.

        Random weights and weights that were trained without labels saw no class: ``()``. ``None``
        means that nobody knows.

        Args:
            settings: settings of the backbone.
        """

    def windows(self, settings: SettingsT, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
        """Yields the network's inputs while a clip is decoded, on one core of the CPU.

        Args:
            settings: settings of the backbone.
            clip: the file, and the stretch of it.
            limits: what a clip may cost.

        Raises:
            MediaError: why the clip has no features.
        """

    def build(self, settings: SettingsT, cache: Path) -> tuple[NetworkT, str]:
        """Returns the network in evaluation mode, and what its parameters are.

        The second is a SHA-256 of the weights, or ``random:<seed>``.

        Args:
            settings: settings of the backbone.
            cache: where downloaded weights are kept.

        Raises:
            PipelineError: the weights are missing, damaged, or those of another network.
        """

    def encode(
        self,
        settings: SettingsT,
        network: NetworkT,
        data: torch.Tensor,
        num_valid: torch.Tensor,
    ) -> torch.Tensor:
        """Returns ``(windows, dim)`` float32, the features of a batch.

        Args:
            settings: settings of the backbone.
            network: from `build`.
            data: ``(windows, *window_shape)``, on the network's device.
            num_valid: ``(windows,)``, how many frames or samples of each window are real; the rest
                of a window, and windows that nobody asked for, hold anything.
        """


AnyBackbone: TypeAlias = "Backbone[WeightsSettings, torch.nn.Module]"
"""A backbone with settings and a network of any type, which only it looks into."""
