"""How classes are numbered, and the way from one numbering to another.

A class has up to three numbers:

class row
    its row in `LabelledClips.class_names`, among all classes of a split;
text row
    its row in `TrainingClips.class_text`, among the classes that a stage trains on;
column
    its column in the distances of an evaluation, among the classes that a clip may belong to.

Text rows and columns count a part of the classes, in the order of their class rows.
"""

from __future__ import annotations

import numpy as np


def numbers_within(part: np.ndarray, class_rows: np.ndarray) -> np.ndarray:
    """Returns the number that each class has within a part of the classes.

    Args:
        part: class rows of the part, ascending: a class has the number of its place here.
        class_rows: ``(clips,)`` or any other shape, class rows to translate.

    Raises:
        ValueError: a class is not in the part, or the part is not ascending.
    """
    if (np.diff(part) <= 0).any():
        raise ValueError("the classes of a part must be ascending, each of them once")
    outside = np.setdiff1d(class_rows, part)
    if len(outside):
        raise ValueError(f"class rows {outside.tolist()} are not in this part of the classes")
    return np.searchsorted(part, class_rows)
