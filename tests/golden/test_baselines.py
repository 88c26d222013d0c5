"""The six methods with one loss against values computed with the published code, in float64."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline import registry
from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.nn.adam import Adam
from tests.conftest import shared_folder, shared_path
from tests.golden.filling import filled

SCALARS = {"atol": 1e-9, "rtol": 0}
ARRAYS = {"atol": 1e-6, "rtol": 0}
DISTANCES = {"L2Loss": "l2", "SquaredL2Loss": "squared-l2"}

# Their names of what is ours, in the order of their state.
PARTS = {
    "bilinear": "map",
    "ALE_vector": "map.weight",
    "prototype_vectors.layer4": "prototypes.weight",
    "triplet_net.embedding_net1.fc": "audio",
    "triplet_net.embedding_net2.fc": "video",
    "triplet_net.embedding_net3.fc": "text",
    "attention_model": "attention",
    "decoder_net.embedding_net.fc": "decoder",
}
# Their loss terms, each the sum of these of ours.
TERMS = {
    "cost_s": ("total",),
    "cmd/l_rec": ("rec_text", "rec_audio", "rec_video"),
    "cmd/l_cta": ("ct_audio",),
    "cmd/l_ctv": ("ct_video",),
    "ct/l_ta": ("text_audio",),
    "ct/l_at": ("audio_text",),
    "ct/l_tv": ("text_video",),
    "ct/l_vt": ("video_text",),
}


def cases() -> list[Path]:
    """Returns the golden files, whichever there are."""
    return sorted(shared_path("reference").glob("baseline_*.npz")) or [Path("baseline_absent.npz")]


@pytest.fixture(params=cases(), ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One golden file as a dict of arrays, and the model's name."""
    path = shared_folder("reference", request.param.name)
    with np.load(path) as file:
        return {"model": path.stem.split("_")[1], **file}


def test_losses_and_embeddings(golden: dict[str, Any]) -> None:
    module, settings, network = built(golden)
    batch = batch_of(golden, 0)

    network.eval()
    with torch.no_grad():
        terms = next(module.steps(settings, network, batch))
        np.testing.assert_allclose(terms["total"].item(), golden["f64/eval/total"], **SCALARS)
        assert_terms(golden, "eval", terms)
        clips = module.embed_clips(settings, network, batch.video, batch.audio).numpy()
        classes = module.embed_classes(settings, network, batch.text).numpy()
    np.testing.assert_allclose(clips, embedded(golden), **ARRAYS)
    of_class = golden.get("eval/t_p", batch.text.numpy())
    dim = of_class.shape[1]
    for start in range(0, classes.shape[1] - dim + 1, dim):  # once for each modality
        np.testing.assert_allclose(classes[:, start : start + dim], of_class, **ARRAYS)

    network.train()
    terms = next(module.steps(settings, network, batch))
    assert_terms(golden, "train", terms)
    terms["total"].backward()
    compared = 0
    for name, parameter in network.named_parameters():
        stored = golden.get(f"grad_norm/{their_name(golden, name)}")
        if stored is not None:
            assert parameter.grad is not None
            np.testing.assert_allclose(parameter.grad.norm().item(), stored, atol=1e-9, rtol=1e-7)
            compared += 1
    assert compared or "init" not in {key.split("/")[0] for key in golden}


def test_three_optimiser_steps(golden: dict[str, Any]) -> None:
    module, settings, network = built(golden)
    network.train()
    optimiser = Adam(
        module.trainable(settings, network), float(golden["lr"]), settings.weight_decay
    )
    totals = []
    for index in range(3):
        batch = batch_of(golden, index)
        optimiser.zero_grad()
        for terms in module.steps(settings, network, batch):
            terms["total"].backward()
            optimiser.step()
            totals.append(terms["total"].item())
    np.testing.assert_allclose(totals, golden["f64/steps/losses"], **SCALARS)
    for name, value in network.state_dict().items():
        stored = golden.get(f"after3/{their_name(golden, name)}")
        if stored is not None:
            np.testing.assert_allclose(
                value.numpy(), stored.reshape(value.shape), err_msg=name, **ARRAYS
            )


def test_cjme_attends_per_clip_unless_told_otherwise() -> None:
    with np.load(shared_folder("reference", "baseline_cjme.npz")) as file:
        golden = {"model": "cjme", **file}
    module, settings, network = built(golden)
    batch = batch_of(golden, 0)
    network.train()
    found = {
        published: next(
            module.steps(
                settings.model_copy(update={"mixes_batch_means": published}), network, batch
            )
        )["triplet"].item()
        for published in (True, False)
    }
    share = golden["train/attention"].astype(np.float64)
    l_ta, l_tv = golden["f64/train/loss/l_ta"], golden["f64/train/loss/l_tv"]
    matrix = (1 - share) * l_ta + share * l_tv  # a column times a row, as published
    np.testing.assert_allclose(found[True], matrix.mean(), atol=1e-6)
    np.testing.assert_allclose(found[False], np.diagonal(matrix).mean(), atol=1e-6)


