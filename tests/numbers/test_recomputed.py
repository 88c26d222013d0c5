"""What train, select and evaluate write, computed again from the world that they were given.

Nothing here is read from a file that the stages wrote but the matrix that was trained.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import RUN
from tests.numbers.protocol import Protocol, Unequal, candidate, run

SEED = 3
CANDIDATES = {
    "low": candidate(learning_rate=0.001),
    "mid": candidate(learning_rate=0.03),
    "high": candidate(learning_rate=0.3),
}
TRAINED_ON = {1: ("train",), 2: ("train", "val_seen", "val_unseen")}
# Which classes a network of a stage is asked about, and which of them it has not seen.
VALIDATION = ("val_seen", "val_unseen"), "abfcd", "cd"
TEST = ("test_seen", "test_unseen"), "abcdefg", "eg"
BIASES = [round(0.2 * step, 1) for step in range(16)]


@pytest.fixture(scope="module")
def world() -> Unequal:
    return Unequal()


@pytest.fixture(scope="module")
def done(world: Unequal, tmp_path_factory: pytest.TempPathFactory) -> Protocol:
    return run(world, tmp_path_factory.mktemp("protocol"), CANDIDATES, seed=SEED)


@dataclass(frozen=True)
class Answers:
    """Distances of clips and classes, and what follows from them by definition."""

    distance: np.ndarray
    truth: list[str]
    names: list[str]
    unseen: str

    def predicted(self, bias: float, among: str) -> list[str]:
        found = []
        for row in self.distance:
            of = {
                name: d + (0.0 if name in self.unseen else bias)
                for name, d in zip(self.names, row, strict=True)
                if name in among
            }
            found.append(min(of, key=lambda name: of[name]))
        return found

    def per_class(self, bias: float, among: str) -> dict[str, float | None]:
        predicted = self.predicted(bias, among)
        accuracy: dict[str, float | None] = {}
        for name in self.names:
            right = [p == name for p, t in zip(predicted, self.truth, strict=True) if t == name]
            accuracy[name] = sum(right) / len(right) if right else None
        return accuracy

    def scores(self, bias: float) -> dict[str, float]:
        everywhere = self.per_class(bias, "".join(self.names))
        s = mean(everywhere[name] for name in self.names if name not in self.unseen)
        u = mean(everywhere[name] for name in self.unseen)
        zsl = mean(self.per_class(0.0, self.unseen)[name] for name in self.unseen)
        return {"seen": s, "unseen": u, "hm": 2 * s * u / (s + u) if s + u else 0.0, "zsl": zsl}

    def calibrated(self) -> dict[str, float]:
        best: dict[str, float] = {}
        for bias in BIASES:
            found = self.scores(bias)
            if not best or found["hm"] > best["hm"] + 1e-12:
                best = {**found, "bias": bias}
        return best


def mean(values: Any) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def scaled(world: Unequal, stage: int, partitions: tuple[str, ...]) -> np.ndarray:
    """Returns the clips' features with mean 0 and deviation 1 over what the stage trains on."""
    training = world.table(world.usable(*TRAINED_ON[stage]))
    return (world.table(world.usable(*partitions)) - training.mean(0)) / training.std(0)


def answers(
    world: Unequal, stage: int, matrix: np.ndarray, about: tuple[tuple[str, ...], str, str]
) -> Answers:
    partitions, names, unseen = about
    clips = scaled(world, stage, partitions) @ matrix.astype(np.float64).T
    classes = np.array([world.vectors[name] for name in sorted(names)])
    distance = np.linalg.norm(clips[:, None] - classes[None], axis=-1)
    truth = [clip.class_name for clip in world.usable(*partitions)]
    return Answers(distance, truth, sorted(names), unseen)


def matrix(content: dict[str, Any]) -> np.ndarray:
    return content["state"]["map.weight"].numpy()


def stated(epoch: dict[str, Any]) -> dict[str, float]:
    return {name: epoch["val"][name] for name in ("seen", "unseen", "hm", "zsl", "bias")}


@pytest.mark.parametrize("name", CANDIDATES)
def test_stage_1_keeps_the_network_of_its_best_epoch(
    world: Unequal, done: Protocol, name: str
) -> None:
    history, content = done.history(name), done.stage1(name)
    reached = [epoch["val"]["hm"] for epoch in history["epochs"]]
    assert len(reached) == CANDIDATES[name]["epochs"]
    best = reached.index(max(reached))
    assert history["best_epoch"] == content["epoch"] == best
    again = answers(world, 1, matrix(content), VALIDATION).calibrated()
    assert stated(history["epochs"][best]) == pytest.approx(again, abs=1e-9)


