"""Which columns of text embeddings are in the space of a modality."""

from __future__ import annotations

from avca_pipeline.errors import PipelineError
from avca_pipeline.models import Dims


def columns_of(dims: Dims, modality: str) -> tuple[int, int]:
    """Returns the first of the columns in the space of a modality, and the one after the last.

    Text embeddings of two towers stand side by side, video's first; those of one tower have the
    size of the features. A modality that is not used has no size, and its part of the text
    embeddings may have any.

    Raises:
        PipelineError: features and text embeddings cannot be of one space.
    """
    size = getattr(dims, modality)
    is_alone = size == dims.video + dims.audio
    if dims.text == size:
        return 0, size
    if dims.text == dims.video + dims.audio or (is_alone and dims.text > size):
        return (0, size) if modality == "video" else (dims.text - size, dims.text)
    raise PipelineError(
        f"{modality} features have {size} values and text embeddings {dims.text}, so they share no "
        "space; use the text towers of the models that made the features"
    )
