"""How TCaF cuts and pads clips, against what the published code made of clips of known lengths.

Lengths, seeds and times are read from the files.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avca_pipeline.models import Windows, tcaf
from avca_pipeline.models._sequences import Cuts, cut, padded, whole
from tests.conftest import shared_folder, shared_path

FILE = "tcaf_collator.npz"
Stored = dict[str, np.ndarray]
PUBLISHED = tcaf.Settings(multiplies_hops=True)


@pytest.fixture(scope="module")
def stored() -> Stored:
    with np.load(shared_folder("reference", FILE)) as file:
        return dict(file)


def names() -> list[str]:
    path = shared_path("reference", FILE)
    if not path.exists():
        return ["absent"]
    with np.load(path) as file:
        return [str(name) for name in file["cases"]]


def windows(lengths: list[int], hop_s: float) -> Windows:
    """Returns clips whose windows have their own number, from 1, as their one value."""
    number = np.concatenate([np.arange(length) for length in lengths])
    return Windows(
        torch.from_numpy(number + 1.0)[:, None],
        torch.from_numpy(number * hop_s),
        torch.tensor(lengths),
        hop_s,
    )


class Collator:
    """One setting of the published collator."""

    def __init__(self, stored: Stored, setting: str) -> None:
        rows = stored[f"{setting}/together/rows"]
        columns = {str(name): rows[:, i] for i, name in enumerate(stored["row_columns"])}
        is_fixed = "fixed" in setting
        self.length = int(columns["video_length"][0]) if is_fixed else 0
        self.is_random = setting.endswith("train")
        self.hops = {
            modality: float(stored[f"{setting}/together/{modality}_seconds"][1])
            for modality in ("video", "audio")
        }

    def cuts(self, pairs: list[tuple[int, int]]) -> tuple[dict[str, Windows], dict[str, Cuts]]:
        video, audio = (list(lengths) for lengths in zip(*pairs, strict=True))
        clips = {
            "video": windows(video, self.hops["video"]),
            "audio": windows(audio, self.hops["audio"]),
        }
        if not self.length:
            return clips, {modality: whole(each.lengths) for modality, each in clips.items()}
        return clips, cut(
            clips["video"], clips["audio"], self.length,
            at_random=self.is_random, multiplies_hops=True,
        )  # fmt: skip


def rows_of(pairs: list[tuple[int, int]], cuts: dict[str, Cuts]) -> np.ndarray:
    """Returns what the file has of a batch, a row for each clip."""
    video, audio = cuts["video"], cuts["audio"]
    size = len(pairs)
    return np.column_stack(
        [
            np.array(pairs),
            np.full(size, video.length), np.full(size, audio.length),
            video.starts, audio.starts, video.counts, audio.counts,
        ]
    )  # fmt: skip


COLUMNS = [
    "video_windows", "audio_windows", "video_length", "audio_length", "video_start", "audio_start",
    "video_real", "audio_real",
]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_lengths_starts_masks_and_times(stored: Stored, name: str) -> None:
    assert [str(column) for column in stored["row_columns"]] == COLUMNS
    setting, how = name.split("/")
    collator = Collator(stored, setting)
    pairs = [(int(video), int(audio)) for video, audio in stored["pairs_video_audio"]]
    torch.manual_seed(int(stored[f"{name}/manual_seed"]))
    if how == "each":
        rows = [rows_of([pair], collator.cuts([pair])[1]) for pair in pairs]
        np.testing.assert_array_equal(np.concatenate(rows), stored[f"{name}/rows"])
        return
    clips, cuts = collator.cuts(pairs)
    np.testing.assert_array_equal(rows_of(pairs, cuts), stored[f"{name}/rows"])
    for modality, each in clips.items():
        sequences = padded(each, cuts[modality])
        mask = stored[f"{name}/{modality}_mask"].astype(bool)
        np.testing.assert_array_equal(sequences.is_real, mask)
        times = np.where(mask, stored[f"{name}/{modality}_seconds"], 0)
        np.testing.assert_array_equal(sequences.times_s, times)
        numbers = cuts[modality].starts[:, None].numpy() + np.arange(mask.shape[1]) + 1
        np.testing.assert_array_equal(sequences.values[..., 0], np.where(mask, numbers, 0))
        np.testing.assert_array_equal(sequences.rows, np.flatnonzero(mask))


def test_starts_that_are_drawn(stored: Stored) -> None:
    collator = Collator(stored, "fixed_train")
    video, audio = (int(length) for length in stored["start_range/clip_video_audio"])
    expected = stored["start_range/starts"]
    torch.manual_seed(int(stored["fixed_train/each/manual_seed"]))
    drawn = []
    for _ in expected:
        _, cuts = collator.cuts([(video, audio)])
        drawn.append([int(cuts["video"].starts[0]), int(cuts["audio"].starts[0])])
    for ours, theirs in zip(np.transpose(drawn), expected.T, strict=True):
        assert set(ours) == set(theirs)
