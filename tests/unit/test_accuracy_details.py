"""Scores of cases worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avca_pipeline.evaluation import accuracy, calibration
from avca_pipeline.evaluation.distances import (
    BLOCK_CLIPS,
    Distances,
    chosen_by_attention,
    euclidean_distances,
)

# Two clips of each of four classes; the last two classes are unseen.
TARGETS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
IS_UNSEEN = np.array([False, False, True, True])


def nearest_at(*columns: int) -> np.ndarray:
    """Returns distances at which each clip is nearest to the column given for it."""
    distance = np.full((len(columns), 4), 5.0)
    distance[np.arange(len(columns)), columns] = 1.0
    return distance


@pytest.mark.parametrize(
    ("seen", "unseen", "expected"),
    [(0.5, 0.5, 0.5), (0.25, 0.75, 0.375), (1.0, 0.5, 2 / 3), (0.0, 0.6, 0.0), (0.6, 0.0, 0.0)],
)
def test_harmonic_mean(seen: float, unseen: float, expected: float) -> None:
    assert accuracy.harmonic_mean(seen, unseen) == pytest.approx(expected, rel=1e-12)


def test_harmonic_mean_of_two_zeros_is_zero() -> None:
    with np.errstate(all="raise"):
        assert accuracy.harmonic_mean(0.0, 0.0) == 0.0
    tiny = 1e-200
    assert 0 <= accuracy.harmonic_mean(tiny, tiny) <= tiny


def test_harmonic_mean_is_below_the_exact_one_by_the_published_epsilon() -> None:
    """The published code adds it to the sum: accuracies as small as itself lose a third."""
    assert accuracy.harmonic_mean(2.0**-52, 2.0**-52) == 2.0**-52 * float(Fraction(2, 3))


def test_every_score_of_one_evaluation() -> None:
    scores = accuracy.evaluate(nearest_at(0, 1, 1, 1, 2, 0, 1, 2), TARGETS, IS_UNSEEN, 0.0)
    np.testing.assert_array_equal(scores.gzsl_per_class, [0.5, 1.0, 0.5, 0.0])
    assert (scores.seen, scores.unseen, scores.bias) == (0.75, 0.25, 0.0)
    assert scores.hm == pytest.approx(0.375, rel=1e-12)
    # Among unseen classes alone, clips that are nearest to none of them go to the first.
    np.testing.assert_array_equal(scores.zsl_per_class, [np.nan, np.nan, 1.0, 0.0])
    assert scores.zsl == 0.5


def test_a_bias_moves_every_seen_class_and_no_unseen_one() -> None:
    distance = np.array([[1.0, 9.0, 1.5, 9.0], [9.0, 1.0, 9.0, 2.5]])
    targets = np.array([0, 1])
    assert accuracy.evaluate(distance, targets, IS_UNSEEN, 0.4).seen == 1.0
    assert accuracy.evaluate(distance, targets, IS_UNSEEN, 0.6).seen == 0.5
    assert accuracy.evaluate(distance, targets, IS_UNSEEN, 1.6).seen == 0.0


def test_of_equally_near_classes_the_first_column_wins() -> None:
    distance = np.full((2, 4), 1.0)
    for is_unseen, first in ((IS_UNSEEN, 0), (~IS_UNSEEN, 0)):
        scores = accuracy.evaluate(distance, np.array([first, 3]), is_unseen, 0.0)
        np.testing.assert_array_equal(scores.gzsl_per_class, [1.0, np.nan, np.nan, 0.0])


@pytest.mark.filterwarnings("error")
def test_without_seen_or_without_unseen_classes() -> None:
    """Clips are then classified among the others; the mean of no class is not a number."""
    distance = nearest_at(0, 1, 1, 1, 2, 0, 3, 3)
    all_unseen = accuracy.evaluate(distance, TARGETS, np.ones(4, bool), 0.0)
    assert np.isnan([all_unseen.seen, all_unseen.hm]).all()
    np.testing.assert_array_equal(all_unseen.gzsl_per_class, [0.5, 1.0, 0.5, 1.0])
    np.testing.assert_array_equal(all_unseen.zsl_per_class, [0.5, 1.0, 0.5, 1.0])
    all_seen = accuracy.evaluate(distance, TARGETS, np.zeros(4, bool), 0.0)
    assert np.isnan([all_seen.unseen, all_seen.zsl, all_seen.hm]).all()
    np.testing.assert_array_equal(all_seen.gzsl_per_class, [0.5, 1.0, 0.5, 1.0])


def test_an_empty_class_counts_only_where_asked() -> None:
    targets = np.array([0, 0, 1, 1, 2, 2])
    distance = nearest_at(0, 0, 1, 0, 2, 2)
    skipped = accuracy.evaluate(distance, targets, IS_UNSEEN, 0.0)
    assert (skipped.seen, skipped.unseen, skipped.zsl) == (0.75, 1.0, 1.0)
    kept = accuracy.evaluate(distance, targets, IS_UNSEEN, 0.0, skip_empty=False)
    assert kept.seen == 0.75
    assert np.isnan([kept.unseen, kept.zsl, kept.hm]).all()
    # The published search takes the first bias whose HM is not a number.
    biases = [0.1, 0.2]
    scores = calibration.search_bias(distance, targets, IS_UNSEEN, biases, skip_empty=False)
    assert scores.bias == 0.1
    several = [distance, distance]
    common = calibration.search_common_bias(several, targets, IS_UNSEEN, skip_empty=False)
    assert common == 0.0
    needs_bias = distance + np.where(IS_UNSEEN, 4.5, 0.0)
    assert calibration.search_common_bias([needs_bias], targets, IS_UNSEEN) == pytest.approx(0.6)
    assert calibration.search_common_bias([needs_bias], targets, IS_UNSEEN, skip_empty=False) == 0.0
    calibrated = calibration.calibrate(Distances(needs_bias), targets, IS_UNSEEN)
    assert calibrated.bias == pytest.approx(0.6)


def test_the_first_of_equally_good_biases_wins() -> None:
    scores = calibration.search_bias(nearest_at(0, 0, 1, 1, 2, 2, 3, 3), TARGETS, IS_UNSEEN)
    assert (scores.bias, scores.hm) == (0.0, pytest.approx(1.0))
    np.testing.assert_allclose(calibration.BIASES, [round(0.2 * step, 1) for step in range(16)])


def test_calibration_keeps_distances_for_unseen_classes_apart() -> None:
    gzsl, zsl = nearest_at(0, 0, 1, 1, 2, 2, 3, 3), nearest_at(0, 0, 1, 1, 3, 2, 3, 2)
    scores = calibration.calibrate(Distances(gzsl, zsl), TARGETS, IS_UNSEEN)
    assert (scores.unseen, scores.zsl) == (1.0, 0.5)
    np.testing.assert_array_equal(scores.zsl_per_class, [np.nan, np.nan, 0.5, 0.5])


def test_a_method_chooses_from_its_own_biases() -> None:
    """Seen classes are ahead by 0.25 of unseen ones, and behind them from 0.75 on."""
    distance = np.full((4, 4), 5.0)
    distance[[0, 1], [0, 1]], distance[[0, 1], [2, 3]] = 1.0, 1.75
    distance[[2, 3], [2, 3]], distance[[2, 3], [0, 1]] = 1.25, 1.0
    targets, biases = np.arange(4), np.array([0.1, 0.3, 0.9])
    calibrated = calibration.calibrate(Distances(distance, biases=biases), targets, IS_UNSEEN)
    assert (calibrated.bias, calibrated.hm) == (0.3, pytest.approx(1.0))
    ways = (distance, 2 * distance)  # 0.3 suits the first, 0.9 the second
    several = Distances(distance, for_calibration=ways, biases=biases)
    calibrated = calibration.calibrate(several, targets, IS_UNSEEN)
    assert (calibrated.bias, calibrated.hm) == (pytest.approx(0.6), pytest.approx(1.0))
    assert calibration.search_common_bias(ways, targets, IS_UNSEEN) == pytest.approx(0.5)


def test_distances_of_whole_numbers_are_of_their_values() -> None:
    clips, classes = np.array([[250, 0]], np.uint8), np.array([[0, 0], [253, 4]], np.uint8)
    np.testing.assert_array_equal(euclidean_distances(clips, classes), [[250.0, 5.0]])
    assert euclidean_distances(clips, classes).dtype == np.float64


def test_distances_of_single_precision_are_computed_in_double() -> None:
    clips = np.array([[1.0, 2.0**-30]], np.float32)
    classes = np.array([[0.0, 0.0], [1.0, 0.0]], np.float32)
    expected = [[np.sqrt(1 + 2.0**-60), 2.0**-30]]
    np.testing.assert_array_equal(euclidean_distances(clips, classes), expected)
    third = np.array([[1 / 3]], np.float32)
    zero = np.zeros((1, 1), np.float32)
    np.testing.assert_array_equal(euclidean_distances(third, zero), [[float(np.float32(1 / 3))]])
    wide = np.full((1, 3), 0.1, np.float32)
    expected = float(np.sqrt(3 * np.float64(np.float32(0.1)) ** 2))
    assert euclidean_distances(wide, np.zeros((1, 3), np.float32))[0, 0] == pytest.approx(
        expected, rel=1e-15
    )


@pytest.mark.parametrize("number", [0, 1, BLOCK_CLIPS, BLOCK_CLIPS + 1, 3 * BLOCK_CLIPS - 1])
def test_clips_of_all_blocks_have_their_distances(number: int) -> None:
    drawn = np.random.default_rng(number)
    clips, classes = drawn.integers(-9, 9, (number, 5)), drawn.integers(-9, 9, (3, 5))
    expected = np.sqrt(np.square(clips[:, None] - classes).sum(axis=2))
    for order in ("C", "F"):
        given = np.asarray(clips, np.float32, order=order)  # type: ignore[call-overload]
        np.testing.assert_array_equal(euclidean_distances(given, classes), expected)


def test_distances_are_those_of_all_clips_at_once_to_the_bit() -> None:
    """Also where columns stand in memory one after the other, and a block would have one row."""
    drawn = np.random.default_rng(0)
    clips, classes = drawn.random((BLOCK_CLIPS + 1, 67)), drawn.random((2, 67))
    for order in ("C", "F"):
        given = np.asarray(clips, order=order)  # type: ignore[call-overload]
        for column, vector in enumerate(classes):
            difference = given - vector
            expected = np.sqrt(np.einsum("ij,ij->i", difference, difference))
            found = euclidean_distances(given, classes)[:, column]
            np.testing.assert_array_equal(found, expected)


def test_clips_of_all_blocks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "BLOCK_CLIPS", 3)
    drawn = np.random.default_rng(0)
    distance, targets = drawn.integers(0, 6, (40, 4)).astype(float), np.arange(40) % 4
    scores = accuracy.evaluate(distance, targets, IS_UNSEEN, bias=1.5)
    answers = [int(np.argmin(row + np.where(IS_UNSEEN, 0, 1.5))) for row in distance]
    among_unseen = [2 + int(np.argmin(row[2:])) for row in distance]
    for column in range(4):
        clips = np.flatnonzero(targets == column)
        right = sum(answers[clip] == column for clip in clips) / len(clips)
        assert scores.gzsl_per_class[column] == right
        if IS_UNSEEN[column]:
            right = sum(among_unseen[clip] == column for clip in clips) / len(clips)
            assert scores.zsl_per_class[column] == right


def test_chance_with_unequal_numbers_of_classes() -> None:
    scores = accuracy.chance(num_seen=16, num_unseen=9)
    assert (scores.seen, scores.unseen, scores.zsl) == (1 / 25, 1 / 25, 1 / 9)
    assert scores.hm == pytest.approx(2 / 49)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_attention_of_either_shape(shape: tuple[int, ...]) -> None:
    audio, video = np.zeros((3, 4)), np.ones((3, 4))
    attention = np.array([0.49, 0.5, 0.9]).reshape(shape)
    scores = chosen_by_attention(audio, video, attention)
    np.testing.assert_array_equal(scores, [[0.0] * 4, [1.0] * 4, [1.0] * 4])


def test_accuracy_of_classes_without_clips_warns_of_nothing() -> None:
    with np.errstate(all="raise"):
        scores = accuracy.per_class_accuracy(np.array([1, 0]), np.array([1, 1]), 3)
    np.testing.assert_array_equal(scores, [np.nan, 0.5, np.nan])
