"""Command ``publish``: writes features or a run as a folder for others, and uploads it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from avca_pipeline.commands import bundle
from avca_pipeline.errors import PipelineError
from avca_pipeline.publishing import features, hub, runs
from avca_pipeline.runtime.paths import expanded

logger = logging.getLogger(__name__)


def run(
    what: Literal["features", "run"],
    paths: Sequence[Path],
    out: Path,
    *,
    licence: str = "unknown",
    to: str | None = None,
) -> None:
    """Writes the folder and, where that is asked for, uploads it.

    Args:
        what: ``features`` or ``run``.
        paths: files of features of one dataset; or the folder of one run.
        out: the folder to write.
        licence: of what is published, as the Hugging Face Hub abbreviates it.
        to: ``hf:owner/name`` or ``hf:owner/name@branch``, the repository to upload to.

    Raises:
        PipelineError: there is nothing like that to publish; the folder cannot be written; the
            Hub refuses it, and then the folder is there.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise PipelineError(
            f"--licence: {licence!r}: write it as the Hub does, such as cc-by-4.0 or mit"
        )
    target = None
    if to is not None:
        target = hub.target(to)
        hub.check()
    # Only so has "." a name.
    out = expanded(out).absolute()
    inputs = [expanded(path).absolute() for path in paths]
    if what == "features":
        features.publish(inputs, out, licence)
        logger.info(f"publish: features of {inputs[0].parent.parent.name} in {out}")
    else:
        if len(inputs) > 1:
            raise PipelineError(f"{paths[1]}: one run is published at a time; name one folder")
        bundle.check_replaceable(out)
        packed = runs.publish(inputs[0], out, licence)
        logger.info(f"publish: run in {out} and {packed}")
    if target is not None:
        commit = hub.upload(out, target, "dataset" if what == "features" else "model")
        logger.info(
            f"publish: uploaded as hf:{target.name}@{commit}; a new repository is visible to you "
            "alone until you make it public in its settings"
        )
