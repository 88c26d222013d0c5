"""Whatever the test clips are, candidate, epoch, bias and both checkpoints stay the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from avca_pipeline.artifacts import checkpoint
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    VAL_UNSEEN,
    SplitClip,
)
from avca_pipeline.models import avca
from avca_pipeline.requests import SelectRequest, TrainRequest
from avca_pipeline.stages import select, train
from tests.builders import World, content_of

CANDIDATES = {
    f"learning_rate={lr}": avca.Settings(
        epochs=2, batches_per_epoch=6, batch_size=8, token_dim=8, embedding_dim=8,
        encoder_hidden=8, projection_hidden=8, heads=1, head_dim=8, attention_hidden=4,
        encoder_dropout=0.1, projection_dropout=0.0, decoder_dropout=0.0,
        learning_rate=lr,
    ).model_dump(mode="json")
    for lr in (0.001, 0.05)
}  # fmt: skip


def other_features(world: World, generator: np.random.Generator) -> None:
    for clip in world.clips:
        if clip.partition in (TEST_SEEN, TEST_UNSEEN):
            scale = 10.0 ** generator.integers(-3, 6)
            world.features[clip.clip_id] = scale * generator.standard_normal((2, World.dim))


def other_classes(world: World, generator: np.random.Generator) -> None:
    seen = sorted({clip.class_name for clip in world.clips if clip.partition == TEST_SEEN})
    world.clips = [
        replace(clip, class_name=str(generator.choice(seen)))
        if clip.partition == TEST_SEEN
        else clip
        for clip in world.clips
    ]


def other_vectors(world: World, generator: np.random.Generator) -> None:
    world.vectors["e"] = 1e3 * generator.standard_normal(3)


def fewer_clips(world: World, generator: np.random.Generator) -> None:
    kept = {str(generator.choice(3)) for _ in range(2)}
    world.clips = [
        clip
        for clip in world.clips
        if clip.partition not in (TEST_SEEN, TEST_UNSEEN) or clip.clip_id[-1] in kept
    ]


def more_clips_of_a_new_class(world: World, generator: np.random.Generator) -> None:
    name = str(generator.choice(["0 first", "between", "z last"]))
    world.vectors[name] = generator.standard_normal(3)
    for index in range(4):
        clip = SplitClip(f"{name}{index}", name, f"{name}{index}", TEST_UNSEEN)
        world.clips.append(clip)
        world.features[clip.clip_id] = generator.standard_normal((2, World.dim))


CHANGES = (other_features, other_classes, other_vectors, fewer_clips, more_clips_of_a_new_class)
Change = Callable[[World, np.random.Generator], None]


def outcome(world: World, scaling: str) -> list[Any]:
    """Returns all that both stages and the selection leave behind."""
    settings = {"plugin": "avca", "scaling": scaling, "seed": 0}
    with TemporaryDirectory() as name:
        folder = Path(name)
        inputs = world.write(folder)
        histories, found = [], []
        for index, candidate in enumerate(CANDIDATES.items()):
            histories.append(folder / f"{index}.json")
            train.run_stage1(
                TrainRequest(**{**settings, "candidates": dict([candidate])}),
                inputs,
                folder / "stage1.pt",
                histories[-1],
                resume=folder / "resume.pt",
                device="cpu",
            )
            found.append(plain(checkpoint.read(folder / "stage1.pt")))
        select.run(SelectRequest(candidates=list(CANDIDATES)), histories, folder / "selection.json")
        train.run_stage2(
            TrainRequest(**{**settings, "candidates": CANDIDATES}),
            inputs,
            folder / "selection.json",
            folder / "stage2.pt",
            folder / "stage2.json",
            resume=folder / "resume.pt",
            device="cpu",
        )
        found.append(plain(checkpoint.read(folder / "stage2.pt")))
        for path in [*histories, folder / "selection.json", folder / "stage2.json"]:
            found.append(without_times(content_of(path)))
    return found


@cache
def unchanged(scaling: str) -> list[Any]:
    return outcome(World(), scaling)


def plain(value: Any) -> Any:
    """Returns a checkpoint with its tensors as bytes, so that ``==`` compares every bit."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(inner) for k, inner in value.items() if k != "duration_s"}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def test_what_a_change_of_validation_clips_does() -> None:
    """The comparison can fail, and there is something to choose."""
    changed = World()
    for clip in changed.clips:
        if clip.partition == VAL_UNSEEN:
            changed.features[clip.clip_id] += 1.0
    assert unchanged("none") != outcome(changed, "none")
    of_epochs = [epoch["val"]["hm"] for h in unchanged("none")[3:5] for epoch in h["epochs"]]
    assert len(set(of_epochs)) > 1


@settings(max_examples=4, deadline=None, phases=[Phase.generate])  # shrinking takes minutes
@given(
    changes=st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 2**32 - 1),
    scaling=st.sampled_from(["none", "standard"]),
)
def test_no_test_clip_decides_anything(changes: list[Change], seed: int, scaling: str) -> None:
    changed = World()
    generator = np.random.default_rng(seed)
    for change in changes:
        change(changed, generator)
    assert unchanged(scaling) == outcome(changed, scaling)
