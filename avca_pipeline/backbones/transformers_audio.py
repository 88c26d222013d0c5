"""Any audio network of the families CLAP, AST and PE-AV.

CLAP and PE-AV have a text tower beside, whose vectors ``transformers_text`` gives. Windows stand
side by side and the last one ends with the clip: nothing is left out, nothing chosen at random.
torchaudio resamples. Spectrograms of CLAP are made by torchaudio on the device, with the filters of
librosa, a batch at a time; those of AST by torchaudio in the decode workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from avca_pipeline.backbones import MediaSegment, Modality, Spec, Timing, defaults
from avca_pipeline.media import Limits
from avca_pipeline.media.audio import mono_blocks
from avca_pipeline.media.resample import resampled_by_torchaudio
from avca_pipeline.media.windows import Window, covering_windows
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.families import Task
from avca_pipeline.transformer_models.loading import build as build_tower
from avca_pipeline.transformer_models.settings import EncoderSettings, tower_of
from avca_pipeline.transformer_models.sound import Sound, sound

CITATIONS = ("wolf2020transformers",)
MODALITY: Modality = "audio"
BATCH_WINDOWS = {"cpu": 4, "cuda": 32}  # of 10 s at 48 kHz
published = defaults.published
pretraining_classes = defaults.pretraining_classes


class Settings(EncoderSettings):
    """An audio tower of the library transformers. Needs the extra ``transformers``."""

    TASK: ClassVar[Task] = "audio"

    window_s: float | None = Field(default=None, gt=0, le=60)
    """Length of a window in seconds. Without it, a window is as long as the model takes: 10 s for
    CLAP and PE-AV, 10.24 s for AST.
    """


def spec(settings: Settings) -> Spec:
    """Returns what the chosen network takes."""
    prepare = _sound(settings)
    timing = Timing.side_by_side(prepare.num_samples, prepare.rate_hz)
    return Spec(prepare.shape, "float32", timing=timing)


def windows(settings: Settings, clip: MediaSegment, limits: Limits) -> Iterator[Window]:
    """Yields windows of sound, float32, time first: samples, or for AST filter banks."""
    prepare = _sound(settings)
    blocks = mono_blocks(
        clip.path,
        prepare.rate_hz,
        clip.start_s,
        clip.end_s,
        limits,
        resample=resampled_by_torchaudio,
    )
    for window in covering_windows(blocks, prepare.num_samples):
        yield Window(*prepare.prepared(window.data[: window.num_valid]), window.start)


def build(settings: Settings, cache: Path) -> tuple[torch.nn.Module, str]:
    """Returns the audio tower and what its parameters are."""
    return build_tower(settings.folder, tower_of(settings, "audio"), settings)


def encode(
    settings: Settings, network: torch.nn.Module, data: torch.Tensor, num_valid: torch.Tensor
) -> torch.Tensor:
    """Returns ``(windows, dim)`` float32, of length 1 where the texts' vectors are so.

    Args:
        settings: of this backbone.
        network: from `build`.
        data: ``(windows, time, …)`` float32.
        num_valid: ``(windows,)``, of which PE-AV makes a mask.
    """
    position = torch.arange(data.shape[1], device=data.device)
    is_valid = position < num_valid[:, None].clamp(min=1)
    inputs = _sound(settings).spectrograms(data)
    return tower_of(settings, "audio").encode(network, inputs, is_valid)


def _sound(settings: Settings) -> Sound:
    return sound(settings.folder, tower_of(settings, "audio").processor, settings.window_s)
