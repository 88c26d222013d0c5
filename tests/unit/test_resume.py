"""A training that was interrupted: what is computed again, and that nothing else differs."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline import cli, registry
from avca_pipeline.artifacts import checkpoint
from avca_pipeline.artifacts.split import TRAIN
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.evaluation.labelled_clips import learn_scaling
from avca_pipeline.models import Dims
from avca_pipeline.requests import TrainRequest
from avca_pipeline.stages import VERSIONS, train
from avca_pipeline.training import fit as fitting
from avca_pipeline.training.fit import TrainingResult, fit
from tests.builders import VALIDATION, World, content_of, labelled_clips, over_time

EPOCHS = 4
SMALL: dict[str, Any] = {
    "epochs": EPOCHS, "batches_per_epoch": 2, "batch_size": 8, "hidden": 16, "token_dim": 16,
    "embedding_dim": 8, "encoder_hidden": 16, "projection_hidden": 16, "head_dim": 8,
    "critic_steps": 1, "synthetic_per_class": 4, "classifier_batch": 8, "lr_patience": 0,
}  # fmt: skip


class Killed(BaseException):
    """Stands for the end of the process."""


class Epochs:
    """Counts the epochs that are begun, and ends the training at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_begun = 0
        self.ends_at: int | None = None
        real = fitting.train_epoch

        def counted(*arguments: Any) -> dict[str, float]:
            self.num_begun += 1
            if self.num_begun == self.ends_at:
                raise Killed
            return real(*arguments)

        monkeypatch.setattr(fitting, "train_epoch", counted)

    def killed_at(self, number: int) -> None:
        """Ends the training when it begins its ``number``-th epoch, counted from now."""
        self.num_begun, self.ends_at = 0, number

    def whole(self) -> None:
        self.num_begun, self.ends_at = 0, None


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> Epochs:
    return Epochs(monkeypatch)


def settings_of(plugin: ModuleType, **more: Any) -> Any:
    known = {name: v for name, v in SMALL.items() if name in plugin.Settings.model_fields}
    return plugin.Settings(**known | more)


def fitted(
    name: str, resume: Path | None = None, fingerprint: str = "the same", **more: Any
) -> TrainingResult:
    """Trains a model on data without negative numbers, which f-VAEGAN cannot make."""
    plugin, data = registry.load("models", name), labelled_clips()
    data = replace(data, video=np.abs(data.video), audio=np.abs(data.audio))
    settings = settings_of(plugin, **more)
    data = over_time(data) if settings.over_time else data
    return fit(
        plugin, settings, data, learn_scaling("standard" if name == "avca" else "none", data, 1),
        stage=1, epochs=EPOCHS, seed=3, device="cpu",
        resume=resume, resume_every_s=0.0, fingerprint=fingerprint,
    )  # fmt: skip


def assert_same(first: TrainingResult, second: TrainingResult) -> None:
    for one, other in zip(first.history, second.history, strict=True):
        assert {**one, "duration_s": 0} == {**other, "duration_s": 0}
    assert first.best_epoch == second.best_epoch
    pairs = [(first.best_state, second.best_state), (first.last_state, second.last_state)]
    for mine, others in pairs + list(zip(first.states, second.states, strict=True)):
        assert mine.keys() == others.keys()
        assert all(torch.equal(mine[name], others[name]) for name in mine)


def is_trained(name: str) -> bool:
    """Whether a method has anything that a training moves."""
    plugin = registry.load("models", name)
    settings = plugin.Settings()
    return bool(plugin.trainable(settings, plugin.build(settings, Dims(12, 12, 24))))


@pytest.mark.parametrize("name", [name for name in registry.names("models") if is_trained(name)])
def test_no_epoch_is_computed_twice(name: str, tmp_path: Path, epochs: Epochs) -> None:
    """But the one in which the training was killed; and every bit is as if it had not been."""
    whole = fitted(name)
    resume = tmp_path / "resume.pt"
    epochs.killed_at(3)
    with pytest.raises(Killed):
        fitted(name, resume)
    epochs.whole()
    again = fitted(name, resume)
    assert epochs.num_begun == EPOCHS - 2
    assert_same(whole, again)
    fitted(name, resume)
    assert epochs.num_begun == EPOCHS - 2  # nothing was left to do


def test_killed_in_every_epoch(tmp_path: Path, epochs: Epochs) -> None:
    """Also the states of all epochs are kept, where the settings ask for them."""
    whole = fitted("avca", chosen_on_test=True)
    assert len(whole.states) == EPOCHS
    for _ in range(EPOCHS - 1):
        epochs.killed_at(2)
        with pytest.raises(Killed):
            fitted("avca", tmp_path / "resume.pt", chosen_on_test=True)
    epochs.whole()
    assert_same(whole, fitted("avca", tmp_path / "resume.pt", chosen_on_test=True))
    assert epochs.num_begun == 1


