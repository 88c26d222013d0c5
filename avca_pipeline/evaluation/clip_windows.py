"""Clips over time: which windows of a features file are theirs, read a batch at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import feature_windows
from avca_pipeline.artifacts.feature_windows import StoredWindows, WindowsInMemory
from avca_pipeline.models import ModelSettings, Windows
from avca_pipeline.runtime.lazy import torch


def _unchanged(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True)
class ClipWindows:
    """The windows of some clips, in a file or in memory.

    Attributes:
        stored: the file, or what stands for one.
        rows: ``(clips,)``, where the clips are in it.
        scale: what is done to ``(windows, dim)``.
        device: where windows go to once they are read.
    """

    stored: StoredWindows | WindowsInMemory
    rows: np.ndarray
    scale: Callable[[np.ndarray], np.ndarray] = _unchanged
    device: str = "cpu"

    def only(self, clips: np.ndarray) -> ClipWindows:
        """Returns those of the clips with these numbers."""
        return replace(self, rows=self.rows[clips])

    def read(self, clips: torch.Tensor) -> Windows:
        """Returns the windows of the clips with these numbers, on the device.

        Args:
            clips: ``(batch,)`` on the CPU; a clip may be asked for more than once.
        """
        rows = self.rows[clips.numpy()]
        found = self.stored.read(rows)
        return Windows(
            torch.from_numpy(self.scale(found.values)).to(self.device),
            torch.from_numpy(found.starts_s).to(self.device),
            torch.from_numpy(self.stored.lengths[rows]),
            self.stored.hop_s,
        )


@contextlib.contextmanager
def opened(
    settings: ModelSettings, paths: Mapping[str, Path]
) -> Iterator[dict[str, StoredWindows]]:
    """Yields the windows of features files for a method over time, nothing for others.

    Args:
        settings: of the method.
        paths: modality to its features, which have been read and so are known to be whole.

    Raises:
        FormatError: windows were not kept.
    """
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(feature_windows.opened(path))
            for name, path in (paths.items() if settings.over_time else ())
        }
