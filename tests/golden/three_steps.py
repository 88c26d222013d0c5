"""What the golden tests of ClipClap and TCaF share: bounds, names of losses, three steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from avca_pipeline.nn.adam import Adam

EXACT = {"atol": 1e-9, "rtol": 0}
SUMS = {"atol": 1e-6, "rtol": 1e-9}
STEPS = {"atol": 1e-6, "rtol": 0}
# Their names of losses, and ours of which they are the sums.
TERMS = {"l_rec": ("rec_o", "rec_w"), "l_reg": ("reg",), "l_ce": ("ce",),
         "rec_o": ("rec_o",), "rec_w": ("rec_w",), "total": ("total",)}  # fmt: skip


def running(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the running statistics of the batch norms."""
    return {
        name: value
        for name, value in network.state_dict().items()
        if "running" in name or "tracked" in name
    }


def assert_three_steps(method: Any, case: Any, refreshes: bool, statistic: str) -> None:
    """Asserts that three steps of the optimiser give the published losses, state and embeddings.

    Args:
        method: the module of the method.
        case: of the method's golden file.
        refreshes: whether the extra pass for the batch norms is made after each step.
        statistic: name there of a running statistic; not every case has those without that pass.
    """
    network = case.network().train()
    settings = case.settings.model_copy(update={"refreshes_statistics": refreshes})
    optimiser = Adam(
        method.trainable(settings, network), settings.learning_rate, settings.weight_decay
    )
    for number, expected in enumerate(case["f64/steps/losses"]):
        for terms in method.steps(settings, network, case.batch(number)):
            optimiser.zero_grad()
            terms["total"].backward()
            optimiser.step()
            sums = [
                sum(terms[name].item() for name in TERMS[theirs] if name in terms)
                for theirs in ("total", "l_rec", "l_reg", "l_ce")
            ]
            np.testing.assert_allclose(sums, expected, **STEPS)
    if refreshes:
        case.assert_state("after3", network.state_dict(), **STEPS)
    elif f"after3_without_get_embeddings/{statistic}" in case:
        case.assert_state("after3_without_get_embeddings", running(network), **STEPS)
    network.eval()
    batch = case.batch(0)
    which = "with" if refreshes else "without"
    with torch.no_grad():
        clips = method.embed_clips(settings, network, batch.video, batch.audio)
        classes = method.embed_classes(settings, network, batch.text)
    for ours, theirs in ((clips, "theta_o"), (classes, "theta_w")):
        stored = case[f"steps/{which}_get_embeddings/{theirs}"]
        np.testing.assert_allclose(ours.numpy(), stored, **STEPS)