def test_the_kept_epoch_is_not_always_the_last(done: Protocol) -> None:
    """Else the tests above and below would not notice which one is kept."""
    for name in ("mid", "high"):
        epochs = done.history(name)["epochs"]
        assert done.history(name)["best_epoch"] < len(epochs) - 1


def test_the_selection_is_the_best_candidate_s(done: Protocol) -> None:
    of = {
        name: [epoch["val"]["hm"] for epoch in done.history(name)["epochs"]] for name in CANDIDATES
    }
    best = max(CANDIDATES, key=lambda name: max(of[name]))
    found = done.selection
    assert (found["candidate"], found["epoch"]) == (best, of[best].index(max(of[best])))
    assert found["val"]["hm"] == max(itertools.chain.from_iterable(of.values()))
    assert found["num_candidates"] == len(CANDIDATES)
    assert found["bias"] > 0  # else a forgotten one would not be noticed


def test_stage_2_ends_after_the_selected_epoch(done: Protocol) -> None:
    epoch = done.selection["epoch"]
    assert epoch > 0
    assert len(done.history2["epochs"]) == epoch + 1
    assert done.stage2["epoch"] == done.history2["best_epoch"] == epoch
    assert {row["val"] for row in done.history2["epochs"]} == {None}  # four epochs, patience 3


@pytest.mark.parametrize("stage", [1, 2])
def test_scaling_is_of_what_the_stage_trains_on(world: Unequal, done: Protocol, stage: int) -> None:
    content = done.stage2 if stage == 2 else done.stage1("mid")
    found = {name: value.numpy() for name, value in content["scaling"].items()}
    training = world.table(world.usable(*TRAINED_ON[stage]))
    for part, name in ((slice(0, 6), "video"), (slice(6, 12), "audio")):
        mean, deviation = training[:, part].mean(0), training[:, part].std(0)
        np.testing.assert_allclose(found[f"{name}_mean"], mean, rtol=1e-9)
        np.testing.assert_allclose(found[f"{name}_factor"], 1 / deviation, rtol=1e-9)
    assert content["scaling_kind"] == "standard"


def test_a_checkpoint_says_what_it_is(done: Protocol) -> None:
    for name, settings in CANDIDATES.items():
        content = done.stage1(name)
        assert (content["stage"], content["seed"], content["model"]) == (1, SEED, "devise")
        assert f'"learning_rate":{settings["learning_rate"]}' in content["settings"]
        assert content["dims"] == [6, 6, 4]
    assert done.stage2["stage"] == 2
    assert done.stage2["settings"] == done.stage1(done.selection["candidate"])["settings"]


def test_scores_are_those_of_the_test_clips(world: Unequal, done: Protocol) -> None:
    found, bias = done.scores, done.selection["bias"]
    test = answers(world, 2, matrix(done.stage2), TEST)
    assert found["scores"] == pytest.approx(test.scores(bias), abs=1e-9)
    assert found["bias"] == bias
    assert found["scores"]["hm"] != pytest.approx(test.scores(0.0)["hm"])
    everywhere, among_unseen = test.per_class(bias, "abcdefg"), test.per_class(0.0, "eg")
    assert found["per_class"] == [
        {
            "class_name": name,
            "is_unseen": name in "eg",
            "num_clips": test.truth.count(name),
            "gzsl": everywhere[name],
            "zsl": among_unseen[name] if name in "eg" else None,
        }
        for name in "abcdefg"
    ]
    assert found["selection"] == {
        "candidate": done.selection["candidate"],
        "epoch": done.selection["epoch"],
        "val": done.selection["val"],
        "num_candidates": 3,
        "is_on_test": False,
    }


def test_scores_say_where_they_come_from(done: Protocol) -> None:
    found, origin = done.scores["run"], done.scores["provenance"]
    assert found == {**asdict(RUN), "seed": SEED}
    for modality in ("video", "audio"):
        of_file = {"backbone": f"{modality} by hand"}
        assert origin[modality] == {"name": modality, "dim": "6", **of_file}
    assert origin["text"] == {"name": "t", "dim": "4", "plugin": "drawn by hand"}
    assert (origin["scaling"], origin["text_embedding"]) == ("standard", "drawn")
    assert (origin["model"], origin["device"]) == ("devise", "CPU")
    assert origin["settings"] == CANDIDATES[done.selection["candidate"]]


