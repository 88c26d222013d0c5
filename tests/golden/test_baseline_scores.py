"""How AVGZSLNet and CJME classify and choose their bias, against the published evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.evaluation import accuracy, calibration
from avca_pipeline.evaluation.distances import Distances
from tests.conftest import shared_folder

TOLERANCE = {"atol": 1e-6, "rtol": 0}
MODES = {"avgzslnet": ("audio", "video", "both"), "cjme": ("audio", "video", "cjme_both")}
SEARCHED = "L2Loss/search"

Golden = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(shared_folder("reference", "evaluation.npz")) as file:
        return dict(file)


class Case:
    """Embedded clips and classes of a golden case as a model lays them out."""

    def __init__(self, golden: Golden, case: str, model: str) -> None:
        audio, video, text = (golden[f"{case}/{one}_p"] for one in "avt")
        clips, classes = [audio, video], [text, text]
        if model == "cjme":
            clips.append(golden[f"{case}/cjme_attention"].reshape(-1, 1).astype(np.float32))
            classes.append(np.zeros((len(text), 1), np.float32))
        ids = np.sort(np.concatenate([golden[f"{case}/seen_ids"], golden[f"{case}/unseen_ids"]]))
        self.targets = np.searchsorted(ids, golden[f"{case}/targets"])
        self.is_unseen = np.isin(ids, golden[f"{case}/unseen_ids"])
        self.clips, self.classes = np.concatenate(clips, 1), np.concatenate(classes, 1)
        self.dim, self.module = text.shape[1], registry.load("models", model)

    def distances(self, **more: Any) -> Distances:
        settings = self.module.Settings(embedding_dim=self.dim, **more)
        found = self.module.distances(settings, torch.nn.Module(), self.clips, self.classes)
        assert isinstance(found, Distances)
        return found


@pytest.mark.parametrize("model", MODES)
def test_scores_and_the_mean_of_three_biases(golden: Golden, model: str) -> None:
    *_, scored = modes = MODES[model]
    names = [name.removesuffix("/t_p") for name in golden if name.endswith("/t_p")]
    compared = 0
    for name in names:
        if any(f"{name}/{mode}/{SEARCHED}/hm" not in golden for mode in modes):
            continue
        stored = [golden[f"{name}/{mode}/{SEARCHED}/beta"] for mode in modes]
        if np.isnan(golden[f"{name}/{scored}/{SEARCHED}/hm"]):
            continue  # a class without clips, which ours leaves out
        case = Case(golden, name, model)
        found = calibration.calibrate(case.distances(), case.targets, case.is_unseen)
        own = calibration.calibrate(
            case.distances(averages_biases=False), case.targets, case.is_unseen
        )
        for score in ("seen", "unseen", "hm", "zsl"):
            expected = golden[f"{name}/{scored}/{SEARCHED}/{score}"]
            np.testing.assert_allclose(getattr(found, score), expected, err_msg=score, **TOLERANCE)
        np.testing.assert_allclose(found.bias, np.mean(stored), **TOLERANCE)
        np.testing.assert_allclose(own.bias, stored[-1], **TOLERANCE)
        compared += 1
    assert compared


def test_avgzslnet_from_validation_to_test(golden: Golden) -> None:
    protocols = sorted({key.split("/")[0] for key in golden if key.startswith("protocol_")})
    for protocol in protocols:
        val, test = (Case(golden, f"{protocol}/{part}", "avgzslnet") for part in ("val", "test"))
        bias = calibration.calibrate(val.distances(), val.targets, val.is_unseen).bias
        found = accuracy.evaluate(test.distances().gzsl, test.targets, test.is_unseen, bias)
        for score in ("seen", "unseen", "hm", "zsl"):
            expected = golden[f"{protocol}/avgzslnet/L2Loss/test/both/{score}"]
            np.testing.assert_allclose(getattr(found, score), expected, err_msg=score, **TOLERANCE)
    assert protocols
