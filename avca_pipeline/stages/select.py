"""Stage ``select``: chooses hyper-parameters, epoch and bias on validation, and on nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts import scores

logger = logging.getLogger(__name__)


def run(histories: Sequence[Path], out: Path) -> None:
    """Writes which candidate, epoch and bias had the best validation HM.

    Of equal ones the first candidate and its first epoch win. Histories hold validation scores
    only, so that nothing about test clips can reach this choice.

    Args:
        histories: one of each candidate.
        out: the selection.
    """
    best = None
    for path in histories:
        history = scores.read(path)
        reached = history["epochs"][history["best_epoch"]]["val"]
        if best is None or reached["hm"] > best[1]["hm"]:
            best = history, reached
    assert best is not None
    history, reached = best
    selection = {
        "candidate": history["candidate"],
        "epoch": history["best_epoch"],
        "bias": reached["bias"],
        "val": reached,
        "num_candidates": len(histories),
    }
    scores.write(out, selection)
    logger.info(
        f"select: {selection['candidate']}, epoch {selection['epoch']}, bias {selection['bias']:g}"
    )
