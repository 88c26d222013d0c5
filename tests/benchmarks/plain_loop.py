"""A plain loop that trains a method on means of clips, in the published manner.

What the published code does and the package does not: it draws and reads one clip at a time, builds
a graph in a pass whose result it throws away, and computes a loss on validation that nothing reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from avca_pipeline.artifacts.split import TRAIN, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.evaluation.labelled_clips import LabelledClips
from avca_pipeline.models import Batch, Dims


class Triplets(Dataset):
    """Draws the negative of one clip at a time, as the published loader does.

    An item is the clip's video, audio and text, those of a clip of another class, and the row of
    the clip.
    """

    def __init__(self, data: LabelledClips, rows: np.ndarray) -> None:
        self.data, self.rows = data, rows
        targets = data.class_row[rows]
        self.of_class = {label: rows[targets == label] for label in np.unique(targets)}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        data, positive = self.data, self.rows[index]
        label = data.class_row[positive]
        while np.random.choice(self.of_class[label]) == positive:
            pass
        other = np.random.choice([one for one in self.of_class if one != label])
        negative = np.random.choice(self.of_class[other])
        arrays = (
            torch.from_numpy(array)
            for row in (positive, negative)
            for array in (data.video[row], data.audio[row], data.text[data.class_row[row]])
        )
        return *arrays, torch.tensor(positive)


def loader(
    data: LabelledClips,
    rows: np.ndarray,
    steps: int,
    batch: int,
    collate: Callable[[Any], Any] | None = None,
) -> DataLoader:
    """Returns class-balanced batches of `Triplets`."""
    targets = data.class_row[rows]
    weights = 1 / np.bincount(targets)[targets]
    drawn = WeightedRandomSampler(weights.tolist(), steps * batch)
    return DataLoader(Triplets(data, rows), batch_size=batch, sampler=drawn, collate_fn=collate)


class PlainLoop:
    """The loop, with a network and an optimiser of its own.

    Args:
        module: the method.
        settings: of the method, for the published manner.
        dims: of the features.
        data: clips of stage 1.
        class_text: ``(classes, text dim)``, of the classes to train on; its device is the loop's.
        steps: number of batches in an epoch.
    """

    def __init__(
        self,
        module: ModuleType,
        settings: Any,
        dims: Dims,
        data: LabelledClips,
        class_text: torch.Tensor,
        steps: int,
    ) -> None:
        self.module, self.settings, self.data = module, settings, data
        self.class_text, self.steps, self.device = class_text, steps, class_text.device
        self.network = module.build(settings, dims).to(self.device)

    @functools.cached_property
    def optimiser(self) -> torch.optim.Adam:
        """The optimiser, made on first use: torch needs seconds to import what it comes with."""
        return torch.optim.Adam(
            self.module.trainable(self.settings, self.network),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def epoch(self) -> None:
        """Trains; the pass for the batch norms builds a graph."""
        self.network.train()
        for batch in self.batches(self.data.rows(TRAIN)):
            self.optimiser.zero_grad()
            total = self.losses(batch)["total"]
            total.backward()
            self.optimiser.step()
            self.embed(batch)
            total.item()

    def validation_loss(self) -> None:
        """The validation loss that the published code computes besides, and nothing reads."""
        self.network.eval()
        with torch.no_grad():
            for batch in self.batches(self.data.rows(VAL_SEEN, VAL_UNSEEN)):
                self.losses(batch)["total"].item()

    def batches(self, rows: np.ndarray) -> Iterator[Any]:
        """Yields as many batches of these clips as there are steps."""
        for *tensors, row in loader(self.data, rows, self.steps, self.settings.batch_size):
            own = (tensor.to(self.device) for tensor in tensors)
            yield Batch(*own, self.class_text, self.text_row(row))

    def text_row(self, row: torch.Tensor) -> torch.Tensor:
        """Returns a row of ``class_text`` for each clip.

        Validation has classes that are not trained on; a classification loss wants a row for each.
        """
        text_row = torch.from_numpy(self.data.class_row[row.numpy()]).to(self.device)
        return text_row % len(self.class_text)

    def losses(self, batch: Any) -> dict[str, torch.Tensor]:
        """Returns the loss terms of a batch, and their ``total``."""
        terms: dict[str, torch.Tensor] = self.module.losses(self.settings, self.network, batch)
        return terms

    def embed(self, batch: Any) -> None:
        """Embeds a batch; only the statistics of the batch norms remember it."""
        self.module.embed_clips(self.settings, self.network, batch.video, batch.audio)
        self.module.embed_classes(self.settings, self.network, batch.text)
