"""Clips of different lengths as one batch: which windows are used, and padding to one length."""

from __future__ import annotations

import math
from dataclasses import dataclass

from avca_pipeline.errors import PipelineError
from avca_pipeline.models import Windows
from avca_pipeline.runtime.lazy import torch


@dataclass(frozen=True)
class Cuts:
    """Which windows of the clips of a batch are used, of one modality; on the CPU.

    Attributes:
        starts: ``(clips,)``, number of the first window that is used.
        counts: ``(clips,)``, how many windows are used.
        length: to how many windows the clips are padded.
    """

    starts: torch.Tensor
    counts: torch.Tensor
    length: int


@dataclass(frozen=True)
class Sequences:
    """Clips of a batch, padded to one length, of one modality.

    Attributes:
        values: ``(clips, length, dim)``, zero where padded.
        times_s: ``(clips, length)`` float64, seconds from the first window that is used.
        is_real: ``(clips, length)``, false where padded.
        rows: ``(windows,)``, where the windows are among all ``clips * length``.
    """

    values: torch.Tensor
    times_s: torch.Tensor
    is_real: torch.Tensor
    rows: torch.Tensor


def whole(lengths: torch.Tensor) -> Cuts:
    """Returns all windows of all clips, padded to the longest clip."""
    return Cuts(torch.zeros_like(lengths), lengths, int(lengths.max()))


def cut(
    video: Windows, audio: Windows, length: int, *, at_random: bool, multiplies_hops: bool
) -> dict[str, Cuts]:
    """Returns which windows to use so that no clip is longer than ``length``, by modality.

    Video is cut at random or to its middle, and audio to what is beside it. As published, the last
    possible start is never drawn, and if only the audio is too long, its first windows are used.
    Each clip whose video is cut draws once from torch's global random state, in order.

    Args:
        video: windows of all clips.
        audio: windows of the same clips.
        length: of the video, in windows; shorter clips are padded to it.
        at_random: whether to draw where a clip is cut.
        multiplies_hops: the published mistake in how many windows of audio are as long as the
            video: 37 of 0.96 s for 60 of 0.64 s in the place of 40.

    Raises:
        PipelineError: it is not known how far apart windows are.
    """
    if math.isnan(video.hop_s + audio.hop_s):
        raise PipelineError(
            "train_windows and scored_windows cut clips to one length, but windows of these "
            "features are not equally far apart; set both to 0"
        )
    seconds = length * video.hop_s
    audio_length = round(seconds * audio.hop_s if multiplies_hops else seconds / audio.hop_s)
    starts, audio_starts = torch.zeros_like(video.lengths), torch.zeros_like(audio.lengths)
    for clip in torch.nonzero(video.lengths > length).flatten().tolist():
        spare = int(video.lengths[clip]) - length
        start = int(torch.randint(spare, (1,))) if at_random else spare // 2
        latest = max(int(audio.lengths[clip]) - audio_length, 0)
        starts[clip] = start
        audio_starts[clip] = min(latest, round(start * video.hop_s / audio.hop_s))
    return {
        "video": Cuts(starts, video.lengths.clamp(max=length), length),
        "audio": Cuts(audio_starts, audio.lengths.clamp(max=audio_length), audio_length),
    }


def padded(windows: Windows, cuts: Cuts) -> Sequences:
    """Returns the windows that are used, as ``(clips, length)``.

    As published, time begins at the first window that is used.
    """
    number = torch.arange(cuts.length)
    is_real = number < cuts.counts[:, None]
    first = (windows.lengths.cumsum(0) - windows.lengths)[:, None]
    # What is padded reads the first window of its clip; `masked_fill` takes that away again.
    row = torch.where(is_real, first + cuts.starts[:, None] + number, first)
    row_of_time = torch.where(is_real, first + number, first)
    device = windows.values.device
    row, row_of_time, real = row.to(device), row_of_time.to(device), is_real.to(device)
    return Sequences(
        values=windows.values[row].masked_fill(~real[..., None], 0),
        times_s=windows.starts_s[row_of_time].masked_fill(~real, 0),
        is_real=real,
        rows=torch.nonzero(is_real.flatten()).flatten().to(device),
    )
