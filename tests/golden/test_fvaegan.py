"""f-VAEGAN-D2 against values computed with the published code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.evaluation import accuracy
from avca_pipeline.models import Dims, fvaegan
from avca_pipeline.nn.adam import Adam
from avca_pipeline.nn.softmax import fit_softmax
from tests.conftest import shared_folder

LOGS = {"atol": 1e-8, "rtol": 0}
ARRAYS = {"atol": 1e-6, "rtol": 0}

# Our parts, the authors' names.
PARTS = {
    "generator.0": "netG/MLP.L0",
    "generator.2": "netG/MLP.L1",
    "encoder.0": "Encoder/MLP.L0",
    "mean": "Encoder/linear_means",
    "log_variance": "Encoder/linear_log_var",
    "critic.0": "netD/fc1",
    "critic.2": "netD/fc2",
    "unconditional_critic.0": "netD2/fc1",
    "unconditional_critic.2": "netD2/fc2",
}

Golden = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(shared_folder("reference", "fvaegan.npz")) as file:
        return dict(file)


def test_losses_and_three_iterations(golden: Golden) -> None:
    settings, network = built(golden, "init")
    optimiser = Adam(list(network.parameters()), settings.learning_rate, beta1=settings.beta1)
    draws = [golden[key] for key in sorted(golden) if key.startswith("draws/")]
    for index, logged in enumerate(golden["f64/log"]):
        noise, *shares, jitter = (tensor(draw) for draw in draws[4 * index : 4 * index + 4])
        text = tensor(golden[f"batch{index}/text"])
        real = fvaegan.unit_length(
            tensor(golden[f"batch{index}/video"]), tensor(golden[f"batch{index}/audio"])
        )
        of_critics = fvaegan.critic_losses(settings, network, real, text, noise, shares)
        descend(optimiser, network, of_critics["total"], ("critic", "unconditional_critic"))
        of_generator = fvaegan.generator_losses(settings, network, real, text, noise, jitter)
        descend(optimiser, network, of_generator["total"], ("generator", "encoder", "mean", "log"))
        found = named({**of_critics, **of_generator}, of_generator["total"])
        for name, value in zip(golden["log_columns"], logged, strict=True):
            # The last column is about a hundred thousand times the others.
            scale = float(golden["cfg/gan_weight"]) if name == "loss" else 1.0
            np.testing.assert_allclose(found[name] / scale, value / scale, err_msg=name, **LOGS)
    for name, value in network.named_parameters():
        np.testing.assert_allclose(
            value.detach().numpy(), golden[f"after3/{their_name(name)}"], err_msg=name, **ARRAYS
        )


def test_made_up_features(golden: Golden) -> None:
    settings, network = built(golden, "after3", synthetic_per_class=int(golden["syn/num"]))
    classes = golden["syn/classes"]
    text = tensor(golden["syn/attribute"])[np.searchsorted(np.sort(classes), classes)]
    noise = [tensor(golden[key]) for key in sorted(golden) if key.startswith("syn/draws/")]
    with torch.no_grad():
        found = fvaegan.synthesised(settings, network, text, torch.stack(noise))
    np.testing.assert_allclose(found.numpy(), golden["syn/feature"], **ARRAYS)
    np.testing.assert_array_equal(np.repeat(classes, int(golden["syn/num"])), golden["syn/label"])


@pytest.mark.parametrize("which", ["gzsl", "zsl"])
def test_classifiers(golden: Golden, which: str) -> None:
    """The published code reports the classifier's best epoch on the clips that it is tested on."""
    seen, unseen = golden["cls/seen"], golden["cls/unseen"]
    ids = np.concatenate([seen, unseen]) if which == "gzsl" else unseen
    prefix = "cls/train" if which == "gzsl" else "cls/syn"
    test_rows = np.isin(golden["cls/test_Y"], ids)
    clips = torch.nn.functional.normalize(tensor(golden["cls/test_X"][test_rows]), dim=1)
    targets, is_unseen = position(golden["cls/test_Y"][test_rows], ids), np.isin(ids, unseen)
    draws = [golden[key] for key in sorted(golden) if key.startswith(f"cls/{which}/draws/")]
    reached = []
    for classifier in fit_softmax(
        tensor(golden[f"{prefix}_X"]),
        torch.from_numpy(position(golden[f"{prefix}_Y"], ids)),
        tensor(draws[0]),
        torch.from_numpy(draws[1]),
        epochs=int(golden["cls/epochs"]),
        batch_size=int(golden["cls/batch_size"]),
        learning_rate=float(golden["cls/lr"]),
        beta1=float(golden["cls/beta1"]),
    ):
        with torch.no_grad():
            distance = -classifier(clips).numpy()
        reached.append(accuracy.evaluate(distance, targets, is_unseen, bias=0.0))
    np.testing.assert_allclose(
        classifier.weight.detach().numpy(), golden[f"cls/{which}/weight"], atol=1e-9
    )
    np.testing.assert_allclose(
        classifier.bias.detach().numpy(), golden[f"cls/{which}/bias"], atol=1e-9
    )
    if which == "zsl":
        best = max(reached, key=lambda scores: scores.zsl)
        np.testing.assert_allclose(best.zsl, golden["cls/zsl/acc"], **ARRAYS)
    else:
        best = max(reversed(reached), key=lambda scores: scores.hm)  # the last of equal ones
        found = [best.hm, best.seen, best.unseen]
        np.testing.assert_allclose(found, golden["cls/gzsl/hm_seen_unseen"], **ARRAYS)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).double()


