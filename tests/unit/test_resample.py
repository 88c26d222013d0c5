"""Resampling of streams by torchaudio, beside torchaudio on the whole signal."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchaudio

from avca_pipeline.media import resample
from avca_pipeline.media.resample import KAISER_BEST, resampled, resampled_by_torchaudio


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
    found = np.concatenate(list(resampled(iter([signal]), from_hz, 16_000)))
    np.testing.assert_allclose(found, (inputs @ kernel.T).reshape(-1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("from_hz", [44_100, 48_000, 8_000, 192_000, 11_005])
@pytest.mark.parametrize("resampler", [resampled, resampled_by_torchaudio])
def test_where_a_stream_is_cut_does_not_change_a_bit(
    resampler: resample.Resampler, from_hz: int
) -> None:
    """Of 11,005 Hz, the samples that one product stands for last 3.2 s."""
    signal = np.random.default_rng(0).standard_normal(round(7.3 * from_hz))
    whole = np.concatenate(list(resampler(iter([signal]), from_hz, 16_000)))
    for length in (777, from_hz // 2, 3 * from_hz + 1):
        blocks = iter(np.split(signal, range(length, len(signal), length)))
        found = np.concatenate(list(resampler(blocks, from_hz, 16_000)))
        np.testing.assert_array_equal(found, whole)


COUNT_THREADS = """
import os
import numpy as np
from avca_pipeline.media.resample import resampled
for rate in (44_100, 48_000, 192_000):
    child = os.fork()  # which has none of the threads of its parent, as a decode worker
    if not child:
        list(resampled(iter([np.ones(3 * rate)]), rate, 16_000))
        os._exit(len(os.listdir("/proc/self/task")))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
"""


def test_no_threads_are_started_for_products() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "4"}
    command = [sys.executable, "-c", COUNT_THREADS]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert found.stdout == "1 1 1 "


@pytest.mark.parametrize("way", [resampled, resampled_by_torchaudio])
def test_a_low_rate_needs_no_large_matrix(way: resample.Resampler) -> None:
    """As a damaged header may say it: at 1 Hz the matrix would take gigabytes."""
    for cache in (resample._convolution, resample._convolution_of_torchaudio):
        cache.cache_clear()
    for from_hz in (1, 2, 3, 7):
        found = np.concatenate(list(way(iter([np.ones(10)]), from_hz, 48_000)))
        assert len(found) == pytest.approx(10 * 48_000 / from_hz, rel=0.01)
    assert not resample._convolution.cache_info().currsize
    assert not resample._convolution_of_torchaudio.cache_info().currsize


@pytest.mark.parametrize("from_hz", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_usual_rates_have_a_matrix(from_hz: int) -> None:
    up, down = resample._ratio(from_hz, 16_000)
    assert resample._fits(up, down, resample._reach(up, down))