def test_of_another_training_nothing_is_used(
    tmp_path: Path, epochs: Epochs, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fitted("avca")
    epochs.killed_at(3)
    with pytest.raises(Killed):
        fitted("avca", tmp_path / "resume.pt", "another")
    epochs.whole()
    capsys.readouterr()
    assert_same(whole, fitted("avca", tmp_path / "resume.pt"))
    assert epochs.num_begun == EPOCHS
    assert "resume.pt: belongs to another training" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut off", "zeros", "empty", "another kind"])
def test_what_cannot_be_read_is_said(
    tmp_path: Path, epochs: Epochs, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    resume = tmp_path / "resume.pt"
    whole = fitted("avca", resume)
    content = bytearray(resume.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    damaged = {"cut off": bytes(content[:1000]), "zeros": bytes(content), "empty": b""}
    resume.write_bytes(damaged.get(damage, b"PK of another program"))
    epochs.whole()
    capsys.readouterr()
    assert_same(whole, fitted("avca", resume))
    assert epochs.num_begun == EPOCHS
    said = capsys.readouterr().err
    assert f"{resume}: damaged" in said
    assert "training starts again at its first epoch" in said


def test_what_a_checkpoint_could_not_be_read_with_is_not_written(tmp_path: Path) -> None:
    for value in (np.float64(1), np.zeros(2), {"deep": [np.int64(1)]}, tmp_path):
        with pytest.raises(AssertionError, match="file"):
            checkpoint.write(tmp_path / "file.pt", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    """A megabyte of compressed members may be a gigabyte of memory."""
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    checkpoint.write(plain, {"zeros": torch.zeros(100_000)})
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert packed.stat().st_size < plain.stat().st_size / 10
    assert checkpoint.read(plain)["zeros"].shape == (100_000,)
    with pytest.raises(FormatError, match=r"packed\.pt: "):
        checkpoint.read(packed)


def test_a_training_on_the_cpu_asks_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for its random numbers: that would open a context on every GPU there is."""

    def opened(*_: object) -> None:
        raise AssertionError("a GPU was asked")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for module in (torch.cuda, torch.cuda.random):
        monkeypatch.setattr(module, "device_count", lambda: 1)
        monkeypatch.setattr(module, "_lazy_init", opened)
    fitted("avca", tmp_path / "resume.pt")
    fitted("avca", tmp_path / "resume.pt")


def stage1(folder: Path, inputs: dict[str, Path], **settings: Any) -> tuple[Path, Path]:
    """Runs the stage on files; returns its resume file and its history."""
    candidate = settings_of(registry.load("models", "avca")).model_dump(mode="json")
    given = {
        "plugin": "avca", "scaling": "none", "seed": 0, "version": VERSIONS["train"],
        "candidates": {"default": candidate | settings.pop("candidate", {})}, **settings,
    }  # fmt: skip
    resume, history = folder / "resume.pt", folder / "history.json"
    train.run_stage1(
        TrainRequest(**given),
        inputs,
        folder / "checkpoint.pt",
        history,
        resume=resume,
        device="cpu",
    )
    return resume, history


@pytest.fixture
def interrupted(tmp_path: Path, epochs: Epochs) -> dict[str, Path]:
    """The files of a training that was killed after its second epoch and left its state."""
    inputs = World().write(tmp_path)
    epochs.killed_at(3)
    with pytest.raises(Killed):
        stage1(tmp_path, inputs)
    assert (tmp_path / "resume.cpu.pt").exists()
    epochs.whole()
    return inputs


def test_the_stage_continues(tmp_path: Path, epochs: Epochs, interrupted: dict[str, Path]) -> None:
    resume, history = stage1(tmp_path, interrupted)
    assert EPOCHS - 2 <= epochs.num_begun < EPOCHS  # as its last saved state was after 1 or 2
    assert not list(resume.parent.glob("resume*"))
    assert [row["epoch"] for row in content_of(history)["epochs"]] == list(range(EPOCHS))


def test_the_command_continues_where_it_was_stopped(tmp_path: Path, epochs: Epochs) -> None:
    """No epoch that the resume file holds is trained again, and the result is the same."""
    inputs = World().write(tmp_path)
    candidate = settings_of(registry.load("models", "avca")).model_dump(mode="json")
    request = TrainRequest(
        plugin="avca", scaling="none", seed=0, candidates={"default": candidate}
    )  # fmt: skip

    def train_into(name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        folder = tmp_path / name
        files = [text for key in inputs for text in (f"--{key}", str(inputs[key]))]
        command = [
            "train", "--stage", "1", "--settings", request.model_dump_json(), *files,
            "--device", "cpu", "--threads", "1", "--out", str(folder / "checkpoint.pt"),
            "--history", str(folder / "history.json"), "--resume", str(folder / "resume.pt"),
        ]  # fmt: skip
        assert cli.main(command) == 0
        rows = content_of(folder / "history.json")["epochs"]
        return [{**row, "duration_s": 0} for row in rows], checkpoint.read(folder / "checkpoint.pt")

    whole = train_into("whole")
    assert epochs.num_begun == EPOCHS
    epochs.killed_at(EPOCHS)
    with pytest.raises(Killed):
        train_into("stopped")
    num_saved = len(checkpoint.read(tmp_path / "stopped/resume.cpu.pt")["history"])
    assert 1 <= num_saved < EPOCHS
    epochs.whole()
    again = train_into("stopped")
    assert epochs.num_begun == EPOCHS - num_saved
    assert again[0] == whole[0]
    for name, value in whole[1]["state"].items():
        assert torch.equal(again[1]["state"][name], value)


@pytest.mark.parametrize(
    "changed",
    [{"version": 10_000}, {"seed": 1}, {"scaling": "standard"}, {"candidate": {"beta1": 0.5}}],
)
def test_the_stage_starts_again_with_other_settings(
    tmp_path: Path, epochs: Epochs, interrupted: dict[str, Path], changed: dict[str, Any]
) -> None:
    stage1(tmp_path, interrupted, **changed)
    assert epochs.num_begun == EPOCHS


@pytest.mark.parametrize("name", ["split", "labels", "video", "audio"])
def test_the_stage_starts_again_with_another_input(
    tmp_path: Path, epochs: Epochs, interrupted: dict[str, Path], name: str
) -> None:
    world = World()
    if name == "labels":
        world.vectors = {key: 2 * vector for key, vector in world.vectors.items()}
    elif name == "split":
        world.clips = [c for c in world.clips if c.partition != TRAIN or c.clip_id[-1] != "2"]
    else:
        row = ("video", "audio").index(name)
        for clip in world.features:
            world.features[clip] = world.features[clip].copy()
            world.features[clip][row] += 1
    (tmp_path / "other").mkdir()
    other = world.write(tmp_path / "other")
    stage1(tmp_path, interrupted | {name: other[name]})
    assert epochs.num_begun == EPOCHS


def test_another_device_stage_or_number_of_epochs_is_another_training(
    interrupted: dict[str, Path],
) -> None:
    request = TrainRequest(plugin="avca", scaling="none", seed=0, candidates={"default": {}})
    asked = [(1, EPOCHS, "cpu"), (1, EPOCHS, "cuda"), (1, EPOCHS + 1, "cpu"), (2, EPOCHS, "cpu")]
    found = [train.fingerprint(request, {}, interrupted, *of) for of in asked]
    assert len(set(found)) == len(asked)
    assert train.fingerprint(request, {}, interrupted, *asked[0]) == found[0]


def test_stage_1_trains_one_candidate(tmp_path: Path) -> None:
    request = TrainRequest(plugin="avca", scaling="none", seed=0, candidates={"a": {}, "b": {}})
    places = (tmp_path / "checkpoint.pt", tmp_path / "history.json")
    with pytest.raises(PipelineError, match="candidates: stage 1 trains one, found 2"):
        train.run_stage1(request, {}, *places, resume=tmp_path / "resume.pt", device="cpu")


def test_what_a_gpu_computed_stays_until_training_ends(tmp_path: Path, epochs: Epochs) -> None:
    """Though a job that for once got no GPU saves its own state."""
    inputs = World().write(tmp_path)
    (tmp_path / "resume.cuda.pt").write_bytes(b"of a GPU")
    epochs.killed_at(3)
    with pytest.raises(Killed):
        stage1(tmp_path, inputs)
    assert sorted(path.name for path in tmp_path.glob("resume*")) == [
        "resume.cpu.pt",
        "resume.cuda.pt",
    ]
    assert (tmp_path / "resume.cuda.pt").read_bytes() == b"of a GPU"
    epochs.whole()
    stage1(tmp_path, inputs)
    assert not list(tmp_path.glob("resume*"))


def test_only_stage_1_speaks_of_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stage 2 trains on these clips; their scores would read like a leak."""
    inputs = World().write(tmp_path)
    stage1(tmp_path, inputs)
    assert "best validation HM" in capsys.readouterr().err
    candidate = settings_of(registry.load("models", "avca")).model_dump(mode="json")
    given = {"plugin": "avca", "scaling": "none", "seed": 0, "candidates": {"default": candidate}}
    (tmp_path / "selection.json").write_text(
        json.dumps(
            {
                "format_version": 1,
                "candidate": "default",
                "epoch": 1,
                "bias": 0.5,
                "val": asdict(VALIDATION),
                "num_candidates": 1,
            }
        )
    )
    out = [tmp_path / "stage2.pt", tmp_path / "stage2.json"]
    train.run_stage2(
        TrainRequest(**given), inputs, tmp_path / "selection.json", *out,
        resume=tmp_path / "resume.pt", device="cpu",
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "train stage 2, seed 0: 2 epochs on the clips of training and validation" in said
    assert "HM" not in said
    assert "best" not in said
