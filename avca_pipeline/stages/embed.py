"""Stage ``embed``: gives every class name of a dataset a vector."""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline.artifacts import labels, manifest
from avca_pipeline.inference.class_vectors import embed_names
from avca_pipeline.requests import EmbedRequest

logger = logging.getLogger(__name__)


def run(request: EmbedRequest, clips: Path, out: Path, *, cache: Path) -> None:
    """Writes the text embeddings of the classes in a manifest.

    Args:
        request: the text embedding.
        clips: the manifest.
        out: the vectors.
        cache: where downloaded models are kept.

    Raises:
        PipelineError: a class has no vector, or a file with vectors is not what it should be.
    """
    class_names = sorted({clip.class_name for clip in manifest.read(clips)})
    made = embed_names(request.plugin, request.settings, class_names, cache)
    labels.write(out, made)
    logger.info(
        f"embed: {len(class_names)} classes, {made.vectors.shape[1]}-d, {made.text_embedding}"
    )
