"""Resampling of streams by torchaudio, beside torchaudio on the whole signal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio

from avca_pipeline.media import resample
from avca_pipeline.media.resample import KAISER_BEST, resampled_by_torchaudio


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(44_100, 48_000), (48_000, 16_000), (8_000, 48_000), (22_050, 16_000), (96_000, 44_100)],
)
@pytest.mark.parametrize("num_blocks", [1, 7])
def test_a_stream_becomes_what_the_whole_signal_becomes(
    from_hz: int, to_hz: int, num_blocks: int
) -> None:
    signal = np.random.default_rng(0).standard_normal(round(7.3 * from_hz))
    blocks = iter(np.array_split(signal, num_blocks))
    found = np.concatenate(list(resampled_by_torchaudio(blocks, from_hz, to_hz)))
    whole = torchaudio.functional.resample(
        torch.from_numpy(signal), from_hz, to_hz, **KAISER_BEST
    ).numpy()
    assert len(whole) - 1 <= len(found) <= len(whole)
    np.testing.assert_allclose(found, whole[: len(found)], rtol=0, atol=1e-12)


def test_a_tone_keeps_its_pitch_and_strength() -> None:
    time = {rate: np.arange(2 * rate) / rate for rate in (44_100, 48_000)}
    tone = {rate: np.sin(2 * np.pi * 1000 * seconds) for rate, seconds in time.items()}
    blocks = iter(np.array_split(tone[44_100], 5))
    found = np.concatenate(list(resampled_by_torchaudio(blocks, 44_100, 48_000)))
    inner = slice(4800, -4800)
    np.testing.assert_allclose(found[inner], tone[48_000][inner], rtol=0, atol=1e-4)


def test_odd_rates_and_the_same_rate_work() -> None:
    signal = np.random.default_rng(0).standard_normal(44_099)
    same = np.concatenate(list(resampled_by_torchaudio(iter([signal]), 44_099, 44_099)))
    np.testing.assert_array_equal(same, signal)
    odd = np.concatenate(list(resampled_by_torchaudio(iter([signal]), 44_099, 48_000)))
    assert abs(len(odd) - 48_000) <= 1


@pytest.mark.parametrize("from_hz", [44_100, 22_050, 11_025, 48_000, 24_000, 8_000])
def test_every_weight_of_the_kernel_counts(from_hz: int) -> None:
    up, down = resample._ratio(from_hz, 16_000)
    kernel, reach = resample._kernel(up, down), resample._reach(up, down)
    signal = np.random.default_rng(0).standard_normal(50 * down)
    padded = np.pad(signal, reach)
    inputs = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1])[::down]
    found = np.concatenate(list(resample.resampled(iter([signal]), from_hz, 16_000)))
    np.testing.assert_allclose(found, (inputs @ kernel.T).reshape(-1), rtol=0, atol=1e-14)
