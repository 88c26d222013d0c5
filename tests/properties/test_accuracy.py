"""Scores against their definition, on distances with many ties."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avca_pipeline.evaluation import accuracy


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_classes=st.integers(1, 6), num_clips=st.integers(1, 12))
def test_scores_are_the_definition_s(seed: int, num_classes: int, num_clips: int) -> None:
    generator = np.random.default_rng(seed)
    # Quarters, as the biases are, so that seen and unseen classes are often equally near.
    distance = generator.integers(0, 8, (num_clips, num_classes)) / 4
    targets = generator.integers(0, num_classes, num_clips)
    is_unseen = generator.random(num_classes) < 0.5
    for bias in (-0.5, 0.0, 0.25, 1.0):
        found = accuracy.evaluate(distance, targets, is_unseen, bias)
        predicted = (distance + bias * ~is_unseen).argmin(axis=1)
        among_unseen = np.where(is_unseen, distance, np.inf).argmin(axis=1)
        for label in range(num_classes):
            of_class = targets == label
            gzsl, zsl = found.gzsl_per_class[label], found.zsl_per_class[label]
            if not of_class.any():
                assert np.isnan([gzsl, zsl]).all()
                continue
            assert gzsl == np.mean(predicted[of_class] == label)
            if is_unseen[label]:
                assert zsl == np.mean(among_unseen[of_class] == label)
            else:
                assert np.isnan(zsl)
        for score, of_group in ((found.seen, ~is_unseen), (found.unseen, is_unseen)):
            accuracies = found.gzsl_per_class[of_group]
            accuracies = accuracies[~np.isnan(accuracies)]
            expected = accuracies.mean() if len(accuracies) else np.nan
            np.testing.assert_array_equal(score, expected)