def built(golden: dict[str, Any]) -> tuple[ModuleType, ModelSettings, torch.nn.Module]:
    """Returns the plugin, the settings and the network of a golden file, in float64."""
    module = registry.load("models", golden["model"])
    settings = module.Settings(**settings_of(golden))
    batch = batch_of(golden, 0)
    dims = Dims(batch.video.shape[1], batch.audio.shape[1], batch.text.shape[1])
    network: torch.nn.Module = module.build(settings, dims)
    state = network.state_dict()
    ours_by_theirs = {their_name(golden, name): name for name in state}
    theirs = sorted(ours_by_theirs, key=lambda name: position(name, state, ours_by_theirs))
    for number, name in enumerate(theirs):
        shape = tuple(state[ours_by_theirs[name]].shape)
        rule = filled(name, shape, int(golden["fill_seed"]), number)
        value = golden.get(f"init/{name}", rule).reshape(shape)
        state[ours_by_theirs[name]] = torch.from_numpy(value)
    network.load_state_dict(state)
    return module, settings, network.double()


def settings_of(golden: dict[str, Any]) -> dict[str, Any]:
    """Returns our settings for theirs, without dropout."""
    cfg = {key[4:]: value.item() for key, value in golden.items() if key.startswith("cfg/")}
    names = {
        "norm_inputs": "normalises_inputs",
        "margin": "margin",
        "embedding_use_bn": "batch_norm",
        "decoder_use_bn": "decoder_batch_norm",
        "normalize_decoder_outputs": "normalises_decoded",
        "hidden": "hidden",
        "decoder_hidden": "decoder_hidden",
    }
    values = {ours: cfg[theirs] for theirs, ours in names.items() if theirs in cfg}
    if "distance_fn" in cfg:
        values["reconstruction"] = DISTANCES[cfg["distance_fn"]]
    if "eval/t_p" in golden:
        values["embedding_dim"] = golden["eval/t_p"].shape[1]
    fields = registry.load("models", golden["model"]).Settings.model_fields
    values |= {name: 0.0 for name in fields if name.endswith("dropout")}
    values |= {name: True for name in ("mixes_batch_means", "softmax_twice") if name in fields}
    return values


def their_name(golden: dict[str, Any], name: str) -> str:
    """Returns their name of one of our parameters or buffers."""
    for theirs, ours in PARTS.items():
        if name == ours:
            return theirs
        if name.startswith(f"{ours}.") and golden["model"] != "apn":
            return theirs + name.removeprefix(ours)
    raise AssertionError(name)


def position(name: str, state: dict[str, Any], ours_by_theirs: dict[str, str]) -> tuple[int, int]:
    """Returns where an entry stands in their state."""
    part = next(i for i, theirs in enumerate(PARTS) if name.startswith(theirs))
    return part, list(state).index(ours_by_theirs[name])


def batch_of(golden: dict[str, Any], index: int) -> Batch:
    """Returns a stored batch in float64."""

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[f"batch{index}/{name}"]).double()

    return Batch(
        tensor("video"), tensor("audio"), tensor("text"),
        tensor("neg_video"), tensor("neg_audio"), tensor("neg_text"),
        torch.from_numpy(golden["class_text"]).double(),
        torch.from_numpy(golden[f"batch{index}/label"]),
    )  # fmt: skip


def embedded(golden: dict[str, Any]) -> np.ndarray:
    """Returns their embeddings of the first batch, arranged as ours."""
    for name in ("projected", "pre_attri_final"):
        if f"eval/{name}" in golden:
            return np.asarray(golden[f"eval/{name}"])
    names = [name for name in ("a_p", "v_p", "attention") if f"eval/{name}" in golden]
    return np.concatenate([golden[f"eval/{name}"] for name in names], axis=1)


def assert_terms(golden: dict[str, Any], mode: str, terms: dict[str, torch.Tensor]) -> None:
    for theirs, ours in TERMS.items():
        stored = golden.get(f"f64/{mode}/loss/{theirs}")
        if stored is not None:
            value = sum(terms[name].item() for name in ours)
            np.testing.assert_allclose(value, stored, err_msg=theirs, **SCALARS)
