"""Scores against those of the published evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from avca_pipeline import metrics
from tests.conftest import shared_folder

TOLERANCE = {"atol": 1e-6, "rtol": 0}
SETTINGS = ("search", "fixed0.35")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", "evaluation.npz")) as file:
        return dict(file)


def problem(
    golden: dict[str, np.ndarray], case: str, mode: str, power: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns distances, targets, which columns are unseen, and the id of each column's class."""
    seen, unseen = golden[f"{case}/seen_ids"], golden[f"{case}/unseen_ids"]
    ids = np.sort(np.concatenate([seen, unseen]))
    clips = golden[f"{case}/{mode[0]}_p"]
    distance = metrics.distances(clips, golden[f"{case}/t_p"]) ** power
    targets = np.searchsorted(ids, golden[f"{case}/targets"])
    return distance, targets, np.isin(ids, unseen), ids


def assert_scores(
    golden: dict[str, np.ndarray], prefix: str, found: metrics.GzslScores, ids: np.ndarray
) -> None:
    for name in ("seen", "unseen", "hm", "zsl"):
        np.testing.assert_allclose(
            getattr(found, name), golden[f"{prefix}/{name}"], err_msg=name, **TOLERANCE
        )
    np.testing.assert_allclose(found.bias, golden[f"{prefix}/beta"], rtol=1e-6)
    if f"{prefix}/recall_zsl" in golden:
        of_unseen = ~np.isnan(found.zsl_per_class)
        theirs = golden[f"{prefix}/recall_zsl"]
        theirs = theirs[ids] if len(theirs) > len(ids) else theirs
        np.testing.assert_allclose(found.zsl_per_class[of_unseen], theirs[of_unseen], **TOLERANCE)


@pytest.mark.parametrize("loss", ["L2Loss", "SquaredL2Loss"])
@pytest.mark.parametrize("mode", ["audio", "video"])
def test_cases(golden: dict[str, np.ndarray], mode: str, loss: str) -> None:
    compared = 0
    for case in golden["cases"]:
        if f"{case}/{mode}/{loss}/search/hm" not in golden:
            continue
        distance, targets, is_unseen, ids = problem(golden, case, mode, 2 if "Sq" in loss else 1)
        prefix = f"{case}/{mode}/{loss}"
        found = metrics.search_bias(distance, targets, is_unseen, skip_empty=False)
        assert_scores(golden, f"{prefix}/search", found, ids)
        fixed = metrics.evaluate(
            distance,
            targets,
            is_unseen,
            float(golden[f"{prefix}/fixed0.35/beta"]),
            skip_empty=False,
        )
        assert_scores(golden, f"{prefix}/fixed0.35", fixed, ids)
        for bias, *expected in golden[f"{prefix}/curve"]:
            at = metrics.evaluate(distance, targets, is_unseen, bias, skip_empty=False)
            np.testing.assert_allclose([at.seen, at.unseen, at.hm, at.zsl], expected, **TOLERANCE)
        compared += 1
    assert compared


def test_biases_beyond_the_search(golden: dict[str, np.ndarray]) -> None:
    distance, targets, is_unseen, ids = problem(golden, "edge", "video", 1)
    for name in ("beta_1e-10", "beta_3", "beta_huge", "beta_minus1"):
        bias = float(golden[f"edge/{name}/beta"])
        found = metrics.evaluate(distance, targets, is_unseen, bias, skip_empty=False)
        assert_scores(golden, f"edge/{name}", found, ids)


def test_bias_is_chosen_on_validation_and_used_on_test(golden: dict[str, np.ndarray]) -> None:
    protocols = sorted({key.split("/")[0] for key in golden if key.startswith("protocol_")})
    for protocol in protocols:
        found = {}
        for part in ("val", "test"):
            distance, targets, is_unseen, ids = problem(golden, f"{protocol}/{part}", "video", 1)
            prefix = f"{protocol}/avca/L2Loss/{part}/video"
            if part == "val":
                found[part] = metrics.search_bias(distance, targets, is_unseen, skip_empty=False)
            else:
                bias = found["val"].bias
                found[part] = metrics.evaluate(distance, targets, is_unseen, bias, skip_empty=False)
            assert_scores(golden, prefix, found[part], ids)
    assert protocols
