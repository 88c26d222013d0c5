"""Command ``fiftyone``: writes a run so that FiftyOne shows its clips beside its predictions."""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline.publishing import fiftyone
from avca_pipeline.runtime.paths import expanded

logger = logging.getLogger(__name__)


def run(folder: Path, out: Path) -> None:
    """Writes the folder that FiftyOne imports.

    Args:
        folder: of the run, within a whole folder of results.
        out: the folder to write.

    Raises:
        PipelineError: no run has ended there, or the folder cannot be written.
    """
    out = expanded(out).absolute()
    counts = fiftyone.export(expanded(folder), out)
    logger.info(
        f"fiftyone: {counts.samples} clips in {out}, {counts.left_out} without a video file here "
        "left out"
    )
