"""Frames whose colours are converted later: planes of yuv420p as decoded, and their conversion.

`stored` copies the planes of a frame in a decode worker. `converted` makes of them what libswscale
makes of the frame, wherever the tensor is: libswscale's own integer arithmetic, in which each
product is cut off to a whole number and each chroma sample stands for a square of four pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from avca_pipeline.media import MediaError, notes
from avca_pipeline.media.orientation import turns
from avca_pipeline.media.windows import Window
from avca_pipeline.runtime.lazy import torch

FORMATS = ("yuv420p", "yuvj420p")
MAX_BYTES = 1920 * 1088 * 3 // 2
"""Larger frames are converted on the host: memory is shared with workers for frames up to this."""
ALIGNED = 16
INVERSE = {
    1: (117489, 138438, 13975, 34925),  # BT.709
    2: (104597, 132201, 25675, 53279),  # not stated, which is taken for BT.601
    4: (104448, 132798, 24759, 53109),  # FCC
    5: (104597, 132201, 25675, 53279),  # BT.601 of 625 lines
    6: (104597, 132201, 25675, 53279),  # BT.601 of 525 lines
    7: (117579, 136230, 16907, 35559),  # SMPTE 240M
    9: (110013, 140363, 12277, 42626),  # BT.2020
}
"""By FFmpeg's number of a matrix: V in red, U in blue, U in green, V in green, times 65,536."""
FULL_RANGE = 2
ONE = 1 << 13
_are_kept: ContextVar[bool] = ContextVar("are_kept", default=False)


class Layout(NamedTuple):
    """How the planes of a frame are to be read: luma, then U, then V, row by row without gaps.

    Attributes:
        height: of the stored picture.
        width: likewise.
        matrix: FFmpeg's number, a key of `INVERSE`.
        is_full_range: whether black is 0 and white 255.
        swaps: whether to swap the axes, to bring it upright.
        flips_x: whether to mirror left-right after that.
        flips_y: whether to mirror top-bottom after that.
    """

    height: int
    width: int
    matrix: int
    is_full_range: bool
    swaps: bool = False
    flips_x: bool = False
    flips_y: bool = False


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """A frame on its way to the device.

    Attributes:
        data: its planes, or what the host has prepared.
        layout: of the planes; ``None`` for what the host has prepared.
    """

    data: np.ndarray
    layout: Layout | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the shape of the upright picture, ``(height, width, 3)``."""
        if self.layout is None:
            return self.data.shape
        sides = (self.layout.height, self.layout.width)
        return (*(sides[::-1] if self.layout.swaps else sides), 3)


def num_bytes(height: int, width: int) -> int:
    """Returns how many bytes the planes of a frame have."""
    return height * width + 2 * -(-height // 2) * -(-width // 2)


def keeping_planes(windows: Callable[[Any], Iterator[Window]], clip: Any) -> Iterator[Window]:
    """Yields the windows of a clip with its frames as planes, as far as `stored` can."""
    token = _are_kept.set(True)
    try:
        yield from windows(clip)
    finally:
        _are_kept.reset(token)


def each_prepared(
    frames: Iterable[np.ndarray | StoredFrame], prepared: Callable[[np.ndarray], np.ndarray]
) -> Iterator[Any]:
    """Yields what the network takes of each frame, or the planes of those that are kept as planes.

    Args:
        frames: of a clip.
        prepared: resizes and cuts a frame on the host.
    """
    for frame in frames:
        if isinstance(frame, StoredFrame):
            yield frame
        else:
            yield StoredFrame(prepared(frame)) if _are_kept.get() else prepared(frame)


def stored(frame: Any, matrix: bytes | None, *, is_from_gpu: bool = False) -> StoredFrame | None:
    """Returns a copy of a frame's planes inside `keeping_planes`, ``None`` elsewhere.

    The host must convert, and ``None`` is returned, also for other formats than 8 bit 4:2:0, for an
    odd height, for which libswscale interpolates chroma, and for large frames. The reason is then
    in the clip's notes.

    Args:
        frame: from PyAV.
        matrix: its display matrix.
        is_from_gpu: whether the GPU has decoded it, which gives nv12 for yuv420p.

    Raises:
        MediaError: the GPU has decoded it, but the device cannot convert it.
    """
    if not _are_kept.get():
        return None
    height, width, name = frame.height, frame.width, frame.format.name
    is_nv12 = is_from_gpu and name == "nv12"
    if reason := why_on_host("yuv420p" if is_nv12 else name, frame.colorspace, height, width):
        if is_from_gpu:
            raise MediaError(reason)
        notes.current().on_host = reason
        return None
    sides = (height, width), *2 * [(height // 2, -(-width // 2))]
    data = np.empty(num_bytes(height, width), np.uint8)
    rows = [_rows(plane) for plane in frame.planes]
    if is_nv12:
        rows[1:] = rows[1][:, ::2], rows[1][:, 1::2]
    begin = 0
    for (plane_height, plane_width), plane in zip(sides, rows, strict=True):
        end = begin + plane_height * plane_width
        data[begin:end].reshape(plane_height, plane_width)[:] = plane[:plane_height, :plane_width]
        begin = end
    is_full_range = frame.color_range == FULL_RANGE or name == "yuvj420p"
    turned = (False, False, False) if matrix is None else turns(matrix)
    return StoredFrame(data, Layout(height, width, int(frame.colorspace), is_full_range, *turned))


def why_on_host(name: str | None, matrix: int, height: int, width: int) -> str:
    """Returns why the host must convert frames, an empty text if the device can.

    Args:
        name: of the pixel format.
        matrix: FFmpeg's number.
        height: of the stored picture.
        width: likewise.
    """
    if name not in FORMATS:
        return str(name)
    if matrix not in INVERSE:
        return f"colour matrix {int(matrix)}"
    if height % 2:
        return "odd height"
    return "large frames" if num_bytes(height, width) > MAX_BYTES else ""


def _rows(plane: Any) -> np.ndarray:
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)


def converted(planes: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Returns ``(frames, 3, height, width)`` uint8 RGB, upright.

    Args:
        planes: ``(frames, bytes)`` uint8, on any device.
        layout: of all of them.
    """
    height, width = layout.height, layout.width
    sides = height // 2, -(-width // 2)
    luma, u, v = planes.split([height * width, sides[0] * sides[1], sides[0] * sides[1]], dim=1)
    scale, offset, v_in_red, u_in_blue, u_in_green, v_in_green = _coefficients(layout)
    y = (luma.int() * 8 - offset) * scale >> 16
    u, v = (chroma.int() * 8 - 1024 for chroma in (u, v))
    green = (u * u_in_green >> 16) + (v * v_in_green >> 16)
    chroma = torch.stack([v * v_in_red >> 16, green, u * u_in_blue >> 16], dim=1)
    chroma = chroma.reshape(-1, 3, *sides).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    sums = y.reshape(-1, 1, height, width) + chroma[..., :width]
    rgb: torch.Tensor = sums.clamp_(0, 255).to(torch.uint8)
    if layout.swaps:
        rgb = rgb.transpose(2, 3)
    mirrored = [axis for axis, flips in ((2, layout.flips_y), (3, layout.flips_x)) if flips]
    return rgb.flip(mirrored) if mirrored else rgb.contiguous()


