"""From distances to the answer for each clip: ranks, and the nearest classes of either kind."""

from __future__ import annotations

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
    """
    zsl = distances.gzsl if distances.zsl is None else distances.zsl
    for first in range(0, len(clip_ids), BLOCK_CLIPS):
        block = slice(first, first + BLOCK_CLIPS)
        raw, own = distances.gzsl[block], targets[block]
        biased = np.where(is_unseen, raw, raw + bias)
        order = np.argsort(biased, axis=1, kind="stable")
        nearest = [_first(order, ~is_unseen), _first(order, is_unseen), order[:, :TOP]]
        columns = np.concatenate(nearest, axis=1)
        found = zip(
            clip_ids[block],
            own.tolist(),
            _ranks(biased, own, np.ones(len(is_unseen), bool)).tolist(),
            _ranks(zsl[block], own, is_unseen).tolist(),
            columns.tolist(),
            np.take_along_axis(raw, columns, axis=1).tolist(),
            strict=True,
        )
        for clip_id, target, rank, among_unseen, near, near_distances in found:
            seen, unseen, *top = (
                NearClass(class_names[column], bool(is_unseen[column]), distance)
                for column, distance in zip(near, near_distances, strict=True)
            )
            yield ClipPrediction(
                clip_id=clip_id,
                class_name=class_names[target],
                is_unseen=bool(is_unseen[target]),
                rank=rank,
                rank_among_unseen=among_unseen if is_unseen[target] else None,
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
