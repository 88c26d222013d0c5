"""A linear softmax classifier, trained as the f-VAEGAN-D2 code does."""

from __future__ import annotations

from collections.abc import Iterator

from avca_pipeline.nn.optimiser import Adam
from avca_pipeline.runtime.lazy import torch

INITIAL_STD = 0.02


def fit_softmax(
    clips: torch.Tensor,
    label: torch.Tensor,
    start: torch.Tensor,
    order: torch.Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    beta1: float,
) -> Iterator[torch.nn.Linear]:
    """Yields the classifier after each epoch.

    Published: clips are scaled to unit length, and every epoch sees them in the same order.

    Args:
        clips: ``(clips, dim)``.
        label: ``(clips,)``, their classes.
        start: ``(classes, dim)``, a standard normal draw that the weights begin from.
        order: ``(clips,)``, a permutation of the clips.
        epochs: over all clips.
        batch_size: of each step; the last one of an epoch may be smaller.
        learning_rate: of Adam.
        beta1: of Adam.
    """
    num_classes, dim = start.shape
    # Without the usual initialisation, which would draw from torch's global random state.
    classifier = torch.nn.utils.skip_init(
        torch.nn.Linear, dim, num_classes, device=clips.device, dtype=clips.dtype
    )
    with torch.no_grad():
        classifier.weight.copy_(INITIAL_STD * start)
        classifier.bias.zero_()
    optimiser = Adam(list(classifier.parameters()), learning_rate, beta1=beta1)
    unit = torch.nn.functional.normalize(clips, dim=1)
    for _ in range(epochs):
        for rows in order.split(batch_size):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(classifier(unit[rows]), label[rows]).backward()
            optimiser.step()
        yield classifier
