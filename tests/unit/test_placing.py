"""Where packets with odd time stamps are put: numbers worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest

from avca_pipeline.media.jumps import Clock
from avca_pipeline.media.placing import AviPictureTimes, Grid


@dataclass
class Packet:
    """What is looked at of a packet of PyAV; times are in hundredths of a second."""

    stream_index: int
    dts: int | None
    pts: int | None = None
    duration: int | None = 10
    is_discard: bool = False
    time_base: Fraction = Fraction(1, 100)


def placed(
    stamps: list[tuple[int, int | None]], *, forward: bool = True
) -> tuple[list[int | None], list[int]]:
    """Returns where packets are put, and at which of them a stream has jumped."""
    clock = Clock(forward=forward)
    found, jumps = [], []
    for number, (stream, dts) in enumerate(stamps):
        packet = Packet(stream, dts, pts=None if dts is None else dts + 3)
        if clock.place(packet):
            jumps.append(number)
        found.append(packet.dts)
        assert packet.pts == (None if packet.dts is None else packet.dts + 3)
    return found, jumps


def test_a_plain_line_stays_as_it_is() -> None:
    stamps = [0, 10, 20, 35, 45, 40, 1000, 1010, 2009]  # steps back and forth below the limits
    assert placed([(0, stamp) for stamp in stamps]) == (stamps, [])


@pytest.mark.parametrize(
    ("step", "is_jump"), [(-9, False), (-12, True), (999, False), (1013, True)]
)
def test_limits(step: int, is_jump: bool) -> None:
    """Back by more than a tenth of a second, forward by more than ten seconds beyond the end."""
    found, jumps = placed([(0, 500), (0, 510), (0, 510 + step), (0, 520 + step)])
    assert jumps == ([2] if is_jump else [])
    assert found == ([500, 510, 520, 530] if is_jump else [500, 510, 510 + step, 520 + step])


def test_leaps_forward_are_gaps_where_a_format_does_not_jump() -> None:
    stamps = [0, 10, 5000, 5010]
    assert placed([(0, stamp) for stamp in stamps], forward=False) == (stamps, [])
    assert placed([(0, 5000), (0, 0)], forward=False) == ([5000, 5010], [1])


def test_a_silent_stream_has_a_gap_while_another_goes_on() -> None:
    stamps = [(0, 0), (1, 0), *((0, stamp) for stamp in range(10, 2010, 10)), (1, 1990), (1, 2000)]
    found, jumps = placed(stamps)
    assert jumps == []
    assert found == [stamp for _, stamp in stamps]


def test_streams_of_a_joined_file_stay_in_step() -> None:
    first = [(0, 4100), (1, 4103), (0, 4110), (1, 4113), (0, 4120), (1, 4123)]
    second = [
        (0, 100),  # the picture begins anew: it goes on at 4130, where it had ended
        (1, 4133),  # the sound of the part before still comes, and stays where it was
        (0, 110),
        (1, 125),  # the sound begins anew, 15 hundredths after what is now the picture's
        (0, 120),
        (1, 135),
    ]
    found, jumps = placed(first + second)
    assert jumps == [6, 9]
    assert found[:6] == [stamp for _, stamp in first]
    assert found[6:] == [4130, 4133, 4140, 4155, 4150, 4165]
    # Were it alone, the sound would go on at 4143.
    assert placed([(1, 4133), (1, 125)])[0] == [4133, 4143]


def test_a_file_of_three_parts() -> None:
    part = [(0, 100), (1, 100), (0, 110), (1, 110), (0, 120), (1, 120)]
    found, jumps = placed([*part, (0, 60), (1, 80), (0, 70), (1, 90), (0, 0), (1, 20), (0, 10)])
    assert jumps == [6, 7, 10, 11]
    # The sound stays 20 behind the picture in both of the later parts.
    assert found[6:] == [130, 150, 140, 160, 150, 170, 160]


def test_a_stream_that_ends_a_little_earlier_goes_on_at_once() -> None:
    found, jumps = placed([(0, 20), (1, 20), (0, 30), (1, 34), (0, 10), (1, 10), (0, 20), (1, 20)])
    assert jumps == [4, 5]
    assert found == [20, 20, 30, 34, 40, 44, 50, 54]


def test_a_jump_of_one_stream_alone_is_not_shared() -> None:
    """The picture's time stamps leap back by 40 s, and later the sound's by 20 s."""
    found, jumps = placed([(0, 5000), (1, 5000), (0, 1000), (1, 3000), (0, 1010), (1, 3010)])
    assert jumps == [2, 3]
    assert found == [5000, 5000, 5010, 5010, 5020, 5020]


def test_packets_without_time_stamps_are_passed_through() -> None:
    assert placed([(0, None), (0, 50), (0, None), (0, 20), (0, None)]) == (
        [None, 50, None, 60, None],
        [3],
    )


def test_packets_with_one_time_stamp_are_moved_by_it() -> None:
    """Parsers give some packets a time of display alone, others the other one."""
    clock = Clock(forward=True)
    packets = [Packet(0, 50), Packet(0, 60), Packet(0, 20), Packet(0, None, 33), Packet(0, 40)]
    assert [clock.place(packet) for packet in packets] == [False, False, True, False, False]
    assert [packet.dts for packet in packets] == [50, 60, 70, None, 90]
    assert [packet.pts for packet in packets] == [None, None, None, 83, None]


def test_packets_without_a_length_end_where_they_begin() -> None:
    clock = Clock(forward=True)
    packets = [Packet(0, 50, duration=None), Packet(0, 60, duration=0), Packet(0, 20)]
    assert [clock.place(packet) for packet in packets] == [False, False, True]
    assert packets[2].dts == 60


def test_a_grid_takes_stamps_back_that_a_coarse_clock_rounds() -> None:
    grid = Grid(first=648, step=960, slack=48.0)
    assert grid.nearest(648) == 648
    assert grid.nearest(672 + 3 * 960) == 648 + 3 * 960
    assert grid.nearest(600 + 960) == 648 + 960
    assert grid.nearest(648 + 960 + 49) == 648 + 960 + 49  # too far to be rounding
    assert grid.nearest(648 - 960 + 20) == 648 - 960


@dataclass
class Context:
    has_b_frames: int = 0


def shown(packets: list[tuple[int, int]], context: Context, delay: int | None) -> list[int | None]:
    """Returns the times of pictures: packets have a time stamp and give out so many pictures."""
    slots = AviPictureTimes(context, delay)  # type: ignore[arg-type]
    found = []
    for dts, num_pictures in packets:
        slots.sent(Packet(0, dts))
        found += [slots.next() for _ in range(num_pictures)]
    slots.sent(None)
    return found


def test_pictures_of_avi_come_as_many_packets_late_as_the_first() -> None:
    in_order = [(0, 1), (1, 1), (2, 1), (5, 1), (6, 1)]
    assert shown(in_order, Context(), None) == [0, 1, 2, 5, 6]
    late_by_two = [(0, 0), (1, 0), (2, 1), (3, 1), (7, 1), (8, 1)]
    assert shown(late_by_two, Context(2), None) == [0, 1, 5, 6]
    # In the middle of a file the delay is known, and some packets give out nothing.
    assert shown([(40, 0), (41, 0), (42, 0), (43, 1), (44, 1)], Context(1), 1) == [42, 43]


def test_pictures_of_avi_at_the_end_follow_one_another() -> None:
    slots = AviPictureTimes(Context(1), None)  # type: ignore[arg-type]
    for dts in (0, 1, 2):
        slots.sent(Packet(0, dts))
        if dts:
            assert slots.next() == dts - 1
    slots.sent(None)
    assert slots.next() == 2


def test_a_decoder_that_needs_more_packets_than_it_thought() -> None:
    context = Context(1)
    slots = AviPictureTimes(context, None)  # type: ignore[arg-type]
    slots.sent(Packet(0, 0))
    slots.sent(Packet(0, 1))
    assert slots.next() == 0
    slots.sent(Packet(0, 2))  # gives out nothing
    context.has_b_frames = 2
    slots.sent(Packet(0, 3))
    assert slots.next() == 1
    slots.sent(Packet(0, 10))
    assert slots.next() == 8
    slots.sent(Packet(0, 20))
    assert slots.next() == 18
