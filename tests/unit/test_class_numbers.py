"""The number of a class within a part of the classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avca_pipeline.evaluation.class_numbers import numbers_within


@given(st.data(), st.sets(st.integers(0, 50), min_size=1))
def test_a_number_leads_back_to_the_class(draws: st.DataObject, classes: set[int]) -> None:
    part = np.array(sorted(classes))
    rows = np.array(draws.draw(st.lists(st.sampled_from(sorted(classes)))), int)
    numbers = numbers_within(part, rows)
    assert numbers.shape == rows.shape
    assert part[numbers].tolist() == rows.tolist()


@pytest.mark.parametrize("outside", [0, 4, 9])
def test_a_class_outside_is_an_error(outside: int) -> None:
    """Below, between and above the classes of the part."""
    with pytest.raises(ValueError, match=rf"class rows \[{outside}\] are not in"):
        numbers_within(np.array([2, 3, 7]), np.array([2, outside, 3]))


def test_no_class_is_in_an_empty_part() -> None:
    with pytest.raises(ValueError, match="not in"):
        numbers_within(np.array([], int), np.array([1]))
    assert numbers_within(np.array([], int), np.array([], int)).tolist() == []


@pytest.mark.parametrize("part", [[3, 2], [2, 2, 3]])
def test_the_part_is_ascending(part: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        numbers_within(np.array(part), np.array([2]))
