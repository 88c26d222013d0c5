"""What a training does with one batch, as a function of tensors that stay where they are.

Only so can a GPU be given all of it at once, see `graphs`.
"""

from __future__ import annotations

from collections.abc import Callable

from avca_pipeline.evaluation.device_clips import TrainingClips
from avca_pipeline.models import AnyModel, ModelSettings
from avca_pipeline.nn.adam import Adam
from avca_pipeline.runtime.lazy import torch


class Step:
    """All steps of the optimiser on one batch.

    Called, it reads the batch's clips, moves the parameters, and leaves the loss terms behind. It
    depends on nothing but its tensors and the global random state, and never waits for the device.

    Attributes:
        plugin: the model.
        settings: its hyper-parameters.
        network: its network.
        optimiser: of the network's parameters.
        clips: the clips of the stage.
        rows: ``(2, batch)``, rows of the clips and of clips of other classes, which are written
            here for each batch; where `TrainingClips.batch` wants them.
        names: of the loss terms, known after the first batch.
        losses: ``(terms,)``, their values of the last batch. Terms of several steps of the
            optimiser on one batch are added up.
        run: what does this on the next batch: this itself, or a replay of it.
        is_tried: whether it is decided which of the two.
    """

    names: tuple[str, ...]
    losses: torch.Tensor

    def __init__(
        self,
        plugin: AnyModel,
        settings: ModelSettings,
        network: torch.nn.Module,
        optimiser: Adam,
        clips: TrainingClips,
    ) -> None:
        self.plugin, self.settings, self.network = plugin, settings, network
        self.optimiser, self.clips = optimiser, clips
        shape = 2, settings.batch_size
        self.rows = torch.zeros(shape, dtype=torch.int64, device=clips.row_device)
        self.run: Callable[[], None] = self
        self.is_tried = False

    def __call__(self) -> None:
        """Trains on the batch whose rows are in `rows`."""
        batch = self.clips.batch(self.rows[0], self.rows[1])
        sums: dict[str, torch.Tensor] = {}
        for terms in self.plugin.steps(self.settings, self.network, batch):
            self.optimiser.zero_grad()
            terms["total"].backward()
            self.optimiser.step()
            for name, term in terms.items():
                sums[name] = sums[name] + term.detach() if name in sums else term.detach()
        self.names, self.losses = tuple(sums), torch.stack(list(sums.values()))

    def on(self, batches: torch.Tensor) -> torch.Tensor:
        """Trains on batches one after the other and returns their losses, ``(batches, terms)``.

        Args:
            batches: ``(batches, 2, batch)``, what `rows` are to be for each; on the same device.
        """
        losses = []
        for rows in batches:
            self.rows.copy_(rows)
            self.run()
            losses.append(self.losses.clone())  # A replay writes into the same tensor again.
        return torch.stack(losses)
