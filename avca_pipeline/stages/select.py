"""Stage ``select``: chooses hyper-parameters, epoch and bias on validation, and on nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts import training
from avca_pipeline.artifacts.training import Selection
from avca_pipeline.errors import FormatError
from avca_pipeline.requests import SelectRequest, named_files

logger = logging.getLogger(__name__)


def run(request: SelectRequest, histories: Sequence[Path], out: Path) -> None:
    """Writes which candidate, epoch and bias had the best validation HM.

    Of equal scores, those of the first candidate and of its first epoch win. Histories hold
    validation scores only, so that nothing about test clips can reach this choice.

    Args:
        request: names of the candidates.
        histories: of each candidate, in the order of the request.
        out: the selection.

    Raises:
        FormatError: a history is damaged, or is that of another candidate.
    """
    read = []
    for candidate, path in named_files("histories", request.candidates, histories):
        history = training.read_history(path)
        if history.candidate != candidate:
            raise FormatError(
                f"{path}: is the history of candidate {history.candidate!r}, not of {candidate!r}"
            )
        read.append(history)
    best = max(read, key=lambda history: history.best.hm)  # of equal scores the first
    selection = Selection(
        candidate=best.candidate,
        epoch=best.best_epoch,
        bias=best.best.bias,
        val=best.best,
        num_candidates=len(read),
    )
    training.write_selection(out, selection)
    logger.info(f"select: {selection.candidate}, epoch {selection.epoch}, bias {selection.bias:g}")
