"""The plain loop for TCaF, whose clips are windows over time, and windows to measure it with.

As in the published code, all windows are in memory, each clip of a batch is padded by itself to the
longest one, and so is a clip of another class, which nothing uses.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import torch

from avca_pipeline.artifacts import feature_windows
from avca_pipeline.artifacts.feature_windows import FeatureWindows, StoredWindows
from avca_pipeline.evaluation.clip_windows import ClipWindows
from avca_pipeline.evaluation.labelled_clips import LabelledClips
from avca_pipeline.models import tcaf
from avca_pipeline.models._sequences import Sequences
from avca_pipeline.models._tcaf_network import attended
from tests.benchmarks.plain_loop import PlainLoop, loader

HOPS = {"video": 0.64, "audio": 0.96}
"""Seconds from one window to the next, of C3D and of VGGish."""
NUM_STORED = 512
"""Number of clips whose windows are in the file; the clips share them."""


def with_windows(data: LabelledClips, folder: Path) -> LabelledClips:
    """Returns the clips with drawn windows in a file: 4 to 16 of video, and the audio beside it."""
    generator = np.random.default_rng(1)
    of_video = generator.integers(4, 17, NUM_STORED)
    lengths = {"video": of_video, "audio": (of_video * HOPS["video"] // HOPS["audio"]).astype(int)}
    windows = {}
    for modality, of_clips in lengths.items():
        number = np.concatenate([np.arange(length) for length in of_clips])
        width, path = getattr(data, modality).shape[1], folder / f"{modality}.h5"
        values = generator.random((len(number), width), np.float32)
        if modality == "audio":
            values *= 255
        with h5py.File(path, "w") as file:
            file.attrs.update(window_s=HOPS[modality], hop_s=HOPS[modality])
            file["clip_id"] = data.clip_ids[:NUM_STORED]
            # One part, from the first clip on.
            parts = [(0, FeatureWindows(values, number * HOPS[modality]))]
            feature_windows.write(file, of_clips, width, parts)
        stored = StoredWindows(path, h5py.File(path, "r"))
        windows[modality] = ClipWindows(stored, np.arange(len(data.clip_ids)) % NUM_STORED)
    return replace(data, windows=windows)


@dataclass(frozen=True)
class PaddedBatch:
    """Clips that the loader has padded, with the same names as a `BatchOverTime` where it can."""

    clips: dict[str, Sequences]
    text: torch.Tensor
    class_text: torch.Tensor
    text_row: torch.Tensor
    rows: torch.Tensor


class PlainLoopOverTime(PlainLoop):
    """The loop of TCaF."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        in_memory = {name: _in_memory(windows) for name, windows in self.data.windows.items()}
        self.hops = {name: windows.stored.hop_s for name, windows in self.data.windows.items()}
        # Lists of ``(windows, dim)`` in the place of ``(clips, dim)``.
        self.over_time = replace(self.data, **cast("dict[str, Any]", in_memory))

    def batches(self, rows: np.ndarray) -> Iterator[PaddedBatch]:
        """Yields as many batches of these clips as there are steps."""
        collate = functools.partial(_collated, hops=self.hops)
        batches = loader(self.over_time, rows, self.steps, self.settings.batch_size, collate)
        for clips, text, row in batches:
            own = {name: _moved(each, self.device) for name, each in clips.items()}
            text_row = self.text_row(row)
            yield PaddedBatch(own, text.to(self.device), self.class_text, text_row, row)

    def losses(self, batch: PaddedBatch) -> dict[str, torch.Tensor]:
        """Returns the loss terms of a batch, and their ``total``."""
        return tcaf.losses(self.settings, self.network, cast("Any", batch), batch.clips)

    def embed(self, batch: PaddedBatch) -> None:
        """Embeds a batch; only the statistics of the batch norms remember it."""
        in_seconds = self.settings.scores_with_time_stamps
        tokens = attended(self.settings, self.network, batch.clips, in_seconds=in_seconds)
        self.network["clip_projection"](tokens[:, 0])
        self.network["text_projection"](batch.text)


def _in_memory(windows: ClipWindows) -> list[np.ndarray]:
    """Returns ``(windows, dim)`` of each clip."""
    lengths = windows.stored.lengths
    values = windows.stored.read(range(len(lengths))).values
    stored = np.split(values, np.cumsum(lengths)[:-1])
    return [stored[row] for row in windows.rows]


def _collated(
    triplets: list[tuple[torch.Tensor, ...]], hops: dict[str, float]
) -> tuple[dict[str, Sequences], torch.Tensor, torch.Tensor]:
    """Returns padded clips by modality, their text embeddings and their rows."""
    video, audio, text, other_video, other_audio, _, rows = zip(*triplets, strict=True)
    clips = {"audio": _padded(audio, hops["audio"]), "video": _padded(video, hops["video"])}
    _padded(other_audio, hops["audio"])
    _padded(other_video, hops["video"])
    return clips, torch.stack(text), torch.stack(rows)


def _padded(clips: tuple[torch.Tensor, ...], hop_s: float) -> Sequences:
    lengths = torch.tensor([len(clip) for clip in clips])
    number = torch.arange(int(lengths.max()))
    rest = (len(number) - lengths).tolist()
    is_real = number < lengths[:, None]
    return Sequences(
        values=torch.stack(
            [torch.nn.functional.pad(clip, (0, 0, 0, missing))
             for clip, missing in zip(clips, rest, strict=True)]
        ),
        times_s=(number.double() * hop_s).expand(len(clips), -1),
        is_real=is_real,
        rows=torch.nonzero(is_real.flatten()).flatten(),
    )  # fmt: skip


def _moved(clips: Sequences, device: torch.device) -> Sequences:
    return Sequences(**{name: tensor.to(device) for name, tensor in vars(clips).items()})
