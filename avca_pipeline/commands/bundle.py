"""Command ``bundle``: packs what a trained run needs to classify videos on another machine."""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline.artifacts import bundle
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference import card, run_folder

logger = logging.getLogger(__name__)


def run(folder: Path, out: Path) -> None:
    """Writes a folder and a zip of it.

    Args:
        folder: of the run, within a whole folder of results.
        out: the folder to write; one that is there must be a bundle, and is replaced.

    Raises:
        PipelineError: the folder has no run that has ended, or the bundle cannot be written.
    """
    if out.exists() and not bundle.is_one(out):
        raise PipelineError(f"{out}: is there and no bundle; name a folder that is not there")
    made = run_folder.read(folder)
    packed = bundle.write(out, made, card.text(made))
    logger.info(f"bundle: {made.description.name} in {out} and {packed}")