def packed(window: Window, room: np.ndarray) -> list[Layout | None]:
    """Copies the frames of a window one behind the other, each at a multiple of `ALIGNED` bytes.

    Args:
        window: of ``(length,)`` instances of `StoredFrame`.
        room: bytes, at least as many as are needed.

    Returns:
        The layouts of the frames; there is none of padding.
    """
    frames, begin = window.data[: window.num_valid], 0
    for frame in frames:
        room[begin : begin + frame.data.nbytes] = frame.data.reshape(-1).view(np.uint8)
        begin += aligned(frame.data.nbytes)
    return [frame.layout for frame in frames]


def aligned(size: int) -> int:
    """Returns a number of bytes rounded up to where the next frame begins."""
    return -(-size // ALIGNED) * ALIGNED


def _coefficients(layout: Layout) -> list[int]:
    """Returns libswscale's whole numbers, all but the second times 8,192.

    They are what luma is multiplied with, 8 times what is subtracted from it before, and what
    chroma is multiplied with: V for red, U for blue, U for green, V for green.
    """
    v_in_red, u_in_blue, u_in_green, v_in_green = INVERSE[layout.matrix]
    chroma = [v_in_red, u_in_blue, -u_in_green, -v_in_green]
    scale, black = (1 << 16) * 255 // 219, 16
    if layout.is_full_range:
        scale, black = 1 << 16, 0
        chroma = [int(value * 224 / 255) for value in chroma]
    scale, *chroma = ((value * ONE + (1 << 15)) >> 16 for value in (scale, *chroma))
    return [scale, 8 * black, *(max(-0x7FFF, min(0x7FFF, value)) for value in chroma)]