def position(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Returns where each label stands in ``ids``."""
    order = np.argsort(ids)
    return order[np.searchsorted(ids, labels, sorter=order)]


def their_name(name: str) -> str:
    part, kind = name.rsplit(".", 1)
    return f"{PARTS[part]}.{kind}"


def built(golden: Golden, moment: str, **more: Any) -> tuple[fvaegan.Settings, torch.nn.ModuleDict]:
    """Returns settings and network as they were at ``init`` or ``after3``."""
    cfg = {key[4:]: value.item() for key, value in golden.items() if key.startswith("cfg/")}
    assert cfg["ud_weight"] == 1
    settings = fvaegan.Settings(
        latent_dim=cfg["latent"],
        generator_hidden=cfg["decoder_hidden"],
        encoder_hidden=cfg["encoder_hidden"],
        critic_hidden=cfg["ndh"],
        learning_rate=cfg["lr"],
        beta1=cfg["beta1"],
        gradient_penalty=cfg["lambda1"],
        adversarial_weight=cfg["gan_weight"],
        autoencoder_weight=cfg["vae_weight"],
        **more,
    )
    dims = Dims(golden["batch0/video"].shape[1], golden["batch0/audio"].shape[1], cfg["att"])
    network = fvaegan.build(settings, dims)
    network.load_state_dict(
        {
            name: torch.from_numpy(golden[f"{moment}/{their_name(name)}"])
            for name in network.state_dict()
        }
    )
    return settings, network.double()


def descend(
    optimiser: Adam, network: torch.nn.Module, total: torch.Tensor, moved: tuple[str, ...]
) -> None:
    """Does one step, which must give a gradient to these parts and to no others."""
    optimiser.zero_grad()
    total.backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == name.startswith(moved), name
    optimiser.step()


def named(terms: dict[str, torch.Tensor], total: torch.Tensor) -> dict[str, float]:
    """Returns our loss terms under the names that the authors log."""
    found = {name: term.item() for name, term in terms.items()}
    of_critics = {
        kind: [found[f"{kind}_{part}"] for part in ("real", "made_up", "penalty")]
        for kind in ("critic", "unconditional_critic")
    }
    return {
        "criticD_real": -found["critic_real"],
        "criticD_fake": found["critic_made_up"],
        "gradient_penalty": found["critic_penalty"],
        "D_cost": sum(of_critics["critic"]),
        "D_cost_v2": sum(of_critics["unconditional_critic"]),
        "vae_loss": found["reconstruction"] + found["divergence"],
        "criticG_fake": -found["judged_decoded"],
        "criticG_fake2": -found["judged_made_up"],
        "loss": total.item(),
    }
