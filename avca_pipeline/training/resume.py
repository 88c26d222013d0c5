"""The state of a training between two epochs, kept in a file so that a killed one continues."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import checkpoint
from avca_pipeline.errors import FormatError
from avca_pipeline.nn.adam import Adam
from avca_pipeline.nn.plateau import Plateau
from avca_pipeline.runtime.lazy import torch

logger = logging.getLogger(__name__)

# A state is written more often than it has to be, as far as that takes this share of the time. It
# takes more where one write takes more than this share of the longest time between two.
SHARE_OF_TIME = 0.05
KINDS = ("cpu", "cuda")


@dataclass
class TrainingResult:
    """The result of one stage of training.

    Attributes:
        history: for each epoch its losses, validation scores, learning rate and time.
        best_epoch: index of the epoch with the best validation HM; of equal ones the first.
        best_state: the network's state after that epoch.
        last_state: the network's state after the last one.
        states: the network's state after every one, if the model's settings ask for it.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = -1
    best_state: dict[str, Any] = field(default_factory=dict)
    last_state: dict[str, Any] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)

    def add_epoch(
        self, record: dict[str, Any], state: dict[str, Any], *, keeps_state: bool
    ) -> None:
        """Adds an epoch to the result.

        Args:
            record: what goes into `history`.
            state: of the network after the epoch, which nothing changes any more.
            keeps_state: whether the state goes into `states`, whatever becomes of the epoch.
        """
        epoch = len(self.history)
        self.history.append(record)
        self.last_state = state
        if keeps_state:
            self.states.append(state)
        if epoch == 0 or record["val"]["hm"] > self.history[self.best_epoch]["val"]["hm"]:
            self.best_epoch, self.best_state = epoch, state


@dataclass(frozen=True)
class State:
    """All that the next epoch depends on, but for the global random state."""

    network: torch.nn.Module
    optimiser: Adam
    schedule: Plateau
    triplets: torch.Generator
    device: str


def of_device(path: Path, device: str) -> Path:
    """Returns where the state is kept of a training on this kind of device.

    A CPU and a GPU do not continue each other's training. A job that for once gets no GPU leaves
    what was computed on one as it is.
    """
    return path.with_suffix(f".{device}{path.suffix}")


def remove(path: Path) -> None:
    """Removes the states of a training that has ended, on whatever device it was begun."""
    for device in KINDS:
        of_device(path, device).unlink(missing_ok=True)


@dataclass
class ResumeFile:
    """Writes the whole state of a training to a file and reads it back.

    Attributes:
        path: of the file; without one, nothing is kept.
        fingerprint: of everything that the result depends on.
        every_s: after this time the next epoch is followed by a write, whatever that costs; where
            writing is fast it is done more often, as far as `SHARE_OF_TIME` allows.
    """

    path: Path | None
    fingerprint: str
    every_s: float
    last_saved_s: float = field(default_factory=time.monotonic)
    cost_s: float = 0.0

    def save_if_due(self, fitted: TrainingResult, state: State) -> None:
        """Writes the state, unless the time since the last write is too short for that.

        Raises:
            PipelineError: the file cannot be written.
        """
        started_s = time.monotonic()
        wait_s = min(self.every_s, self.cost_s / SHARE_OF_TIME)
        if self.path is None or started_s - self.last_saved_s < wait_s:
            return
        checkpoint.write(self.path, _content(self.fingerprint, fitted, state))
        self.last_saved_s = time.monotonic()
        self.cost_s = self.last_saved_s - started_s

    def restore(self, fitted: TrainingResult, state: State) -> None:
        """Loads the state of an interrupted training of the same fit; says why if it does not."""
        if self.path is None or not self.path.exists():
            return
        try:
            content = checkpoint.read(self.path)
        except FormatError as error:
            logger.warning(f"{error}; training starts again at its first epoch")
            return
        if content.get("fingerprint") != self.fingerprint:
            logger.warning(
                f"{self.path}: belongs to another training (its settings, inputs, software or "
                "device differ); this one starts at its first epoch"
            )
            return
        _apply(content, fitted, state)
        logger.info(f"{self.path}: training continues after {len(fitted.history)} epochs")


def _content(fingerprint: str, fitted: TrainingResult, state: State) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "history": fitted.history,
        "best_epoch": fitted.best_epoch,
        "best_state": fitted.best_state,
        "states": fitted.states,
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state(),
        "schedule": state.schedule.state(),
        "triplets": state.triplets.get_state(),
        "random": torch.get_rng_state(),
        # Asking the others would open a context on every GPU, also for a training on the CPU.
        "cuda_random": torch.cuda.get_rng_state() if state.device == "cuda" else None,
    }


def _apply(content: dict[str, Any], fitted: TrainingResult, state: State) -> None:
    fitted.history = content["history"]
    fitted.best_epoch, fitted.best_state = content["best_epoch"], content["best_state"]
    fitted.states = content["states"]
    state.network.load_state_dict(content["network"])
    fitted.last_state = copy_of(state.network)
    state.optimiser.restore(content["optimiser"])
    state.schedule.restore(content["schedule"])
    state.triplets.set_state(content["triplets"])
    torch.set_rng_state(content["random"])
    if content["cuda_random"] is not None:
        torch.cuda.set_rng_state(content["cuda_random"])


def copy_of(network: torch.nn.Module) -> dict[str, Any]:
    """Returns a network's state on the CPU, which further training does not change."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
