"""What tests of clips over time have in common."""

from __future__ import annotations

from collections import Counter
from typing import Any

import h5py
import numpy as np
import pytest

from avca_pipeline.artifacts.features import Features


def of_clip(made: Features, clip: str) -> tuple[list[list[float]], list[float]]:
    assert made.windows is not None
    row = list(made.clip_ids).index(clip)
    begin, count = int(made.num_windows[:row].sum()), int(made.num_windows[row])
    return (
        made.windows.values[begin : begin + count].tolist(),
        made.windows.starts_s[begin : begin + count].tolist(),
    )


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Returns how many rows of each dataset of HDF5 are read from now on, by its name."""
    num_read: dict[str, int] = Counter()
    plain = h5py.Dataset.__getitem__

    def read(dataset: h5py.Dataset, *arguments: Any) -> Any:
        found = plain(dataset, *arguments)
        name = dataset.name.rpartition("/")[2]
        num_read[name] += np.size(found, 0) if np.ndim(found) else 1
        return found

    monkeypatch.setattr(h5py.Dataset, "__getitem__", read)
    return num_read
