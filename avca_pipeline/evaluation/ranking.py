"""From distances to the answer for each clip: ranks, and the nearest classes of either kind."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from avca_pipeline.artifacts.predictions import TOP, ClipPrediction, NearClass
from avca_pipeline.evaluation.distances import Distances

BLOCK_CLIPS = 4096


def predictions_of(
    distances: Distances,
    clip_ids: Sequence[str],
    class_names: Sequence[str],
    targets: np.ndarray,
    is_unseen: np.ndarray,
    bias: float,
) -> Iterator[ClipPrediction]:
    """Yields the answers for all clips, with the conventions of `accuracy`.

    Little more is in memory than the distances: a block of clips is ranked at a time.

    Args:
        distances: of every clip to every class.
        clip_ids: one of each clip.
        class_names: one of each class, in their order; seen and unseen ones are among them.
        targets: ``(clips,)``, the column of each clip's own class.
        is_unseen: ``(classes,)``.
        bias: added to the distance of every seen class.

    Raises:
        ValueError: all classes are seen, or all are unseen.
    """
    if is_unseen.all() or not is_unseen.any():
        raise ValueError("there must be seen and unseen classes")
    classes = list(zip(class_names, is_unseen.tolist(), strict=True))
    zsl = distances.gzsl if distances.zsl is None else distances.zsl
    for first in range(0, len(clip_ids), BLOCK_CLIPS):
        block = slice(first, first + BLOCK_CLIPS)
        raw, own = distances.gzsl[block], targets[block]
        biased = np.where(is_unseen, raw, raw + bias)
        order = np.argsort(biased, axis=1, kind="stable")
        nearest = [_first(order, ~is_unseen), _first(order, is_unseen), order[:, :TOP]]
        columns = np.concatenate(nearest, axis=1)
        yield from map(
            functools.partial(_prediction, classes),
            clip_ids[block],
            own.tolist(),
            _ranks(biased, own, np.ones(len(is_unseen), bool)).tolist(),
            _ranks(zsl[block], own, is_unseen).tolist(),
            columns.tolist(),
            np.take_along_axis(raw, columns, axis=1).tolist(),
        )


def _prediction(
    classes: Sequence[tuple[str, bool]],
    clip_id: str,
    target: int,
    rank: int,
    among_unseen: int,
    columns: Sequence[int],
    distances: Sequence[float],
) -> ClipPrediction:
    """Returns the answer for a clip: the nearest seen class, the nearest unseen one, and the top.

    Args:
        classes: name of each class, and whether it is unseen.
        clip_id: the clip.
        target: its own class.
        rank: of that class.
        among_unseen: the same among unseen classes.
        columns: of the nearest classes.
        distances: of these.
    """
    class_name, is_unseen = classes[target]
    seen, unseen, *top = (
        NearClass(*classes[column], distance)
        for column, distance in zip(columns, distances, strict=True)
    )
    return ClipPrediction(
        clip_id=clip_id,
        class_name=class_name,
        is_unseen=is_unseen,
        rank=rank,
        rank_among_unseen=among_unseen if is_unseen else None,
        nearest_seen=seen,
        nearest_unseen=unseen,
        top=tuple(top),
    )


def _first(order: np.ndarray, is_wanted: np.ndarray) -> np.ndarray:
    """Returns ``(clips, 1)``: of each row's columns, the first one that is wanted."""
    return np.take_along_axis(order, is_wanted[order].argmax(axis=1)[:, None], axis=1)


def _ranks(distance: np.ndarray, targets: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Returns ``(clips,)``: one more than the number of these classes that precede the own one."""
    own = np.take_along_axis(distance, targets[:, None], axis=1)
    is_before = np.arange(distance.shape[1]) < targets[:, None]
    precedes = (distance < own) | ((distance == own) & is_before)
    ranks: np.ndarray = 1 + (precedes & among).sum(axis=1)
    return ranks