def test_chance_is_that_of_unequal_numbers_of_classes(done: Protocol) -> None:
    """Five seen classes and two unseen ones; HM guesses "seen" with the best probability."""
    share = np.linspace(0, 1, 100_001)
    s, u = share / 5, (1 - share) / 2
    expected = {"seen": 1 / 7, "unseen": 1 / 7, "hm": (2 * s * u / (s + u)).max(), "zsl": 1 / 2}
    assert done.scores["chance"] == pytest.approx(expected, rel=1e-6)


def test_clips_without_a_feature_are_counted(done: Protocol) -> None:
    assert done.scores["num_missing"] == {"train": 1, "test_seen": 1, "test_unseen": 1}


def test_embeddings_are_those_of_the_test_clips(world: Unequal, done: Protocol) -> None:
    found, clips = done.embeddings, world.usable(*TEST[0])
    assert list(found.clip_ids) == [clip.clip_id for clip in clips]
    assert list(found.class_of_clip) == [clip.class_name for clip in clips]
    assert list(found.class_names) == list("abcdefg")
    assert found.is_unseen.tolist() == [name in "eg" for name in "abcdefg"]
    expected = scaled(world, 2, TEST[0]) @ matrix(done.stage2).astype(np.float64).T
    np.testing.assert_allclose(found.clips, expected, rtol=1e-4, atol=1e-5)
    vectors = np.array([world.vectors[name] for name in "abcdefg"])
    np.testing.assert_allclose(found.classes, vectors, rtol=1e-6)


def test_an_epoch_chosen_on_the_test_is_the_best_there(world: Unequal, tmp_path: Path) -> None:
    """Stage 2 runs for all epochs of the selected candidate, and the first best HM counts."""
    candidates = {
        "few": candidate(learning_rate=0.001, epochs=2, chosen_on_test=True),
        "more": candidate(learning_rate=0.03, epochs=5, chosen_on_test=True),
    }
    found = run(world, tmp_path, candidates, seed=SEED)
    assert found.selection["candidate"] == "more"
    assert len(found.history2["epochs"]) == len(found.stage2["states"]) == 5
    of_epochs = [state["map.weight"].numpy() for state in found.stage2["states"]]
    assert [bool((each == matrix(found.stage2)).all()) for each in of_epochs] == [False] * 4 + [
        True
    ]
    reached = [
        answers(world, 2, state["map.weight"].numpy(), TEST).scores(0.0)
        for state in found.stage2["states"]
    ]
    hms = [round(scores["hm"], 9) for scores in reached]
    best = hms.index(max(hms))
    assert 0 < best < 4  # neither the first nor the last
    assert found.scores["scores"] == pytest.approx(reached[best], abs=1e-9)
    assert (found.scores["bias"], found.scores["selection"]["epoch"]) == (0.0, best)
    assert found.scores["selection"]["is_on_test"]


def test_features_as_they_are(tmp_path: Path) -> None:
    """Scaling ``none``, the published one, of small features: they are not touched.

    Those of audio have fewer dimensions, so that none is taken for one of video.
    """
    world = Unequal()
    world.audio_dim = 5
    world.features = {clip: value / 10 for clip, value in world.features.items()}
    found = run(world, tmp_path, {"mid": CANDIDATES["mid"]}, scaling="none", seed=SEED)
    clips = world.table(world.usable(*TEST[0])) @ matrix(found.stage2).astype(np.float64).T
    np.testing.assert_allclose(found.embeddings.clips, clips, rtol=1e-4, atol=1e-5)
    assert found.stage2["dims"] == [6, 5, 4]
    inputs = [found.scores["provenance"][name] for name in ("video", "audio", "text")]
    assert [(of["name"], of["dim"]) for of in inputs] == [
        ("video", "6"), ("audio", "5"), (RUN.text_embedding, "4"),
    ]  # fmt: skip


def test_the_seed_decides_and_nothing_else_does(done: Protocol, tmp_path: Path) -> None:
    for name in ("same", "other"):
        (tmp_path / name).mkdir()
    same = run(Unequal(), tmp_path / "same", CANDIDATES, seed=SEED)
    other = run(Unequal(), tmp_path / "other", CANDIDATES, seed=SEED + 1)
    for read in (lambda p: matrix(p.stage1("mid")), lambda p: matrix(p.stage2)):
        np.testing.assert_array_equal(read(done), read(same))
        assert not np.allclose(read(done), read(other))
    assert same.scores["scores"] == done.scores["scores"]
