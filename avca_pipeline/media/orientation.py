"""Brings a stored picture upright: the whole of its display matrix, mirrors included."""

from __future__ import annotations

import functools
import math

import numpy as np

from avca_pipeline.media import notes

# FFmpeg takes an angle for a quarter turn up to this far from it.
TOLERANCE_DEG = 1.0


def upright(picture: np.ndarray, matrix: bytes) -> np.ndarray:
    """Returns a picture ``(height, width, …)`` turned and mirrored as its display matrix says.

    Quarter turns and mirrors are applied exactly. A matrix of another angle gets the nearest of
    them, and the angle that is left stands in the clip's notes (``tilt_deg``). Scales, shears and
    offsets of a matrix change nothing.

    Args:
        picture: as stored.
        matrix: nine little-endian numbers of 32 bit.
    """
    swaps, flips_x, flips_y = turns(matrix)
    if swaps:
        picture = picture.swapaxes(0, 1)
    if flips_x:
        picture = picture[:, ::-1]
    if flips_y:
        picture = picture[::-1]
    return picture


def turns(matrix: bytes) -> tuple[bool, bool, bool]:
    """Returns whether to swap the axes, then to mirror left-right, and top-bottom, see `upright`.

    Args:
        matrix: nine little-endian numbers of 32 bit.
    """
    *steps, tilt_deg = _read(matrix)
    if tilt_deg:
        notes.current().tilt_deg = tilt_deg
    return steps[0], steps[1], steps[2]


@functools.lru_cache(maxsize=8)
def _read(matrix: bytes) -> tuple[bool, bool, bool, float]:
    """Returns whether to swap the axes, then to mirror left-right, and top-bottom; and the tilt.

    The point (x, y) of the stored picture is shown at (a x + c y, b x + d y).
    """
    a, b, _, c, d = (float(value) for value in np.frombuffer(matrix, "<i4")[:5])
    if a * d - b * c == 0:  # no picture could be shown with it
        return False, False, False, 0.0
    angle = math.degrees(math.atan2(b, a))
    quarters = round(angle / 90)
    tilt_deg = abs(angle - 90 * quarters)
    is_mirrored = a * d - b * c < 0
    # The matrix of that many quarter turns, after a mirror of the y axis if there is one.
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]
    side = -1 if is_mirrored else 1
    a, b, c, d = cosine, sine, -sine * side, cosine * side
    swaps = a == 0
    flips_x, flips_y = (c < 0, b < 0) if swaps else (a < 0, d < 0)
    return swaps, flips_x, flips_y, tilt_deg if tilt_deg > TOLERANCE_DEG else 0.0
