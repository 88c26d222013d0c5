"""APN: two linear maps into the space of the text embeddings, one of them for attributes.

Xu, Xian, Wang, Schiele, Akata: Attribute Prototype Network for Zero-Shot Learning (NeurIPS 2020,
https://arxiv.org/abs/2008.08290).

With ``x`` for a clip's video and audio features side by side, ``w_c`` for the text embedding of
class ``c``, ``y`` for the clip's class, and the maps ``W`` and ``P``:

    loss = CE(softmax_c((W x) · w_c), y) + MSE(W x, w_y)
         + CE(softmax_c((P x) · w_c), y) + MSE(P x, w_y)

The sum over ``c`` in the softmax runs over the classes trained on. A clip belongs to the class
whose text embedding is nearest to ``W x`` (L2); ``P`` is not used for that.

What it assumes: the numbers of a text embedding are properties that can be read off a clip, like
the attributes of a bird. Word vectors have no such numbers, so little of the paper's idea is left.
What it cannot model: where in a clip a property shows, and how audio and video depend on each
other.

Adapted as published for the benchmark of AVCA: the paper's ``P`` has a prototype for each attribute
and looks at each location of an image. Features of clips have no locations, so both maps see the
same features, and they share no weight: ``P`` teaches ``W`` nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from avca_pipeline.models import Batch, Dims
from avca_pipeline.models._compatibility import ConcatenatingSettings, concatenated, embed_clips
from avca_pipeline.models.defaults import adapt_to_classes, distances, embed_classes, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("xu2020apn",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip


class Settings(ConcatenatingSettings):
    """Hyper-parameters of APN; the defaults are those for UCF-GZSL, main split."""

    initial_scale: float = Field(default=2e-4, gt=0)
    """Upper bound of the initial weights of both maps, which are drawn uniformly from 0 to this
    value.
    """
    softmax_twice: bool = False
    """Whether cross-entropy is applied to probabilities instead of scores. The published code does
    so: a second softmax flattens the probabilities and decides how steep the loss is.
    """


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    network = nn.ModuleDict(
        {
            name: nn.Linear(dims.video + dims.audio, dims.text, bias=False)
            for name in ("map", "prototypes")
        }
    )
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.0, settings.initial_scale)
    return network


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields classification and regression losses of both maps, and their ``total``."""
    clips = concatenated(settings, batch.video, batch.audio)
    terms = {}
    for name in ("map", "prototypes"):
        mapped = network[name](clips)
        scores = mapped @ batch.class_text.T
        if settings.softmax_twice:
            scores = scores.softmax(dim=1)
        terms[f"class_{name}"] = torch.nn.functional.cross_entropy(scores, batch.text_row)
        terms[f"text_{name}"] = torch.nn.functional.mse_loss(mapped, batch.text)
    yield terms | {"total": torch.stack(list(terms.values())).sum()}
