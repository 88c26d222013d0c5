"""Windows against slices of the whole signal, however the signal is cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avca_pipeline.media.windows import (
    Window,
    covering_windows,
    frame_windows,
    sample_windows,
    stacked_blocks,
)


@st.composite
def cut(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draws ``(items, 2)`` and the same in blocks, empty ones among them.

    No value is zero: a zero is padding.
    """
    sizes = draw(st.lists(st.integers(0, 9), max_size=8))
    whole = np.arange(1, 2 * sum(sizes) + 1).reshape(-1, 2)
    return whole, np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []


def padded(part: np.ndarray, length: int) -> list[object]:
    return [*part.tolist(), *[np.zeros(part.shape[1:], int).tolist()] * (length - len(part))]


def plain(found: list[Window]) -> list[tuple[list[object], int, float]]:
    return [(window.data.tolist(), window.num_valid, window.start) for window in found]


@given(cut(), st.integers(1, 7))
def test_covering_is_side_by_side_and_ends_with_the_signal(
    drawn: tuple[np.ndarray, list[np.ndarray]], length: int
) -> None:
    whole, blocks = drawn
    starts = list(range(0, len(whole) - length + 1, length))
    if len(whole) > length and len(whole) % length:
        starts.append(len(whole) - length)
    expected = [(whole[start : start + length].tolist(), length, start) for start in starts]
    if 0 < len(whole) < length:
        expected = [(padded(whole, length), len(whole), 0)]
    assert plain(list(covering_windows(blocks, length))) == expected


def test_covering_seven_by_three() -> None:
    found = [
        window.data.tolist() for window in covering_windows([np.arange(5), np.arange(5, 7)], 3)
    ]
    assert found == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]


def test_covering_keeps_no_view_of_a_reused_buffer() -> None:
    """A decoder may write the next block where the last one was."""
    buffer, windows = np.zeros(4, int), []
    stream = covering_windows((buffer for _ in range(2)), 4)
    for number in (1, 2):
        buffer[:] = number
        windows.append(next(stream))
    assert [window.data.tolist() for window in windows] == [[1] * 4, [2] * 4]


@given(cut(), st.integers(1, 7))
def test_frames_are_slices_and_a_padded_rest(
    drawn: tuple[np.ndarray, list[np.ndarray]], length: int
) -> None:
    whole, _ = drawn
    parts = {start: whole[start : start + length] for start in range(0, len(whole), length)}
    expected = [(padded(part, length), len(part), start) for start, part in parts.items()]
    assert plain(list(frame_windows(iter(whole), length))) == expected


@given(cut(), st.integers(1, 7), st.integers(1, 7))
def test_samples_are_slices_without_the_tail(
    drawn: tuple[np.ndarray, list[np.ndarray]], length: int, hop: int
) -> None:
    hop = min(hop, length)
    signal = drawn[0].ravel().astype(float)
    blocks = [block.ravel().astype(float) for block in drawn[1]]
    starts = range(0, len(signal) - length + 1, hop)
    expected = [(signal[start : start + length].tolist(), length, start) for start in starts]
    if 0 < len(signal) < length:
        expected = [(padded(signal, length), len(signal), 0)]
    assert plain(list(sample_windows(blocks, length, hop))) == expected


@given(cut(), st.integers(1, 7))
def test_blocks_hold_every_frame_once(
    drawn: tuple[np.ndarray, list[np.ndarray]], length: int
) -> None:
    whole, _ = drawn
    found = list(stacked_blocks(iter(whole), length))
    assert [len(block) for block in found[:-1]] == [length] * (len(found) - 1)
    assert all(0 < len(block) <= length for block in found)
    assert [frame.tolist() for block in found for frame in block] == whole.tolist()


def test_blocks_are_yielded_as_they_fill() -> None:
    """A long video is never in memory whole."""
    frames = iter([np.zeros(1)] * 3)
    next(stacked_blocks(frames, 2))
    assert len(list(frames)) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_padding_is_behind_and_of_the_same_kind(dtype: type) -> None:
    frames = np.arange(1, 25, dtype=dtype).reshape(2, 3, 4)
    (window,) = frame_windows(frames, 4)
    assert window.data.shape == (4, 3, 4)
    assert window.data.dtype == dtype
    np.testing.assert_array_equal(window.data[:2], frames)
    assert not window.data[2:].any()
    (covered,) = covering_windows([frames], 4)
    np.testing.assert_array_equal(covered.data, window.data)
    assert (window.num_valid, covered.num_valid) == (2, 2)
