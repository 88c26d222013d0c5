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

SHARE_OF_TIME = 0.05
"""Share of the time that writing may take where it is done more often than it has to be."""
KINDS = ("cpu", "cuda")


@dataclass
class TrainingResult:
    """The result of one stage of training.

    Attributes:
        history: for each epoch its losses, validation scores, learning rate and time.
        best_epoch: index of the epoch with the best validation HM; of equal ones the first. In
            stage 2, which does not validate each epoch, it means nothing.
        best_state: the network's state after that epoch.
        last_state: the network's state after the last epoch.
        states: the network's state after every epoch, if the model's settings ask for it.
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
        val, best = record["val"], self.history[self.best_epoch]["val"]
        if epoch == 0 or (val and val["hm"] > best["hm"]):
            self.best_epoch, self.best_state = epoch, state


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next epoch depends on, except the global random state."""

    network: torch.nn.Module
    optimiser: Adam
    schedule: Plateau
    triplets: torch.Generator
    device: str


def path_for_device(path: Path, device: str) -> Path:
    """Returns the file for the state of a training on this kind of device.

    A CPU and a GPU do not continue each other's training. So a job that gets no GPU this time does
    not overwrite what was computed on a GPU.
    """
    return path.with_suffix(f".{device}{path.suffix}")


def remove_files(path: Path) -> None:
    """Removes the files of a training that has ended, those of all kinds of device."""
    for device in KINDS:
        path_for_device(path, device).unlink(missing_ok=True)


@dataclass
class ResumeFile:
    """Writes the whole state of a training to a file and reads it back.

    Attributes:
        path: of the file; without a path nothing is kept.
        fingerprint: of everything that the result depends on.
        every_s: after this time the next epoch is followed by a write, whatever that costs. Where
            writing is fast it is done more often, as far as `SHARE_OF_TIME` allows.
        last_saved_s: time of the last write, or of the beginning.
        cost_s: duration of the last write.
    """

    path: Path | None
    fingerprint: str
    every_s: float
    last_saved_s: float = field(default_factory=time.monotonic)
    cost_s: float = 0.0

    def save_if_due(self, result: TrainingResult, state: TrainingState) -> None:
        """Writes the state, unless the time since the last write is too short for that.

        Raises:
            PipelineError: the file cannot be written.
        """
        started_s = time.monotonic()
        wait_s = min(self.every_s, self.cost_s / SHARE_OF_TIME)
        if self.path is None or started_s - self.last_saved_s < wait_s:
            return
        checkpoint.write(self.path, _content(self.fingerprint, result, state))
        self.last_saved_s = time.monotonic()
        self.cost_s = self.last_saved_s - started_s

    def restore(self, result: TrainingResult, state: TrainingState) -> None:
        """Loads the state of an interrupted training of the same fit, or logs why it does not."""
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
        _apply(content, result, state)
        logger.info(f"{self.path}: training continues after {len(result.history)} epochs")


def _content(fingerprint: str, result: TrainingResult, state: TrainingState) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "history": result.history,
        "best_epoch": result.best_epoch,
        "best_state": result.best_state,
        "states": result.states,
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state(),
        "schedule": state.schedule.state(),
        "triplets": state.triplets.get_state(),
        "random": torch.get_rng_state(),
        # Asking for the state of all GPUs would open a context on each of them.
        "cuda_random": torch.cuda.get_rng_state() if state.device == "cuda" else None,
    }


def _apply(content: dict[str, Any], result: TrainingResult, state: TrainingState) -> None:
    result.history = content["history"]
    result.best_epoch, result.best_state = content["best_epoch"], content["best_state"]
    result.states = content["states"]
    state.network.load_state_dict(content["network"])
    result.last_state = copy_of(state.network)
    state.optimiser.restore(content["optimiser"])
    state.schedule.restore(content["schedule"])
    state.triplets.set_state(content["triplets"])
    torch.set_rng_state(content["random"])
    if content["cuda_random"] is not None:
        torch.cuda.set_rng_state(content["cuda_random"])


def copy_of(network: torch.nn.Module) -> dict[str, Any]:
    """Returns a network's state on the CPU, which further training does not change."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
