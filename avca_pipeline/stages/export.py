"""Stage ``export``: writes our split, features and text embeddings in the published layout.

The published code and what followed it run on that folder unchanged; so does this pipeline, with
the dataset and the split ``official`` and imported features.
"""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline.artifacts import features, labels, split
from avca_pipeline.published import export
from avca_pipeline.requests import ExportRequest

logger = logging.getLogger(__name__)


def run(
    request: ExportRequest,
    inputs: dict[str, Path],
    out: Path,
) -> None:
    """Writes the folder.

    Args:
        request: name of the benchmark, and whether these are its main or cls lists.
        inputs: files under ``split``, ``labels`` and each modality that there is.
        out: the folder.

    Raises:
        PipelineError: the inputs do not fit together, or class names cannot be written so.
    """
    value = export.Export(
        request.benchmark,
        request.lists,
        split.read(inputs["split"]),
        {name: features.read(inputs[name]) for name in ("audio", "video") if name in inputs},
        labels.read(inputs["labels"]),
    )
    num_clips = export.write(out, value)
    logger.info(f"export: {num_clips} of {len(value.rows)} clips have all features; {out}")
