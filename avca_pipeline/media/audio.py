"""Samples of a clip: mono, at a backbone's rate, in blocks, whatever the file holds."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.media import Limits, MediaError, notes
from avca_pipeline.media.container import opened
from avca_pipeline.media.placing import Grid, Lookahead, persistent_place
from avca_pipeline.media.resample import Resampler, resampled
from avca_pipeline.media.timeline import Track

# Sample formats whose 16-bit values are worked out here, many frames at a time.
DIRECT = ("s16", "s16p", "flt", "fltp")
GATHERED_S = 0.5
SILENCE_S = 1.0

# Time stamps this far from where the samples before have ended are taken for inaccurate: less than
# one frame of any usual codec, more than the rounding of any clock. Beyond that, see
# `persistent_place`.
JITTER_S = 0.015
# In these formats the demuxer works time stamps out from sizes and average rates.
INACCURATE = frozenset({"avi", "asf", "asf_o", "rm"})
INACCURATE_JITTER_S = 0.1


def mono_blocks(
    path: Path,
    rate_hz: int,
    start: float | None,
    end: float | None,
    limits: Limits,
    resample: Resampler = resampled,
) -> Iterator[np.ndarray]:
    """Yields the clip's sound as float64 blocks in [-1, 1], one channel, at ``rate_hz``.

    Decoded to 16 bit at the file's own rate and layout, divided by 32768, averaged over channels
    and only then resampled, as VGGish's published front end does. (FFmpeg's own mixing to mono
    would be 3 dB too loud for stereo.) Blocks have any length. Samples stand where their time
    stamps say, with silence in gaps and before sound that begins late, see `timeline`.

    Args:
        path: a media file.
        rate_hz: samples per second to yield.
        start: where the clip begins, in seconds of the media; ``None`` for its beginning.
        end: where it ends; ``None`` for its end.
        limits: beyond which the clip is refused.
        resample: how, where the file has another rate.

    Raises:
        MediaError: no audio, damaged or cut off, over the limits, or nothing between the times.
    """
    with opened(path) as container:
        track = Track(path, "audio", container)
        native_hz = track.stream.codec_context.sample_rate
        if not native_hz:
            raise MediaError("damaged: audio without a sample rate")
        count = 0
        native = _native(track, native_hz, start or 0.0, end, limits)
        for block in resample(native, native_hz, rate_hz):
            count += len(block)
            if count > limits.max_duration_s * rate_hz:
                raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
            yield block
        track.check_damage()
        if not count:
            raise MediaError("nothing in segment: no audio sample in it")


def _native(
    track: Track, rate_hz: int, begin_s: float, end_s: float | None, limits: Limits
) -> Iterator[np.ndarray]:
    """Yields mono float64 blocks at the file's own rate from the clip's first sample on."""
    wanted = None if end_s is None else round((end_s - begin_s) * rate_hz)
    position = 0  # of the next sample, relative to the clip
    for place, block in _placed(track, rate_hz, begin_s):
        if wanted is not None and place >= wanted:
            if position:
                yield from _silence(wanted - position, rate_hz)
            return
        if place > limits.max_duration_s * rate_hz:  # before any silence is made
            raise MediaError(f"too long: more than {limits.max_duration_s:g} s")
        kept = block[:, max(0, position - place) :]  # what overlaps was there before
        kept = kept if wanted is None else kept[:, : wanted - max(position, place)]
        if not kept.shape[1]:
            continue
        yield from _silence(place - position, rate_hz)
        # Exactly the mean over channels of samples divided by 32768: no sum over the 512 channels
        # that FFmpeg decodes at most is rounded in float32.
        mean = functools.reduce(np.add, kept).astype(np.float64)
        mean /= len(kept) * 32768.0
        yield mean
        position = max(position, place) + kept.shape[1]
        if position == wanted:
            return
    track.check_arrived(begin_s, end_s)


def _silence(count: int, rate_hz: int) -> Iterator[np.ndarray]:
    """Yields so many samples of silence, and notes it."""
    if count > 0:
        notes.current().gap_s += count / rate_hz
    step = int(SILENCE_S * rate_hz)
    for begin in range(0, count, step):
        yield np.zeros(min(step, count - begin))


def _placed(track: Track, rate_hz: int, begin_s: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yields 16-bit samples, ``(channels, samples)``, half seconds or more, and where they belong.

    That is in samples after ``begin_s``. Frames of compressed sound are short, and arithmetic on
    each would cost more than decoding.
    """
    name = track.container.format.name
    jitter = round((INACCURATE_JITTER_S if name in INACCURATE else JITTER_S) * rate_hz)
    slack = rate_hz * float(track.stream.time_base)
    run: _Run | None = None
    lookahead = Lookahead(track.decoded(begin_s))
    for frame, time_s in lookahead:
        stated = None if time_s is None else round((time_s - begin_s) * rate_hz)
        if run is None and time_s is not None and track.grid is not None:
            sample = track.grid.nearest(round(time_s * rate_hz))
            stated = round(sample - begin_s * rate_hz)
        expected = run.end if run is not None else stated
        place = round(-begin_s * rate_hz) if expected is None else expected
        is_elsewhere = stated is not None and abs(stated - place) > jitter
        if is_elsewhere and run is not None and stated is not None:
            stated = persistent_place(place, stated, frame, lookahead, begin_s, rate_hz, jitter)
            is_elsewhere = abs(stated - place) > jitter
            # Whole frames are missing, where the clock is too coarse to say it to the sample.
            stated = Grid(place, max(1, frame.samples), slack).nearest(stated)
        if run is None or is_elsewhere or not run.continues(frame):
            if run is not None:
                yield from run.release(is_end=True)
            run = _Run(frame, rate_hz, stated if is_elsewhere and stated is not None else place)
        run.add(frame)
        if run.end - run.place >= GATHERED_S * rate_hz:
            yield from run.release()
    if run is not None:
        yield from run.release(is_end=True)


