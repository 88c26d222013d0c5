"""From distances to the answer for each clip: ranks, and the nearest classes of either kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avca_pipeline.artifacts.predictions import TOP, ClipPrediction, NearClass, RunPredictions
from avca_pipeline.evaluation.distances import Distances


def predictions_of(
    distances: Distances,
    clip_ids: Sequence[str],
    class_names: Sequence[str],
    targets: np.ndarray,
    is_unseen: np.ndarray,
    bias: float,
) -> RunPredictions:
    """Returns the answers for all clips, with the conventions of `accuracy`.

    Args:
        distances: of every clip to every class.
        clip_ids: one of each clip.
        class_names: one of each class, in their order; seen and unseen ones are among them.
        targets: ``(clips,)``, the column of each clip's own class.
        is_unseen: ``(classes,)``.
        bias: added to the distance of every seen class.
    """
    raw = distances.gzsl
    biased = np.where(is_unseen, raw, raw + bias)
    order = np.argsort(biased, axis=1, kind="stable")
    ranks = _ranks(biased, targets, np.ones(len(is_unseen), bool))
    among_unseen = _ranks(raw if distances.zsl is None else distances.zsl, targets, is_unseen)

    def near(clip: int, column: int) -> NearClass:
        return NearClass(class_names[column], bool(is_unseen[column]), float(raw[clip, column]))

    def nearest(clip: int, *, unseen: bool) -> NearClass:
        return near(clip, next(column for column in order[clip] if is_unseen[column] == unseen))

    return RunPredictions(
        float(bias),
        [
            ClipPrediction(
                clip_id=clip_id,
                class_name=class_names[targets[clip]],
                is_unseen=bool(is_unseen[targets[clip]]),
                rank=int(ranks[clip]),
                rank_among_unseen=int(among_unseen[clip]) if is_unseen[targets[clip]] else None,
                nearest_seen=nearest(clip, unseen=False),
                nearest_unseen=nearest(clip, unseen=True),
                top=tuple(near(clip, column) for column in order[clip, :TOP]),
            )
            for clip, clip_id in enumerate(clip_ids)
        ],
    )


def _ranks(distance: np.ndarray, targets: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Returns ``(clips,)``: one more than the number of these classes that precede the own one."""
    own = np.take_along_axis(distance, targets[:, None], axis=1)
    is_before = np.arange(distance.shape[1]) < targets[:, None]
    precedes = (distance < own) | ((distance == own) & is_before)
    ranks: np.ndarray = 1 + (precedes & among).sum(axis=1)
    return ranks
