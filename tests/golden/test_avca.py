"""AVCA against values computed with the authors' code, in float64."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.models import Batch, Dims, avca
from avca_pipeline.nn.adam import Adam
from tests.conftest import shared_folder, shared_path
from tests.golden.filling import filled

SCALARS = {"atol": 1e-9, "rtol": 0}
ARRAYS = {"atol": 1e-6, "rtol": 0}

# Our parts, the authors' names.
PARTS = {
    "A_enc.fc": "audio_encoder",
    "V_enc.fc": "video_encoder",
    "W_proj.fc": "text_projection",
    "D.fc": "decoder",
    "A_proj.fc": "audio_projection",
    "V_proj.fc": "video_projection",
    "A_rec.fc": "audio_reconstruction",
    "V_rec.fc": "video_reconstruction",
}
LAYERS = {
    "0.norm": "attention_norm",
    "0.fn.to_qkv": "qkv",
    "0.fn.to_out": "out",
    "1.norm": "feed_forward_norm",
    "1.fn.net": "feed_forward",
}
TERMS = {
    "l_ctv": "ct_v",
    "l_cta": "ct_a",
    "l_ta": "w_ta",
    "l_at": "w_at",
    "l_tv": "w_tv",
    "l_vt": "w_vt",
    **{name: name for name in ("total", "rec_v", "rec_a", "rec_w")},
    **{name: name for name in ("r_phi_v", "r_phi_a", "r_theta_v", "r_theta_a")},
}
WEIGHTED = ("t_first_a", "t_first_v", "t_second_a", "t_second_v")


def cases() -> list[Path]:
    """Returns the golden files, whichever there are."""
    return sorted(shared_path("reference").glob("avca_*.npz")) or [Path("absent.npz")]


@pytest.fixture(params=cases(), ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """One golden file as a dict of arrays."""
    path = shared_folder("reference", request.param.name)
    with np.load(path) as file:
        return dict(file)


def test_losses_embeddings_and_statistics(golden: dict[str, np.ndarray]) -> None:
    settings, network = _network(golden)
    batch = _batch(golden, 0)

    network.eval()
    with torch.no_grad():
        _assert_terms(golden, "f64/eval", avca.losses(settings, network, batch), settings)
        embedded = {
            "theta_v": avca.embed_clips(settings, network, batch.video, batch.audio),
            "theta_a": avca.embed_clips(
                settings.model_copy(update={"scored_embedding": "audio"}),
                network, batch.video, batch.audio,
            ),
            "theta_w": avca.embed_classes(settings, network, batch.text),
        }  # fmt: skip
    for name, value in embedded.items():
        np.testing.assert_allclose(value.numpy(), golden[f"eval/{name}"], **ARRAYS)

    network.train()
    terms = avca.losses(settings, network, batch)
    _assert_terms(golden, "f64/train", terms, settings)
    _assert_state(golden, "bn_after_forward/", network)
    terms["total"].backward()
    for name, parameter in network.named_parameters():
        theirs = f"grad_norm/{_their_name(name)}"
        if theirs in golden:
            assert parameter.grad is not None
            np.testing.assert_allclose(
                parameter.grad.norm().item(), golden[theirs], atol=1e-9, rtol=1e-7
            )


@pytest.mark.parametrize("refreshes", [True, False])
def test_three_optimiser_steps(golden: dict[str, np.ndarray], *, refreshes: bool) -> None:
    settings, network = _network(golden, refreshes_statistics=refreshes)
    optimiser = Adam(
        avca.trainable(settings, network),
        float(golden["optimizer/lr"]),
        float(golden["optimizer/weight_decay"]),
    )
    totals = []
    for index in range(3):
        batch = _batch(golden, index)
        optimiser.zero_grad()
        total = avca.losses(settings, network, batch)["total"]
        total.backward()
        optimiser.step()
        avca.after_step(settings, network, batch)
        totals.append(total.item())
    np.testing.assert_allclose(totals, golden["f64/steps/losses"], **SCALARS)
    _assert_state(golden, "after3/" if refreshes else "after3_without_get_embeddings/", network)
    network.eval()
    first = _batch(golden, 0)
    with torch.no_grad():
        theta_v = avca.embed_clips(settings, network, first.video, first.audio)
    which = "with" if refreshes else "without"
    np.testing.assert_allclose(
        theta_v.numpy(), golden[f"f64/steps/{which}_get_embeddings/theta_v"], **ARRAYS
    )


def test_dropout_is_drawn_in_the_published_order(golden: dict[str, np.ndarray]) -> None:
    settings, network = _network(golden, with_dropout=True)
    torch.manual_seed(int(golden["train_dropout/manual_seed"]))
    total = avca.losses(settings, network, _batch(golden, 0))["total"]
    np.testing.assert_allclose(total.item(), golden["f64/train_dropout/total"], **SCALARS)


def _network(
    golden: dict[str, np.ndarray], *, with_dropout: bool = False, **changes: object
) -> tuple[avca.Settings, torch.nn.ModuleDict]:
    cfg = {
        key.removeprefix("cfg/"): value.tolist()
        for key, value in golden.items()
        if key.startswith("cfg/")
    }
    dropouts = cfg["dropouts"] if with_dropout else (0.0, 0.0, 0.0)
    settings = avca.Settings(
        encoder_hidden=cfg["hidden_enc"],
        projection_hidden=cfg["hidden_dec"],
        depth=cfg["depth"],
        batch_norm_momentum=cfg["momentum"],
        first_triplet_weight=cfg["first"],
        second_triplet_weight=cfg["second"],
        cross_triplets=cfg["additional_triplets_loss"],
        regression=cfg["reg_loss"],
        encoder_dropout=dropouts[0],
        projection_dropout=dropouts[1],
        decoder_dropout=dropouts[2],
        dropout_bits=53,
        **changes,
    )
    dims = Dims(video=cfg["dv"], audio=cfg["da"], text=golden["batch0/text"].shape[1])
    network = avca.build(settings, dims)
    state = network.state_dict()
    their_order = _their_order(settings)
    assert set(their_order) == set(state)
    for position, name in enumerate(their_order):
        stored = golden.get(f"init/{_their_name(name)}")
        rule = filled(name, tuple(state[name].shape), int(golden["fill_seed"]), position)
        if stored is not None:
            np.testing.assert_array_equal(stored, rule)
        state[name] = torch.from_numpy(np.array(rule))
    network.load_state_dict(state)
    return settings, network.double().train()


def _their_order(settings: avca.Settings) -> list[str]:
    """Returns our names in the order of the authors' state dict, on which the filling depends."""
    network = avca.build(settings, Dims(2, 2, 2))
    parts = [
        "positions",
        "audio_encoder",
        "video_encoder",
        "attention",
        "text_projection",
        "decoder",
        "audio_projection",
        "video_projection",
        "audio_reconstruction",
        "video_reconstruction",
    ]
    names = list(network.state_dict())
    return [name for part in parts for name in names if name.split(".")[0] == part]


