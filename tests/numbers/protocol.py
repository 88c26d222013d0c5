"""Runs both stages, the selection and the evaluation by their commands, on a tiny world."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline import cli
from avca_pipeline.artifacts import checkpoint, scores
from avca_pipeline.artifacts.scores import Embeddings
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    SplitClip,
)
from avca_pipeline.models import devise
from tests.builders import RUN, World, content_of


class Unequal(World):
    """The small world with five seen classes and two unseen ones, in unequal numbers of clips.

    Class ``d`` has no clip in the test; three clips lack a feature.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(1)
        more = {("f", TRAIN): 5, ("f", VAL_SEEN): 2, ("f", TEST_SEEN): 4, ("g", TEST_UNSEEN): 7}
        self.clips += [
            SplitClip(f"{name}{partition}{index}", name, f"{name}{index}", partition)
            for (name, partition), count in more.items()
            for index in range(count)
        ]
        self.vectors = {name: generator.standard_normal(4) for name in "abcdefg"}
        image = generator.standard_normal((4, 2 * self.dim))
        # Dimensions of unlike size and mean: what is not scaled is found out.
        size = np.tile(3.0 ** np.arange(-3, self.dim - 3), 2)
        for clip in self.clips:
            signal = self.vectors[clip.class_name] @ image + generator.standard_normal(12)
            self.features[clip.clip_id] = np.float32(size * (signal + 0.5)).reshape(2, self.dim)
        self.missing = {"video": {"ftrain0"}, "audio": {"gtest_unseen1", "atest_seen2"}}

    def usable(self, *partitions: str) -> list[SplitClip]:
        """Returns the clips of these partitions that lack nothing, by id."""
        lost = set().union(*self.missing.values())
        found = (c for c in self.clips if c.partition in partitions and c.clip_id not in lost)
        return sorted(found, key=lambda clip: clip.clip_id)

    def table(self, clips: list[SplitClip]) -> np.ndarray:
        """Returns ``(clips, video dim + audio dim)``, as the files hold them."""
        both = (self.features[clip.clip_id] for clip in clips)
        rows = [np.concatenate([video, audio[: self.audio_dim]]) for video, audio in both]
        return np.array(rows).astype(np.float64)


@dataclass(frozen=True)
class Protocol:
    """What the commands left behind in a folder."""

    folder: Path
    names: tuple[str, ...]

    def stage1(self, name: str) -> dict[str, Any]:
        return checkpoint.read(self.folder / f"{name}.pt")

    def history(self, name: str) -> dict[str, Any]:
        return content_of(self.folder / f"{name}.json")

    @property
    def stage2(self) -> dict[str, Any]:
        return checkpoint.read(self.folder / "stage2.pt")

    @property
    def history2(self) -> dict[str, Any]:
        return content_of(self.folder / "stage2.json")

    @property
    def selection(self) -> dict[str, Any]:
        return content_of(self.folder / "selection.json")

    @property
    def scores(self) -> dict[str, Any]:
        return content_of(self.folder / "scores.json")

    @property
    def embeddings(self) -> Embeddings:
        return scores.read_embeddings(self.folder / "embeddings.h5")


def candidate(**changes: Any) -> dict[str, Any]:
    """Returns settings of the cheapest model: one matrix, trained for a few steps."""
    few = {"epochs": 4, "batches_per_epoch": 3, "batch_size": 8, "learning_rate": 0.01}
    return devise.Settings(**{**few, **changes}).model_dump(mode="json")


def run(
    world: World,
    folder: Path,
    candidates: dict[str, dict[str, Any]],
    *,
    scaling: str = "standard",
    seed: int = 0,
    plugin: str = "devise",
) -> Protocol:
    """Writes the world and runs ``train`` for each candidate, ``select``, ``train``, ``evaluate``.

    Args:
        world: clips, features and text embeddings.
        folder: an empty one.
        candidates: name to settings of the plugin.
        scaling: of the features.
        seed: of the training.
        plugin: the method.
    """
    inputs = world.write(folder)
    files = [text for name in inputs for text in (f"--{name}", str(inputs[name]))]
    common = {"plugin": plugin, "scaling": scaling, "seed": seed}
    alone = ["--device", "cpu", "--threads", "1"]

    def avca(*arguments: str | Path) -> None:
        assert cli.main([str(argument) for argument in arguments]) == 0

    def train(stage: int, name: str, some: dict[str, Any], *more: str | Path) -> None:
        settings = json.dumps({**common, "candidates": some})
        avca(
            "train", "--stage", str(stage), "--settings", settings, *files, *alone, *more,
            "--out", folder / f"{name}.pt", "--history", folder / f"{name}.json",
            "--resume", folder / f"{name}.resume",
        )  # fmt: skip

    for name, settings in candidates.items():
        train(1, name, {name: settings})
    histories = [folder / f"{name}.json" for name in candidates]
    selection = folder / "selection.json"
    names = json.dumps({"candidates": list(candidates)})
    avca("select", "--settings", names, "--histories", *histories, "--out", selection)
    train(2, "stage2", candidates, "--selection", selection)
    run_names = {**asdict(RUN), "seed": seed}
    scored = {"run": run_names, "video": "video", "audio": "audio"}
    avca(
        "evaluate", "--settings", json.dumps(scored), *files, *alone,
        "--checkpoint", folder / "stage2.pt", "--selection", selection,
        "--out", folder / "scores.json", "--embeddings", folder / "embeddings.h5",
        "--predictions", folder / "predictions.csv",
    )  # fmt: skip
    return Protocol(folder, tuple(candidates))
