"""Scores against those of the published evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avca_pipeline.evaluation import accuracy, calibration
from avca_pipeline.evaluation.distances import chosen_by_attention, euclidean_distances
from tests.conftest import shared_folder, shared_path

TOLERANCE = {"atol": 1e-6, "rtol": 0}
POWERS = {"L2Loss": 1, "SquaredL2Loss": 2}
MODES = ("audio", "video", "both", "cjme_both")
MODALITIES = {"audio": "a_p", "video": "v_p"}

Golden = dict[str, np.ndarray]


def load() -> Golden:
    """Returns the golden arrays, or none where they are absent."""
    path = shared_path("reference", "evaluation.npz")
    if not path.exists():
        return {}
    with np.load(path) as file:
        return dict(file)


GOLDEN = load()
CASES = sorted({key.removesuffix("/t_p") for key in GOLDEN if key.endswith("/t_p")})
SCORED = sorted({key.rsplit("/", 2)[0] for key in GOLDEN if key.endswith("/search/hm")})
PROTOCOLS = sorted({case.split("/")[0] for case in CASES if case.startswith("protocol_")})


@pytest.fixture(scope="module")
def golden() -> Golden:
    shared_folder("reference", "evaluation.npz")
    return GOLDEN


class Case:
    """Clips and classes of one golden case, as our functions take them.

    Clips of classes outside the lists count for nothing in the published evaluation; ours is never
    given any.
    """

    def __init__(self, golden: Golden, case: str, targets: np.ndarray | None = None) -> None:
        self.golden, self.case = golden, case
        seen, unseen = golden[f"{case}/seen_ids"], golden[f"{case}/unseen_ids"]
        self.ids = np.sort(np.concatenate([seen, unseen]))
        self.is_unseen = np.isin(self.ids, unseen)
        targets = golden[f"{case}/targets"] if targets is None else targets
        self.listed = np.isin(targets, self.ids)
        self.targets = np.searchsorted(self.ids, targets[self.listed])

    def distances(self, mode: str, loss: str, clips: np.ndarray | None = None) -> np.ndarray:
        """Returns ``(clips, classes)`` of one mode of the published evaluation."""
        if mode == "both":
            return self.distances("audio", loss) + self.distances("video", loss)
        if mode == "cjme_both":
            attention = self.golden[f"{self.case}/cjme_attention"][self.listed]
            modalities = [self.distances(one, loss) for one in MODALITIES]
            return chosen_by_attention(*modalities, attention)
        clips = self.golden[f"{self.case}/{MODALITIES[mode]}"] if clips is None else clips
        distance = euclidean_distances(clips[self.listed], self.golden[f"{self.case}/t_p"])
        return distance ** POWERS[loss]

    def search(self, distance: np.ndarray) -> accuracy.GzslScores:
        return calibration.search_bias(distance, self.targets, self.is_unseen, skip_empty=False)

    def evaluate(self, distance: np.ndarray, bias: float) -> accuracy.GzslScores:
        return accuracy.evaluate(distance, self.targets, self.is_unseen, bias, skip_empty=False)

    def assert_scores(self, prefix: str, found: accuracy.GzslScores) -> None:
        for name in ("seen", "unseen", "hm", "zsl"):
            stored = self.golden[f"{prefix}/{name}"]
            np.testing.assert_allclose(getattr(found, name), stored, err_msg=name, **TOLERANCE)
        np.testing.assert_allclose(found.bias, self.golden[f"{prefix}/beta"], rtol=1e-6)
        if f"{prefix}/recall_zsl" in self.golden:
            theirs = self.golden[f"{prefix}/recall_zsl"]
            np.testing.assert_allclose(
                found.zsl_per_class[self.is_unseen], theirs[self.ids[self.is_unseen]], **TOLERANCE
            )


@pytest.mark.parametrize("prefix", SCORED or ["absent"])
def test_cases(golden: Golden, prefix: str) -> None:
    name, mode, loss = prefix.rsplit("/", 2)
    case = Case(golden, name)
    distance = case.distances(mode, loss)
    case.assert_scores(f"{prefix}/search", case.search(distance))
    for fixed in {key.rsplit("/", 1)[0] for key in golden if key.startswith(f"{prefix}/fixed")}:
        bias = float(golden[f"{fixed}/beta"])
        case.assert_scores(fixed, case.evaluate(distance, bias))
    for bias, *expected in golden.get(f"{prefix}/curve", []):
        at = case.evaluate(distance, bias)
        np.testing.assert_allclose([at.seen, at.unseen, at.hm, at.zsl], expected, **TOLERANCE)


def test_nothing_is_passed_over(golden: Golden) -> None:
    assert PROTOCOLS
    assert {tuple(prefix.split("/")[-2:]) for prefix in SCORED} == {
        (mode, loss) for mode in MODES for loss in POWERS
    }
    with_more = {key.split("/")[1] for key in golden if "/fixed" in key or key.endswith("/curve")}
    assert with_more >= {"audio", "video", "both"}


def test_biases_beyond_the_search(golden: Golden) -> None:
    case = Case(golden, "edge")
    distance = case.distances("video", "L2Loss")
    for name in ("beta_1e-10", "beta_3", "beta_huge", "beta_minus1"):
        bias = float(golden[f"edge/{name}/beta"])
        case.assert_scores(f"edge/{name}", case.evaluate(distance, bias))


def test_a_bias_of_zero_is_one(golden: Golden) -> None:
    """The published evaluation searches again when it is given zero, and is given 1e-10 instead."""
    case = Case(golden, "edge")
    distance = case.distances("video", "L2Loss")
    case.assert_scores("edge/beta_zero", case.search(distance))
    zero = case.evaluate(distance, 0.0)
    np.testing.assert_allclose(zero.hm, golden["edge/beta_1e-10/hm"], **TOLERANCE)
    assert zero.bias == 0


def test_all_right_all_wrong_and_clips_of_other_classes(golden: Golden) -> None:
    case = Case(golden, "edge")
    perfect = case.distances("video", "L2Loss", golden["edge/perfect_v_p"])
    case.assert_scores("edge/perfect", case.search(perfect))
    wrong = Case(golden, "edge", golden["edge/all_wrong_targets"])
    far = wrong.distances("video", "L2Loss", 100 * golden["edge/t_p"])
    wrong.assert_scores("edge/all_wrong", wrong.search(far))
    outsider = Case(golden, "edge", golden["edge/outsider_targets"])
    assert not outsider.listed.all()
    outsider.assert_scores("edge/outsider", outsider.search(outsider.distances("video", "L2Loss")))


@pytest.mark.parametrize("loss", POWERS)
@pytest.mark.parametrize("protocol", PROTOCOLS or ["absent"])
def test_bias_is_chosen_on_validation_and_used_on_test(
    golden: Golden, protocol: str, loss: str
) -> None:
    """AVCA is scored from video in every mode, AVGZSLNet from each modality and from both."""
    of_model: dict[str, Callable[[str], str]] = {
        "avca": lambda mode: "video",
        "avgzslnet": lambda mode: mode,
    }
    val, test = (Case(golden, f"{protocol}/{part}") for part in ("val", "test"))
    for model, scored in of_model.items():
        prefix = f"{protocol}/{model}/{loss}"
        modes = ("audio", "video", "both")
        of_val = {mode: val.distances(scored(mode), loss) for mode in modes}
        for mode, distance in of_val.items():
            val.assert_scores(f"{prefix}/val/{mode}", val.search(distance))
        bias = calibration.search_common_bias(
            of_val.values(), val.targets, val.is_unseen, skip_empty=False
        )
        for mode in modes:
            found = test.evaluate(test.distances(scored(mode), loss), bias)
            test.assert_scores(f"{prefix}/test/{mode}", found)
