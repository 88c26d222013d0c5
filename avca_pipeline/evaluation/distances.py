"""Distances between clips and classes, by which a clip is classified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK_CLIPS = 1024
"""So many clips at once fit into a cache, with what is computed of them in float64."""


@dataclass(frozen=True)
class Distances:
    """How far a model sees each clip from each class, ``(clips, classes)`` each.

    Attributes:
        gzsl: decides among all classes.
        zsl: decides among unseen classes; ``None`` if it is the same.
        for_calibration: several ways of measuring, if the bias to use is the mean of the biases
            that suit each way.
        biases: ``(biases,)``, the biases to choose from; ``None`` for those of AVCA.
    """

    gzsl: np.ndarray
    zsl: np.ndarray | None = None
    for_calibration: tuple[np.ndarray, ...] = ()
    biases: np.ndarray | None = None


def euclidean_distances(clips: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns ``(clips, classes)`` Euclidean distances between rows, in float64.

    They are computed from differences, not from the expanded square, whose cancellation can swap
    classes that are nearly equally far.

    Args:
        clips: ``(clips, dim)``.
        classes: ``(classes, dim)``.
    """
    classes = classes.astype(np.float64)
    distances = np.empty((len(clips), len(classes)))
    # Blocks of nearly one size: NumPy may add up the numbers of a row alone in another order.
    number = max(1, -(-len(clips) // BLOCK_CLIPS))
    parts = zip(np.array_split(clips, number), np.array_split(distances, number), strict=True)
    for part, of_part in parts:
        block = part.astype(np.float64)
        for column, vector in enumerate(classes):
            difference = block - vector
            of_part[:, column] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distances


def chosen_by_attention(audio: np.ndarray, video: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Returns each clip's distances from the modality that a model attends to.

    Args:
        audio: ``(clips, classes)`` distances from audio.
        video: the same from video.
        attention: ``(clips,)`` or ``(clips, 1)``; from 0.5 on the clip is judged by its video.
    """
    return np.where(attention.reshape(-1, 1) >= 0.5, video, audio)
