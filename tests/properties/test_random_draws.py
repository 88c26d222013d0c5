"""What training draws at random, as distributions: the masks of dropout, and the triplets.

Each bound is six standard deviations of what is measured: a right generator fails one test in half
a billion. Every test draws with a fixed seed, so that it gives the same answer each time.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from avca_pipeline.nn.dropout import Dropout
from avca_pipeline.training.triplets import sampler

SIGMAS = 6.0
CHANCE = 2 * stats.norm.sf(SIGMAS)
"""The probability that a right generator fails one comparison."""

ENTRIES = 2**20
COUNTS = [1, 2, 3, 5, 40, 200, 7, 7]
"""Clips of each class, as unequal as they are in real data."""


def mask(dropout: Dropout, *shape: int) -> np.ndarray:
    """Returns which entries a layer keeps, as zeros and ones."""
    return (dropout(torch.ones(shape)) != 0).double().numpy()


def standardised(kept: np.ndarray) -> np.ndarray:
    """Returns the entries with mean 0 and variance 1."""
    return (kept - kept.mean()) / kept.std()


def assert_unrelated(first: np.ndarray, second: np.ndarray) -> None:
    """Asserts that two masks, flattened, do not correlate at any shift of one against the other."""
    size = first.size
    spectrum = np.fft.rfft(standardised(first).ravel()).conj()
    spectrum = spectrum * np.fft.rfft(standardised(second).ravel())
    correlation = np.fft.irfft(spectrum, size) / size
    # There are as many shifts as entries, so the bound is that of the largest of them.
    assert np.abs(correlation).max() < stats.norm.isf(CHANCE / size) / np.sqrt(size)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3, 0.5, 0.9])
def test_dropout_zeroes_the_share_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(0)
    output = Dropout(share).train()(torch.ones(ENTRIES)).double().numpy()
    spread = np.sqrt(share * (1 - share) / ENTRIES)
    assert abs((output == 0).mean() - share) < SIGMAS * spread + 2**-17
    assert abs(output.mean() - 1) < SIGMAS * spread / (1 - share)
    assert len(np.unique(output)) == 2


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_an_entry_says_nothing_about_another_at_any_distance(share: float) -> None:
    torch.manual_seed(1)
    kept = standardised(mask(Dropout(share).train(), ENTRIES))
    power = np.abs(np.fft.rfft(kept, 2 * ENTRIES)) ** 2
    correlation = np.fft.irfft(power)[1 : ENTRIES // 2] / np.arange(ENTRIES - 1, ENTRIES // 2, -1)
    spread = 1 / np.sqrt(np.arange(ENTRIES - 1, ENTRIES // 2, -1))
    assert (np.abs(correlation) < stats.norm.isf(CHANCE / ENTRIES) * spread).all()


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_neighbours_in_a_row_and_a_column_are_independent(share: float) -> None:
    torch.manual_seed(2)
    kept = mask(Dropout(share).train(), 4096, 300)
    for near, far in ((kept[:, :-1], kept[:, 1:]), (kept[:-1], kept[1:])):
        counts = np.histogram2d(near.ravel(), far.ravel(), bins=2)[0]
        assert stats.chi2_contingency(counts, correction=False).pvalue > CHANCE


def test_layers_and_steps_have_masks_of_their_own() -> None:
    torch.manual_seed(3)
    layers = [Dropout(0.2).train(), Dropout(0.2).train()]
    (first, second), (later, _) = ([mask(layer, 256, 512) for layer in layers] for _ in range(2))
    assert_unrelated(first, second)
    assert_unrelated(first, later)


def test_masks_do_not_repeat_within_many_steps() -> None:
    torch.manual_seed(4)
    layer = Dropout(0.5).train()
    words = [mask(layer, 64).astype(bool).tobytes() for _ in range(20_000)]
    assert len(set(words)) == len(words)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The class of each clip, and the drawn positives and negatives, in one line each."""
    targets = np.repeat(np.arange(len(COUNTS)), COUNTS)
    np.random.default_rng(0).shuffle(targets)
    draws = sampler(targets).draw(500, 256, torch.Generator().manual_seed(5))
    positives, negatives = (rows.numpy().ravel() for rows in draws)
    return targets, positives, negatives


def test_every_class_is_as_likely_whatever_its_number_of_clips(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    targets, *draws = drawn
    for rows in draws:
        counts = np.bincount(targets[rows], minlength=len(COUNTS))
        assert stats.chisquare(counts).pvalue > CHANCE


def test_clips_of_a_class_are_equally_likely(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    targets, *draws = drawn
    for rows in draws:
        counts = np.bincount(rows, minlength=len(targets))
        for label, num_clips in enumerate(COUNTS):
            of_class = counts[targets == label]
            assert (of_class > 0).all()
            assert num_clips == 1 or stats.chisquare(of_class).pvalue > CHANCE


def test_positive_and_negative_are_independent_but_for_their_classes(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    targets, positives, negatives = drawn
    pairs = np.zeros((len(COUNTS), len(COUNTS)), int)
    np.add.at(pairs, (targets[positives], targets[negatives]), 1)
    assert (np.diag(pairs) == 0).all()
    assert stats.chisquare(pairs[~np.eye(len(COUNTS), dtype=bool)]).pvalue > CHANCE
    # Within two classes, the clip of the one says nothing about the clip of the other.
    large, small = COUNTS.index(40), COUNTS.index(7)
    both = (targets[positives] == large) & (targets[negatives] == small)
    of_large, of_small = (np.flatnonzero(targets == label) for label in (large, small))
    table = np.zeros((len(of_large), len(of_small)), int)
    columns = np.searchsorted(of_small, negatives[both])
    np.add.at(table, (np.searchsorted(of_large, positives[both]), columns), 1)
    assert stats.chi2_contingency(table).pvalue > CHANCE


def test_a_draw_says_nothing_about_the_next(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    targets, positives, negatives = drawn
    for rows in (positives, negatives):
        table = np.zeros((len(COUNTS), len(COUNTS)), int)
        np.add.at(table, (targets[rows[:-1]], targets[rows[1:]]), 1)
        assert stats.chi2_contingency(table).pvalue > CHANCE
