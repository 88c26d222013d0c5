"""Class-balanced triplets, drawn as indices for a whole epoch at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime.lazy import torch


@dataclass(frozen=True)
class Sampler:
    """Draws clips uniformly over classes, then uniformly within the class, with replacement.

    The negative of a clip comes from a class drawn uniformly among the others. This is the
    distribution of the published sampler, in which each class is as likely as any other whatever
    its number of clips.

    Attributes:
        rows: of all clips, sorted by class.
        starts: ``(classes,)``, where each class begins in ``rows``.
        counts: ``(classes,)``, number of clips of each class.
    """

    rows: torch.Tensor
    starts: torch.Tensor
    counts: torch.Tensor

    def draw(
        self, num_batches: int, batch_size: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns rows of positives and of negatives, ``(num_batches, batch_size)`` each."""
        shape, num_classes = (num_batches, batch_size), len(self.counts)
        positive = torch.randint(num_classes, shape, generator=generator)
        other = torch.randint(num_classes - 1, shape, generator=generator)
        negative = other + (other >= positive)
        return self._within(positive, generator), self._within(negative, generator)

    def _within(self, classes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        share = torch.rand(classes.shape, generator=generator, dtype=torch.float64)
        offset = (share * self.counts[classes]).long()
        return self.rows[self.starts[classes] + offset]


def sampler(class_of_clip: np.ndarray) -> Sampler:
    """Returns a sampler over clips.

    Args:
        class_of_clip: ``(clips,)``, the class of each clip, in any numbering.

    Raises:
        PipelineError: fewer than two classes have clips, so that there are no negatives.
    """
    rows = np.argsort(class_of_clip, kind="stable")
    classes, starts, counts = np.unique(class_of_clip[rows], return_index=True, return_counts=True)
    if len(classes) < 2:
        raise PipelineError(f"training needs clips of at least two classes, found {len(classes)}")
    return Sampler(*(torch.from_numpy(array) for array in (rows, starts, counts)))
