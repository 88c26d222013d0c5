"""Scores worked out by hand, and the cases where a definition is needed."""

from __future__ import annotations

import numpy as np
import pytest

from avca_pipeline.evaluation import accuracy, calibration
from avca_pipeline.evaluation.distances import Distances, chosen_by_attention, euclidean_distances

# Two seen classes (0, 1), two unseen ones (2, 3); clips 0 and 1 of class 0, then one of each.
TARGETS = np.array([0, 0, 1, 2, 3])
IS_UNSEEN = np.array([False, False, True, True])
DISTANCE = np.array(
    [
        [1.0, 2.0, 3.0, 4.0],  # right
        [2.0, 1.0, 3.0, 4.0],  # taken for class 1
        [2.0, 1.0, 3.0, 4.0],  # right
        [1.0, 4.0, 1.5, 3.0],  # taken for the seen class 0; right among unseen ones
        [3.0, 4.0, 1.0, 2.0],  # taken for class 2, among unseen ones too
    ]
)


def test_scores_without_bias() -> None:
    found = accuracy.evaluate(DISTANCE, TARGETS, IS_UNSEEN, bias=0.0)
    assert found.seen == pytest.approx((1 / 2 + 1) / 2)
    assert found.unseen == 0.0
    assert found.hm == 0.0
    assert found.zsl == pytest.approx((1 + 0) / 2)
    np.testing.assert_array_equal(found.gzsl_per_class, [0.5, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.zsl_per_class, [np.nan, np.nan, 1.0, 0.0])


def test_bias_pushes_seen_classes_away() -> None:
    found = accuracy.evaluate(DISTANCE, TARGETS, IS_UNSEEN, bias=0.6)
    assert found.unseen == pytest.approx(0.5)
    assert found.seen == pytest.approx(0.75)
    assert found.zsl == pytest.approx(0.5)


def test_search_takes_the_first_of_equal_biases() -> None:
    found = calibration.search_bias(DISTANCE, TARGETS, IS_UNSEEN, biases=[0.0, 0.6, 0.7])
    assert found.bias == 0.6


def test_ties_go_to_the_first_class() -> None:
    found = accuracy.evaluate(np.zeros((2, 2)), np.array([0, 1]), np.array([False, True]), 0.0)
    assert (found.seen, found.unseen) == (1.0, 0.0)


def test_class_without_clips_is_left_out_or_poisons() -> None:
    targets = np.array([0, 0, 1, 2, 2])
    kept = accuracy.evaluate(DISTANCE, targets, IS_UNSEEN, 0.0)
    assert np.isfinite([kept.seen, kept.unseen, kept.hm, kept.zsl]).all()
    published = accuracy.evaluate(DISTANCE, targets, IS_UNSEEN, 0.0, skip_empty=False)
    assert np.isnan([published.unseen, published.hm, published.zsl]).all()


def test_attention_chooses_the_modality_of_each_clip() -> None:
    audio, video = np.zeros((3, 2)), np.ones((3, 2))
    found = chosen_by_attention(audio, video, np.array([[0.4], [0.5], [1.0]]))
    np.testing.assert_array_equal(found, [[0, 0], [1, 1], [1, 1]])


def test_common_bias_is_the_mean() -> None:
    several = [DISTANCE, 2 * DISTANCE]
    alone = [calibration.search_bias(one, TARGETS, IS_UNSEEN).bias for one in several]
    assert len(set(alone)) == 2
    found = calibration.search_common_bias(several, TARGETS, IS_UNSEEN)
    assert found == pytest.approx(np.mean(alone))


def test_chance_of_hm_is_the_best_that_guessing_reaches() -> None:
    num_seen, num_unseen = 16, 4
    share = np.linspace(0.0, 1.0, 100_001)
    seen, unseen = share / num_seen, (1 - share) / num_unseen
    best = (2 * seen * unseen / (seen + unseen)).max()
    assert accuracy.chance(num_seen, num_unseen).hm == pytest.approx(best, rel=1e-6)
    assert accuracy.chance(num_seen, num_unseen).zsl == 0.25


def test_distances_are_exact_for_nearly_equal_rows() -> None:
    clips = np.array([[1e4, 1.0]], np.float32)
    classes = np.array([[1e4, 1.0], [1e4, 1.0 + 2**-20]], np.float32)
    np.testing.assert_array_equal(euclidean_distances(clips, classes), [[0.0, 2**-20]])


def test_other_distances_among_unseen_classes_decide_zsl_alone() -> None:
    generator = np.random.default_rng(0)
    gzsl, zsl = generator.random((2, 40, 6))
    targets, is_unseen = np.arange(40) % 6, np.arange(6) >= 3
    plain = accuracy.evaluate(gzsl, targets, is_unseen, 0.1)
    both = accuracy.evaluate(gzsl, targets, is_unseen, 0.1, zsl=zsl)
    alone = accuracy.evaluate(zsl, targets, is_unseen, 0.1)
    assert (both.seen, both.unseen, both.hm) == (plain.seen, plain.unseen, plain.hm)
    assert both.zsl == alone.zsl != plain.zsl
    np.testing.assert_array_equal(both.zsl_per_class, alone.zsl_per_class)


def test_several_distances_give_their_mean_bias_and_no_other_scores() -> None:
    generator = np.random.default_rng(1)
    targets, is_unseen = np.arange(60) % 6, np.arange(6) >= 3
    first = generator.random((60, 6)) + 0.3 * is_unseen  # needs a bias
    second = 4 * first  # needs four times the bias
    alone = [calibration.search_bias(way, targets, is_unseen) for way in (first, second)]
    found = calibration.calibrate(
        Distances(first, for_calibration=(first, second)), targets, is_unseen
    )
    assert found.bias == np.mean([one.bias for one in alone])
    assert found.bias != alone[0].bias
    assert (found.hm, found.zsl) == (alone[0].hm, alone[0].zsl)
