"""Stage ``embed``: gives every class name of a dataset a vector."""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import labels, manifest
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import validated
from avca_pipeline.requests import EmbedRequest
from avca_pipeline.runtime.addresses import redacted

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
    module = registry.load("text_embeddings", request.plugin)
    typed = validated(module.Settings, request.settings, f"text_embeddings ({request.plugin})")
    class_names = sorted({clip.class_name for clip in manifest.read(clips)})
    vectors = module.vectors(typed.with_files(cache), class_names)
    files = {(path.name, file_sha256(path)) for path in module.inputs(typed)}
    attributes = {
        "plugin": request.plugin,
        "settings": redacted(canonical_json(typed.model_dump(mode="json"))),
        "files": canonical_json(sorted(files)),
    }
    # The address of a model may have a password in it, and a plugin may show the address.
    description = redacted(module.describe(typed))
    labels.write(out, Labels(class_names, vectors, description, attributes))
    logger.info(f"embed: {len(class_names)} classes, {vectors.shape[1]}-d, {description}")
