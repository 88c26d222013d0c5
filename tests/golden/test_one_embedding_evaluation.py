"""Scores of methods with one embedding of a clip, against those of their published evaluations.

ClipClap tries 76 biases, TCaF 16. Sizes, cases and biases are read from the files.
"""

from __future__ import annotations

import numpy as np
import pytest

from avca_pipeline.evaluation.accuracy import GzslScores, evaluate
from avca_pipeline.evaluation.calibration import search_bias
from avca_pipeline.evaluation.distances import euclidean_distances
from avca_pipeline.models import clipclap
from tests.conftest import shared_folder, shared_path

TOLERANCE = {"atol": 1e-6, "rtol": 0}
FILES = ("clipclap_evaluation.npz", "tcaf_evaluation.npz")
Stored = dict[str, np.ndarray]


def load(name: str) -> Stored:
    path = shared_path("reference", name)
    if not path.exists():
        return {}
    with np.load(path) as file:
        return dict(file)


STORED = {name: load(name) for name in FILES}
CASES = [(name, str(case)) for name, stored in STORED.items() for case in stored["cases"]]
TRANSFERS = sorted(
    {
        (name, key.rsplit("/", 2)[0])
        for name, stored in STORED.items()
        for key in stored
        if key.startswith("transfer/") and key.endswith("/val/targets")
    }
)


class Case:
    """Clips and classes of one case, as our functions take them."""

    def __init__(self, file: str, prefix: str, **arrays: np.ndarray) -> None:
        shared_folder("reference", file)
        self.stored, self.prefix = STORED[file], prefix
        self.biases = self.stored["betas"]
        seen, unseen = self["seen_ids"], self["unseen_ids"]
        self.ids = np.sort(np.concatenate([seen, unseen]))
        self.is_unseen = np.isin(self.ids, unseen)
        targets = arrays.get("targets", self.stored.get(f"{prefix}/targets"))
        is_listed = np.isin(targets, self.ids)
        self.targets = np.searchsorted(self.ids, targets[is_listed])
        clips = arrays.get("theta_o", self.stored.get(f"{prefix}/theta_o"))
        classes = arrays.get("theta_w", self.stored.get(f"{prefix}/theta_w"))
        self.distance = euclidean_distances(clips[is_listed], classes)

    def __getitem__(self, key: str) -> np.ndarray:
        return self.stored[f"{self.prefix}/{key}"]

    def search(self) -> GzslScores:
        return search_bias(
            self.distance, self.targets, self.is_unseen, self.biases, skip_empty=False
        )

    def at(self, bias: float) -> GzslScores:
        return evaluate(self.distance, self.targets, self.is_unseen, bias, skip_empty=False)

    def assert_scores(self, key: str, scores: GzslScores) -> None:
        for name in ("seen", "unseen", "hm", "zsl"):
            stored = self.stored[f"{key}/{name}"]
            np.testing.assert_allclose(getattr(scores, name), stored, err_msg=name, **TOLERANCE)
        np.testing.assert_allclose(scores.bias, self.stored[f"{key}/beta"], rtol=1e-6, atol=1e-9)
        if f"{key}/recall_zsl" in self.stored:
            recall = self.stored[f"{key}/recall_zsl"][self.ids[self.is_unseen]]
            np.testing.assert_allclose(scores.zsl_per_class[self.is_unseen], recall, **TOLERANCE)


@pytest.mark.parametrize(("file", "name"), CASES or [("absent", "absent")])
def test_cases(file: str, name: str) -> None:
    case = Case(file, name)
    case.assert_scores(f"{name}/search", case.search())
    fixed = {key.rsplit("/", 1)[0] for key in case.stored if key.startswith(f"{name}/fixed")}
    for key in fixed:
        case.assert_scores(key, case.at(float(case.stored[f"{key}/beta"])))
    for bias, *expected in case["curve"]:
        scores = case.at(bias)
        np.testing.assert_allclose(
            [scores.seen, scores.unseen, scores.hm, scores.zsl], expected, **TOLERANCE
        )


@pytest.mark.parametrize(("file", "prefix"), TRANSFERS or [("absent", "absent")])
def test_a_bias_chosen_on_validation_scores_the_test(file: str, prefix: str) -> None:
    validation = Case(file, f"{prefix}/val")
    chosen = validation.search()
    np.testing.assert_allclose(chosen.bias, validation["beta"], rtol=1e-6, atol=1e-9)
    test = Case(file, f"{prefix}/test")
    scores = test.at(chosen.bias)
    for name in ("seen", "unseen", "hm", "zsl"):
        np.testing.assert_allclose(getattr(scores, name), test[name], err_msg=name, **TOLERANCE)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["perfect", "all_wrong", "outsider", "tie"])
def test_edges(file: str, name: str) -> None:
    shared_folder("reference", file)
    changes = {
        key: STORED[file][f"edge/{name}_{key}"]
        for key in ("theta_o", "theta_w", "targets")
        if f"edge/{name}_{key}" in STORED[file]
    }
    case = Case(file, "edge", **changes)
    case.assert_scores(f"edge/{name}", case.search())


@pytest.mark.parametrize("file", FILES)
def test_a_bias_outside_the_search_is_a_bias_like_any_other(file: str) -> None:
    case = Case(file, "edge")
    given = {
        key.split("/")[1]: float(value)
        for key, value in case.stored.items()
        if key.startswith("edge/beta_") and key.endswith("/given") and value
    }
    assert len(given) >= 3
    for name, bias in given.items():
        case.assert_scores(f"edge/{name}", case.at(bias))


def test_clipclap_searches_the_published_biases() -> None:
    case = Case("clipclap_evaluation.npz", "wide")
    settings = clipclap.Settings(embedding_dim=case["theta_o"].shape[1])
    network = clipclap.build(settings, clipclap.Dims(2, 2, 4))
    distances = clipclap.distances(settings, network, case["theta_o"], case["theta_w"])
    np.testing.assert_allclose(distances.biases, case.biases, rtol=1e-6)
