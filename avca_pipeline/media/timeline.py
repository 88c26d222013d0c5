"""One line of time for a file: its frames and samples, placed by their time stamps.

**Time** runs from the beginning of the file, which is its earliest time stamp of any stream. What a
file says about counts places nothing. A stretch of a file is the same as that stretch of the
whole file, but for AAC with perceptual noise substitution: its decoder makes noise up, as loud as
it was, but other noise where it does not begin at the file's beginning.

**A gap** (time stamps go on later than what came before has lasted) stays as long as it is: the
picture before it is held, and the sound is silent. Silence also stands for sound that begins later
than the file. A stretch without any frame or sample of its own is ``nothing in segment``.

**A jump** (time stamps go back, as in files that were joined, or forward by more than 10 s in all
streams at once, where the format allows for that: MPEG-TS, MPEG-PS, Ogg) is no time that passed:
what follows goes on where what came before has ended. A clock that runs over (33 bits in MPEG)
goes on as well.

**Damage** is tolerated up to a tenth, for every format and codec alike, and rejects beyond: packets
that cannot be decoded are left out and their time is a gap (``damaged`` if they are more than a
tenth of the clip's packets); a file may end up to a tenth before the time that its header or index
announces (``truncated`` beyond that). What announces nothing, such as MPEG-TS, ends where it ends.
Pictures that nobody is shown are decoded as well as soon as damage shows, see `skipping`.

Gaps, jumps and lost packets are counted in the clip's `notes`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from avca_pipeline.media import MediaError, notes
from avca_pipeline.media.announced import announced_end_s, last_arrival_s
from avca_pipeline.media.container import best_stream, opened, start_s, streams
from avca_pipeline.media.jumps import Clock, may_jump
from avca_pipeline.media.packets import demuxed, is_damage, later_pictures, later_sound, with_end
from avca_pipeline.media.placing import AviPictureTimes, Grid
from avca_pipeline.media.skipping import DecodeAgain, IsCovered, Skipping

# Frames and where on the line they begin, where that is known.
Timed: TypeAlias = Generator[tuple[Any, float | None], None, None]

MAX_LOST_SHARE = 0.1
# A decoder is started so much earlier than the sound that is wanted: Opus needs 80 ms, MP3 at low
# rates borrows bits from a second before.
PRE_ROLL_S = 1.0
CLOCK_S = 1e-3  # the coarsest clock of a format
# Writers of AVI leave so many frames empty behind the first one when their encoder begins late. The
# second picture follows the first; later empty frames are pictures that were dropped.
MAX_LEAD = 4
# Formats in which a seek is inexact, or would miss a jump on the way.
READ_FROM_THE_START = frozenset({"dv", "mxf"})


class Track:
    """One stream of an open file, and what has been read of it.

    Attributes:
        container: from PyAV.
        stream: from PyAV.
        unit_s: of its time stamps, in seconds.
        start_s: the time stamp, in seconds, that is the beginning of the line of time.
        arrived_s: where on the line the last packet so far ends.
        grid: where frames of sound begin, where they are alike and the format's clock is too coarse
            to say it to the sample; known once decoding has begun in the middle.
        repeated_until_s: where the last packet ends that was empty, which says that the picture
            stays as it is.
        new_covered: makes what says of the times of pictures, in the order of decoding, which
            nobody is shown: those need not be decoded. It makes ``None`` where all are wanted.
    """

    def __init__(self, path: Path, kind: str, container: Any) -> None:
        stream = best_stream(container, kind)
        if stream is None:
            raise MediaError(f"no {kind} stream")
        self.path, self.kind = path, kind
        self.container, self.stream = container, stream
        self.start_s, self.unit_s = start_s(container), float(stream.time_base)
        self.announced = announced_end_s(path, container, stream)
        self.arrived_s: float | None = None
        self.repeated_until_s = 0.0
        self.prepare: Callable[[Any], None] = lambda stream: None
        self.new_covered: Callable[[], IsCovered | None] = lambda: None
        self.begin_s = 0.0  # of the clip
        self.grid: Grid | None = None
        # Whether FFmpeg has invented the times at which pictures are shown.
        self._has_no_time_stamps = container.format.name == "avi" and kind == "video"
        self.lead: int | None = None  # empty frames of an AVI file behind its first one
        self._num_sent = self._num_damaged = 0

    def decoded(self, begin_s: float) -> Timed:
        """Yields frames and their time on the line, from the one on show at ``begin_s`` on.

        Earlier ones may come before it. What comes is what decoding the whole file would give.
        `LeftOut` stands for each picture that was not decoded because nobody is shown it.
        """
        num_jumps, num_damaged = notes.current().num_jumps, notes.current().num_damaged
        num_yielded = 0
        try:
            for timed in self._decoded(begin_s):
                num_yielded += 1
                yield timed
        except DecodeAgain:
            notes.current().num_jumps, notes.current().num_damaged = num_jumps, num_damaged
            self.new_covered = lambda: None
            with self._opened_again():
                yield from itertools.islice(self._decoded(begin_s), num_yielded, None)

    def _decoded(self, begin_s: float) -> Timed:
        self.begin_s = begin_s
        if begin_s > 0 and not self._begins_after(begin_s):
            before = dataclasses.replace(notes.current())
            frames = self._from_near(begin_s)
            first = next(frames, None)
            if first is not None and first[1] is not None and first[1] <= begin_s + CLOCK_S:
                yield first
                yield from frames
                return
            # The seek went too far, or to an unknown place: begin at the beginning.
            frames.close()
            notes.current().restore(before)
            with self._opened_again():
                yield from self._frames(self._packets(0.0), is_start=True)
            return
        yield from self._frames(self._packets(0.0), is_start=True)

    @contextlib.contextmanager
    def _opened_again(self) -> Iterator[None]:
        """Opens the file anew, of which nothing has been read then."""
        self._num_sent = self._num_damaged = 0
        self.arrived_s, self.repeated_until_s = None, 0.0
        with opened(self.path) as container:
            self.container, self.stream = container, best_stream(container, self.kind)
            self.prepare(self.stream)
            yield

    def shown_packets(self) -> Iterator[Any]:
        """Yields the packets of the whole file that hold something to show."""
        for packet in with_end(self._packets(0.0)):
            if packet is not None and packet.size and not packet.is_discard:
                yield packet

    def begins_s(self, packet: Any) -> float | None:
        """Returns where on the line what a packet holds begins."""
        stamp = packet.dts if packet.pts is None or self._has_no_time_stamps else packet.pts
        return None if stamp is None else stamp * self.unit_s - self.start_s

    def check_arrived(self, begin_s: float, end_s: float | None) -> None:
        """Raises `MediaError` if the file was to go on much longer than it did.

        Args:
            begin_s: where the clip begins.
            end_s: where the clip ends; ``None`` for the end of the file.
        """
        announced_s, is_of_stream = self.announced
        if announced_s is None:
            return
        announced_s -= (self.lead or 0) * self.unit_s
        wanted_s = announced_s if end_s is None else min(end_s, announced_s)
        if wanted_s <= begin_s:
            return
        arrived_s = begin_s if self.arrived_s is None else self.arrived_s
        if wanted_s - arrived_s <= MAX_LOST_SHARE * (wanted_s - begin_s):
            return
        # A container announces the end of its longest stream, which this one need not be.
        if is_of_stream or last_arrival_s(self.path) < (1 - MAX_LOST_SHARE) * announced_s:
            raise MediaError(f"truncated: {arrived_s:.1f} of {announced_s:.1f} s")

    def _begins_after(self, time_s: float) -> bool:
        first = self.stream.start_time
        return first is not None and first * self.unit_s - self.start_s >= time_s

    def _from_near(self, begin_s: float) -> Timed:
        lead_s = PRE_ROLL_S if self.kind == "audio" else 0.0
        if may_jump(self.container) or self.container.format.name in READ_FROM_THE_START:
            skipping = later_sound if self.kind == "audio" else later_pictures
            packets = skipping(self._packets(0.0), begin_s - lead_s, self.begins_s)
            yield from self._frames(packets, is_start=False)
        elif begin_s > lead_s:
            delay = self._delay() if self._has_no_time_stamps else 0
            if self.kind == "audio":
                self.grid = self._frame_grid()
            yield from self._frames(self._packets(begin_s - lead_s), is_start=False, delay=delay)
        else:
            yield from self._frames(self._packets(0.0), is_start=True)

    def _packets(self, begin_s: float) -> Iterator[Any]:
        """Yields the stream's packets on one line of time, and last an empty one."""
        wanted = [self.stream]
        if begin_s > 0:
            target = int((begin_s + self.start_s) / self.stream.time_base)
            try:
                self.container.seek(target, stream=self.stream, backward=True)
            except Exception as error:
                if not is_damage(error):
                    raise
                return  # what is wanted is then found from the beginning on
        elif may_jump(self.container):
            wanted = streams(self.container)  # each tells where the others are
        clock = Clock(forward=may_jump(self.container))
        first: Any = None  # packet of the file
        for packet in demuxed(self.container, wanted):
            has_jumped = clock.place(packet)
            if packet.stream_index != self.stream.index:
                continue
            if has_jumped and (self.begins_s(packet) or 0.0) >= self.begin_s:
                notes.current().num_jumps += 1
            if self._has_no_time_stamps and packet.dts is not None:
                if begin_s == 0 and first is not None and self.lead is None:
                    missing = packet.dts - first.dts - 1
                    self.lead = missing if missing <= MAX_LEAD else 0
                if begin_s > 0 or first is not None:
                    packet.dts -= self.lead or 0
                first = first or packet
            yield packet

    def _frames(self, packets: Iterator[Any], *, is_start: bool, delay: int | None = None) -> Timed:
        """Yields decoded frames with their times; what cannot be decoded is left out."""
        context = self.stream.codec_context
        is_covered = None if self._has_no_time_stamps else self.new_covered()
        skipping = Skipping(context, is_covered, self.begins_s)
        picture_times = AviPictureTimes(context, delay) if self._has_no_time_stamps else None
        forgiving = not is_start  # frames before the keyframe cannot be decoded
        for packet in with_end(packets):
            if packet is not None:
                self._arrive(packet)
                if not packet.size:
                    self.repeated_until_s = max(self.repeated_until_s, self.arrived_s or 0.0)
                    continue
                self._num_sent += 1
            skipping.send(packet)
            try:
                frames = context.decode(packet)
            except Exception as error:
                if not is_damage(error):
                    raise
                skipping.stop()
                if not forgiving:
                    self._lose()
                continue
            if picture_times is not None:
                picture_times.sent(packet)
            for frame in frames:
                forgiving = False
                for left_out in skipping.shown_before(frame):
                    yield left_out, left_out.pts * self.unit_s - self.start_s
                stamp = frame.pts if picture_times is None else picture_times.next()
                yield frame, None if stamp is None else stamp * self.unit_s - self.start_s
        self.check_damage()

    def _arrive(self, packet: Any) -> None:
        if packet.is_discard:  # hidden by an edit list
            return
        begin_s = self.begins_s(packet)
        if begin_s is not None:
            end_s = begin_s + (packet.duration or 0) * self.unit_s
            self.arrived_s = end_s if self.arrived_s is None else max(self.arrived_s, end_s)

    def _lose(self) -> None:
        self._num_damaged += 1
        notes.current().num_damaged += 1

    def check_damage(self) -> None:
        """Raises `MediaError` if too many packets could not be decoded."""
        # One is lost wherever a file was cut off.
        most = max(1, MAX_LOST_SHARE * self._num_sent) if self._num_sent > 1 else 0
        if self._num_damaged > most:
            raise MediaError(
                f"damaged: {self._num_damaged} of {self._num_sent} packets cannot be decoded"
            )

    def _frame_grid(self) -> Grid | None:
        """Returns where frames begin by the first three of the file, if that is worth knowing."""
        rate_hz = self.stream.codec_context.sample_rate
        slack = rate_hz * self.unit_s
        if slack <= 1:
            return None
        frames = self._frames(self._packets(0.0), is_start=True)
        first_frames = list(itertools.islice(frames, 3))
        frames.close()
        if len(first_frames) < 3 or first_frames[0][1] is None:
            return None
        first, second, third = (frame.samples for frame, _ in first_frames)
        if second != third or first > second:
            return None
        return Grid(round(first_frames[0][1] * rate_hz) + first, second, slack)

    def _delay(self) -> int:
        """Returns how many packets the decoder takes before its first picture.

        It also finds out how many empty frames are behind the first one, which moves all others.
        """
        num_sent, has_picture = 0, False
        for packet in self._packets(0.0):
            if not has_picture and packet.size:
                with contextlib.suppress(Exception):
                    has_picture = bool(self.stream.codec_context.decode(packet))
                if not has_picture:
                    num_sent += 1
            if has_picture and self.lead is not None:
                break
        return num_sent