def _their_name(name: str) -> str:
    if name == "positions":
        return "pos_emb1D"
    if match := re.match(r"attention\.(\d+)\.([a-z_]+)\.(.*)", name):
        layer = {ours: theirs for theirs, ours in LAYERS.items()}[match[2]]
        return f"cross_attention.layers.{match[1]}.{layer}.{match[3]}"
    part, rest = name.split(".", 1)
    return f"{ {ours: theirs for theirs, ours in PARTS.items()}[part] }.{rest}"


def _batch(golden: dict[str, np.ndarray], index: int) -> Batch:
    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(golden[f"batch{index}/{name}"]).double()

    return Batch(
        video=tensor("video"), audio=tensor("audio"), text=tensor("text"),
        negative_video=tensor("neg_video"), negative_audio=tensor("neg_audio"),
        negative_text=tensor("neg_text"),
        class_text=tensor("text"), text_row=torch.arange(len(tensor("text"))),
    )  # fmt: skip


def _assert_terms(
    golden: dict[str, np.ndarray],
    prefix: str,
    terms: dict[str, torch.Tensor],
    settings: avca.Settings,
) -> None:
    weights = {"first": settings.first_triplet_weight, "second": settings.second_triplet_weight}
    compared = 0
    for theirs, ours in {**TERMS, **{name: name for name in WEIGHTED}}.items():
        if f"{prefix}/{theirs}" not in golden or ours not in terms:
            continue
        weight = weights[ours.split("_")[1]] if ours in WEIGHTED else 1.0
        np.testing.assert_allclose(
            terms[ours].item(), weight * golden[f"{prefix}/{theirs}"], err_msg=ours, **SCALARS
        )
        compared += 1
    assert compared == len(terms)


def _assert_state(golden: dict[str, np.ndarray], prefix: str, network: torch.nn.Module) -> None:
    state = {_their_name(name): value for name, value in network.state_dict().items()}
    stored = {
        key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)
    }
    for name, value in stored.items():
        np.testing.assert_allclose(state[name].numpy(), value, err_msg=name, **ARRAYS)
    holds_arrays = any(key.startswith("init/") for key in golden)  # variants hold scalars only
    assert stored or not holds_arrays
