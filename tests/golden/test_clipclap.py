"""ClipClap against values computed with the published code, in float64.

Sizes, seeds and settings are read from the files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.models import Batch, Dims, clipclap
from tests.conftest import shared_folder, shared_path
from tests.golden.filling import filled
from tests.golden.three_steps import EXACT, SUMS, TERMS, assert_three_steps, running

FILE = "clipclap.npz"
# Their names of our parts, in the order of their state.
PARTS = {
    "O_enc": "clip_encoder", "W_enc": "text_encoder", "O_proj": "clip_projection",
    "D_o": "clip_decoder", "W_proj": "text_projection", "D_w": "text_decoder",
}  # fmt: skip


class Case:
    """One case of the file: our settings and network, their batches and values."""

    def __init__(self, stored: dict[str, np.ndarray], name: str) -> None:
        self.stored, self.name = stored, name
        self.dropouts = self["cfg/dropouts"]
        self.settings = clipclap.Settings(
            encoder_dim=int(self["cfg/enc_out"]),
            embedding_dim=int(self["cfg/dim_out"]),
            hidden=int(self["cfg/decoder_hidden"]),
            hidden_batch_norm=bool(self["cfg/bn"]),
            modalities=str(self["cfg/modality"]),
            reconstruction=bool(self["cfg/rec"]),
            regression=bool(self["cfg/reg"]),
            classification=bool(self["cfg/ce"]),
            learning_rate=float(self["cfg/lr"]),
            projection_dropout=0, text_dropout=0,
        )  # fmt: skip

    def __getitem__(self, key: str) -> np.ndarray:
        return self.stored[f"{self.name}/{key}"]

    def __contains__(self, key: str) -> bool:
        return f"{self.name}/{key}" in self.stored

    def batch(self, number: int) -> Batch:
        """Returns a batch in float64, with the part of the text that the case uses."""
        group = self.name.split("_")[0]
        at = f"paper_batch{number}" if group == "paper" else f"{group}/batch{number}"
        arrays = {
            key: torch.from_numpy(self.stored[f"{at}/{key}"]).double()
            for key in ("audio", "video", "class_text")
        }
        label = torch.from_numpy(self.stored[f"{at}/label"])
        classes = arrays["class_text"][:, self.text_columns()]
        text = classes[label]
        return Batch(
            video=arrays["video"], audio=arrays["audio"], text=text,
            negative_video=arrays["video"], negative_audio=arrays["audio"], negative_text=text,
            class_text=classes, text_row=label,
        )  # fmt: skip

    def text_columns(self) -> slice:
        """Returns which columns of the class texts the case uses."""
        clip = int(self["cfg/text_clip"])
        modality, words = str(self["cfg/modality"]), str(self["cfg/words"])
        if modality == "video" or words == "clip":
            return slice(0, clip)
        if modality == "audio" or words == "wavcaps":
            return slice(clip, None)
        return slice(None)

    def network(self, settings: clipclap.Settings | None = None) -> torch.nn.ModuleDict:
        """Returns the network with the published start weights, without dropout."""
        settings = settings or self.settings
        batch = self.batch(0)
        dims = Dims(batch.video.shape[1], batch.audio.shape[1], batch.text.shape[1])
        network = clipclap.build(settings, dims).double()
        state = {}
        for position, (name, value) in enumerate(network.state_dict().items()):
            theirs = their_name(name)
            rule = filled(theirs, tuple(value.shape), int(self["fill_seed"]), position)
            if f"init/{theirs}" in self:
                np.testing.assert_array_equal(self[f"init/{theirs}"], rule)
            state[name] = torch.from_numpy(rule)
        network.load_state_dict(state)
        if settings is self.settings:
            for module in network.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
        return network

    def assert_state(self, point: str, values: dict[str, torch.Tensor], **near: float) -> None:
        """Compares tensors by their names with the stored ones, or with their digests."""
        theirs = {their_name(name): value.numpy() for name, value in values.items()}
        if f"{point}/names" in self:
            names = [str(name) for name in self[f"{point}/names"]]
            for row, name in enumerate(names):
                value = theirs[name].astype(np.float64).ravel()
                digest = [np.linalg.norm(value), value.sum()]
                np.testing.assert_allclose(digest, self[f"{point}/norm_sum"][row], **SUMS)
                first = np.resize(value, 4)
                np.testing.assert_allclose(first, self[f"{point}/first4"][row], **near)
            assert set(names) == set(theirs)
            return
        stored = [key for key in self.stored if key.startswith(f"{self.name}/{point}/")]
        assert len(stored) == len(theirs)
        for key in stored:
            name = key.removeprefix(f"{self.name}/{point}/")
            np.testing.assert_allclose(theirs[name], self.stored[key], err_msg=name, **near)


def their_name(name: str) -> str:
    part, rest = name.split(".", 1)
    theirs = {ours: name for name, ours in PARTS.items()}[part]
    return f"{theirs}.fc.{rest}"


def names() -> list[str]:
    """Returns the cases of the file but for those of the optional SAM optimiser."""
    path = shared_path("reference", FILE)
    if not path.exists():
        return ["absent"]
    with np.load(path) as file:
        return [str(n) for n in file["cases"] if "sam" not in str(file[f"{n}/cfg/optimizer"])]


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", FILE)) as file:
        return dict(file)


@pytest.fixture(params=names())
def case(stored: dict[str, np.ndarray], request: pytest.FixtureRequest) -> Case:
    return Case(stored, request.param)


def assert_terms(case: Case, mode: str, terms: dict[str, torch.Tensor]) -> None:
    for theirs, ours in TERMS.items():
        if theirs in ("rec_o", "rec_w") and not case.settings.reconstruction:
            continue  # The published code computes them all the same, and leaves them out.
        value = sum(terms[name].item() for name in ours if name in terms)
        np.testing.assert_allclose(value, case[f"f64/{mode}/{theirs}"], **EXACT)


def test_embeddings_and_losses(case: Case) -> None:
    network = case.network().eval()
    batch = case.batch(0)
    with torch.no_grad():
        clips = clipclap.embed_clips(case.settings, network, batch.video, batch.audio)
        classes = clipclap.embed_classes(case.settings, network, batch.text)
        assert_terms(case, "eval", clipclap.losses(case.settings, network, batch))
    for ours, theirs in ((clips, "theta_o"), (classes, "theta_w")):
        np.testing.assert_allclose(ours.numpy(), case[f"eval/{theirs}"], **EXACT)
        np.testing.assert_allclose(ours.numpy(), case[f"eval/get_embeddings/{theirs}"], **EXACT)


def test_gradients_and_running_statistics(case: Case) -> None:
    network = case.network().train()
    settings = case.settings
    step = clipclap.steps(settings, network, case.batch(0))
    terms = next(step)
    assert_terms(case, "train", terms)
    case.assert_state("bn_after_forward", running(network), **EXACT)
    terms["total"].backward()
    norms = dict(zip(map(str, case["grad_norm/names"]), case["grad_norm/values"], strict=True))
    gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    for name, gradient in gradients.items():
        norm = gradient.norm().item()
        np.testing.assert_allclose(norm, norms[their_name(name)], **EXACT)
        if f"grad/{their_name(name)}" in case:
            stored = case[f"grad/{their_name(name)}"]
            np.testing.assert_allclose(gradient.numpy(), stored, **EXACT)
    assert {name for name, norm in norms.items() if norm} <= set(map(their_name, gradients))
    assert next(step, None) is None
    case.assert_state("bn_after_get_embeddings", running(network), **EXACT)


@pytest.mark.parametrize("refreshes", [True, False])
def test_three_optimiser_steps(case: Case, refreshes: bool) -> None:
    assert_three_steps(clipclap, case, refreshes, "O_enc.fc.1.running_mean")


def test_dropout_is_drawn_in_the_published_order(case: Case) -> None:
    projection, text = map(float, case.dropouts)
    changes: dict[str, Any] = {"projection_dropout": projection, "text_dropout": text}
    settings = case.settings.model_copy(update=changes)
    network = case.network(settings).train()
    torch.manual_seed(int(case["train_dropout/manual_seed"]))
    total = clipclap.losses(settings, network, case.batch(0))["total"].item()
    np.testing.assert_allclose(total, case["f64/train_dropout/total"], **EXACT)


def test_the_number_of_parameters_is_published(case: Case) -> None:
    count = sum(parameter.numel() for parameter in case.network().parameters())
    assert count == int(case["parameters"])
