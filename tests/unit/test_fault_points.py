"""A training killed before and after each step on its way to the disk, and run again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from avca_pipeline.artifacts import checkpoint
from avca_pipeline.models import avca
from avca_pipeline.requests import TrainRequest
from avca_pipeline.stages import train
from avca_pipeline.training import fit as fitting
from avca_pipeline.training import resume as resuming
from tests.builders import World, content_of

EPOCHS = 2
CANDIDATE = avca.Settings(
    epochs=EPOCHS, batches_per_epoch=2, batch_size=8, token_dim=16, embedding_dim=8,
    encoder_hidden=16, projection_hidden=16, heads=2, head_dim=8,
)  # fmt: skip
SETTINGS = {
    "plugin": "avca", "scaling": "standard", "seed": 0,
    "candidates": {"default": CANDIDATE.model_dump(mode="json")},
}  # fmt: skip


class Steps:
    """Counts steps towards the disk, and kills this process before or after one of them."""

    def __init__(self, killed_at: int | None) -> None:
        self.killed_at = killed_at
        self.count = 0
        self.num_epochs = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **more: Any) -> Any:
            self.reach()
            value = function(*arguments, **more)
            self.reach()
            return value

        return step

    def reach(self) -> None:
        if self.count == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        real_epoch = fitting.train_epoch

        def epoch(*arguments: Any) -> Any:
            self.num_epochs += 1
            return real_epoch(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resuming, "SHARE_OF_TIME", float("inf"))  # Saves after each epoch.
            patch.setattr(fitting, "train_epoch", epoch)
            patch.setattr(os, "fsync", self.around(os.fsync))
            patch.setattr(Path, "replace", self.around(Path.replace))
            patch.setattr(Path, "unlink", self.around(Path.unlink))
            yield


def stage_in_child(folder: Path, inputs: dict[str, Path], killed_at: int | None) -> int:
    """Runs the stage in a forked process; returns how that ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            steps = Steps(killed_at)
            with steps.patched():
                train.run_stage1(
                    TrainRequest(**SETTINGS),
                    inputs,
                    folder / "checkpoint.pt",
                    folder / "history.json",
                    resume=folder / "resume/stage1.pt",
                    device="cpu",
                )
            told = {"steps": steps.count, "epochs": steps.num_epochs}
            (folder / "told").write_text(json.dumps(told))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def result(folder: Path) -> tuple[dict[str, Any], list[Any]]:
    epochs = content_of(folder / "history.json")["epochs"]
    history = [{**epoch, "duration_s": 0} for epoch in epochs]
    return checkpoint.read(folder / "checkpoint.pt"), history


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def num_saved(resume: Path) -> int:
    return len(checkpoint.read(resume)["history"]) if resume.exists() else 0


@pytest.mark.slow
def test_killed_at_each_step_towards_the_disk(tmp_path: Path) -> None:
    """The same results, nothing left, and no epoch computed again that was saved."""
    inputs = World().write(tmp_path)
    whole = tmp_path / "whole"
    whole.mkdir()
    assert stage_in_child(whole, inputs, None) == 0
    told = json.loads((whole / "told").read_text())
    assert told["epochs"] == EPOCHS
    # Waiting for the disk, renaming and tidying up, before and after: of two states between
    # epochs, the checkpoint and the history; and the last state removed.
    assert told["steps"] >= 2 * (2 * (EPOCHS + 2) + 1)
    was_continued = 0
    for step in range(told["steps"]):
        folder = tmp_path / str(step)
        folder.mkdir()
        assert stage_in_child(folder, inputs, step) == -signal.SIGKILL
        saved = num_saved(folder / "resume/stage1.cpu.pt")
        was_continued += saved > 0
        assert stage_in_child(folder, inputs, None) == 0
        assert json.loads((folder / "told").read_text())["epochs"] == EPOCHS - saved
        assert_same(result(whole)[0], result(folder)[0])
        assert result(whole)[1] == result(folder)[1]
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        assert left == ["checkpoint.pt", "history.json", "resume", "told"]
    assert was_continued > told["steps"] / 2
