"""A method that answers as a test has written down, and notes what it is given.

It has one number to train, which falls by the learning rate at every optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.models import Batch, ClassKnowledge, Dims, ModelSettings

FAR = 100.0  # no bias makes up for it


class Network(torch.nn.Module):
    """One parameter; ``answers`` are the classes whose clips it recognises, if it says."""

    def __init__(self, answers: str | None = None, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.answers = answers


@dataclass
class Scripted:
    """Keeps to the contract of `avca_pipeline.models`.

    A clip's first two video features are its row and its class; its first audio feature is its
    row, too. A class's first text feature is the class.

    Attributes:
        script: the classes that are recognised, as digits, each time that distances are asked for.
        readied: what `adapt_to_classes` gives for a network; without it, the network itself.
        unseen: classes that are taken for each other if they are not recognised; so are all
            others.
    """

    script: Sequence[str] = ()
    readied: Callable[[Network], list[Network]] | None = None
    unseen: str = "34"
    batches: list[Batch] = field(default_factory=list)
    modes: set[tuple[str, bool]] = field(default_factory=set)
    embedded: list[int] = field(default_factory=list)
    knowledge: list[ClassKnowledge] = field(default_factory=list)
    num_asked: int = 0

    def build(self, settings: ModelSettings, dims: Dims) -> Network:
        self.dims = dims
        return Network()

    def trainable(self, settings: ModelSettings, network: Network) -> list[torch.nn.Parameter]:
        return [network.weight]

    def steps(
        self, settings: ModelSettings, network: Network, batch: Batch
    ) -> Iterator[dict[str, torch.Tensor]]:
        self.modes.add(("steps", network.training))
        self.batches.append(batch)
        for part in (2.0, 3.0):
            yield {"total": network.weight.sum(), "part": torch.tensor(part)}

    def adapt_to_classes(
        self, settings: ModelSettings, network: Network, knowledge: ClassKnowledge
    ) -> Iterator[Network]:
        self.modes.add(("adapt_to_classes", network.training))
        self.knowledge.append(knowledge)
        yield from [network] if self.readied is None else self.readied(network)

    def embed_clips(
        self, settings: ModelSettings, network: Network, video: torch.Tensor, audio: torch.Tensor
    ) -> torch.Tensor:
        self.modes.add(("embed_clips", network.training))
        assert torch.equal(video[:, 0], audio[:, 0])
        # The last clip fills up a block: each number counts once in it.
        self.embedded += dict.fromkeys(video[:, 0].int().tolist())
        return video[:, 1:2]

    def embed_classes(
        self, settings: ModelSettings, network: Network, text: torch.Tensor
    ) -> torch.Tensor:
        self.modes.add(("embed_classes", network.training))
        return text[:, :1]

    def distances(
        self, settings: ModelSettings, network: Network, clips: np.ndarray, classes: np.ndarray
    ) -> Distances:
        answers = network.answers
        if answers is None:
            answers = self.script[self.num_asked]
        self.num_asked += 1
        names = [str(int(value)) for value in classes[:, 0]]
        distance = np.full((len(clips), len(classes)), FAR)
        for row, value in enumerate(clips[:, 0]):
            own = str(int(value))
            alike = [n for n in names if n != own and (n in self.unseen) == (own in self.unseen)]
            distance[row, names.index(own if own in answers else alike[0])] = 0.0
        return Distances(distance)