class _Run:
    """Frames of one format without a gap between them.

    Attributes:
        place: of the first sample that has not been taken.
        end: of the sample after the last one.
    """

    def __init__(self, frame: Any, rate_hz: int, place: int) -> None:
        self.place = self.end = place
        self.format_name, self.rate_hz = frame.format.name, frame.sample_rate
        self.held: list[list[memoryview]] = []  # of each frame, the samples of each plane
        self.num_channels = frame.layout.nb_channels
        self.is_direct = self.format_name in DIRECT and self.rate_hz == rate_hz
        is_float = self.is_direct and self.format_name.startswith("flt")
        self.dtype = np.dtype(np.float32 if is_float else np.int16)
        is_packed = self.is_direct and not frame.format.is_planar
        self.num_interleaved = self.num_channels if is_packed else 1
        # Of more than seven channels PyAV shows planes that are not there; to look at one is fatal.
        self.num_planes = 1 if is_packed else self.num_channels
        if not self.is_direct:
            import av

            # FFmpeg converts any other format, and sound whose rate is no longer the file's.
            self.resampler = av.AudioResampler(format="s16p", rate=rate_hz)

    def continues(self, frame: Any) -> bool:
        """Returns whether a frame has the run's format."""
        return bool(
            frame.format.name == self.format_name
            and frame.sample_rate == self.rate_hz
            and frame.layout.nb_channels == self.num_channels
        )

    def add(self, frame: Any | None) -> None:
        """Adds a frame; ``None`` gets out what a resampler has held back."""
        if self.is_direct:
            self._hold(frame)
        else:
            for part in self.resampler.resample(frame):
                self._hold(part)

    def release(self, *, is_end: bool = False) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the samples since the last call, if there are any, and the place of the first."""
        if is_end and not self.is_direct:
            self.add(None)
        if self.held:
            yield self.place, _channels(self.held, self.dtype, self.num_interleaved)
            self.held, self.place = [], self.end

    def _hold(self, frame: Any) -> None:
        # The frame's own memory: an array for each of many short frames costs as much as decoding.
        size = frame.samples * self.num_interleaved * self.dtype.itemsize
        self.held.append([memoryview(plane)[:size] for plane in frame.planes[: self.num_planes]])
        self.end += frame.samples


def _channels(held: list[list[memoryview]], dtype: np.dtype, num_interleaved: int) -> np.ndarray:
    """Returns ``(channels, samples)`` float32 in units of 16-bit samples."""
    planes = itertools.chain.from_iterable(zip(*held, strict=True))
    samples = np.frombuffer(b"".join(planes), dtype).reshape(len(held[0]), -1)
    if num_interleaved > 1:
        samples = samples.reshape(-1, num_interleaved).T
    if dtype != np.float32:
        return samples.astype(np.float32)
    # What FFmpeg's own conversion does: nearest, halves to even, and clipped.
    with np.errstate(over="ignore"):
        samples = samples * np.float32(32768)
    np.rint(samples, out=samples)
    return samples.clip(-32768, 32767, out=samples)
