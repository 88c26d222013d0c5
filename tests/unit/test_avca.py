"""AVCA's ablations: each leaves out what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from avca_pipeline.models import Batch, Dims, avca
from avca_pipeline.nn.dropout import Dropout

SMALL: dict[str, Any] = {
    "token_dim": 8, "embedding_dim": 4, "encoder_hidden": 8, "projection_hidden": 8, "heads": 2,
    "head_dim": 4, "attention_hidden": 4,
}  # fmt: skip
DIMS = Dims(video=6, audio=5, text=7)
GROUPS = {
    "reconstruction": "rec_",
    "decoded_triplets": "ct_",
    "text_triplets": "w_",
    "cross_triplets": "t_",
    "regression": "r_",
}


def batch() -> Batch:
    torch.manual_seed(1)
    parts = [torch.rand(4, dim) for dim in (6, 5, 7, 6, 5, 7)]
    return Batch(*parts, class_text=parts[2], text_row=torch.arange(4))


def losses(some: Batch, **changes: Any) -> dict[str, float]:
    """Returns the loss terms of a network whose seed is always the same, with dropout."""
    settings = avca.Settings(**SMALL, **changes)
    torch.manual_seed(0)
    network = avca.build(settings, DIMS)
    torch.manual_seed(2)
    return {name: term.item() for name, term in avca.losses(settings, network, some).items()}


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_losses_can_be_left_out(group: str) -> None:
    whole, part = losses(batch()), losses(batch(), **{group: False})
    without = {name: term for name, term in whole.items() if not name.startswith(GROUPS[group])}
    assert len(without) < len(whole)
    del without["total"]
    assert part.pop("total") == pytest.approx(sum(without.values()), rel=1e-6)
    assert part == without


@pytest.mark.parametrize(("used", "other"), [("video", "audio"), ("audio", "video")])
def test_one_modality_does_not_notice_the_other(used: str, other: str) -> None:
    changes = {"modalities": used, "scored_embedding": used}
    some = batch()
    changed = replace(
        some,
        **{name: getattr(some, name) + 9.0 for name in (other, f"negative_{other}")},
    )
    assert losses(some, **changes) == losses(changed, **changes)
    expected = {name for name in losses(some) if other[0] not in name.split("_")[-1]}
    assert set(losses(some, **changes)) == expected | {"total"}
    settings = avca.Settings(**SMALL, **changes)
    network = avca.build(settings, DIMS).eval()
    assert not [name for name in network.state_dict() if name.startswith((other, "attention"))]
    inputs = {"video": some.video, "audio": some.audio}
    first = avca.embed_clips(settings, network, **inputs)
    second = avca.embed_clips(settings, network, **{**inputs, other: inputs[other] + 9.0})
    assert torch.equal(first, second)


@pytest.mark.parametrize("scored", ["video", "audio"])
@pytest.mark.parametrize("attends", [True, False])
def test_modalities_meet_in_cross_attention_only(scored: str, *, attends: bool) -> None:
    settings = avca.Settings(**SMALL, cross_attention=attends, scored_embedding=scored)
    torch.manual_seed(0)
    network = avca.build(settings, DIMS).eval()
    some = {"video": batch().video, "audio": batch().audio}
    other = {"video": "audio", "audio": "video"}[scored]
    before = avca.embed_clips(settings, network, **some)
    for changed, has_effect in ((scored, True), (other, attends)):
        after = avca.embed_clips(settings, network, **{**some, changed: some[changed] + 1.0})
        assert torch.equal(before, after) != has_effect


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": "audio"}, "scored_embedding is video but modalities is audio"),
        (dict.fromkeys(GROUPS, False), "all losses are off"),
    ],
)
def test_what_cannot_be_left_out_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        avca.Settings(**changes)


def test_size_of_the_shared_space() -> None:
    settings = avca.Settings(**{**SMALL, "embedding_dim": 5})
    network = avca.build(settings, DIMS).eval()
    some = batch()
    assert avca.embed_clips(settings, network, some.video, some.audio).shape == (4, 5)
    assert avca.embed_classes(settings, network, some.text).shape == (4, 5)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.999])
def test_dropout_meets_its_share_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(0)
    inputs = torch.ones(1001, 999, requires_grad=True)
    layer = Dropout(share)
    outputs = layer(inputs)
    num = inputs.numel()
    deviation = 5 * (num * share * (1 - share)) ** 0.5 + num * 2**-17
    assert abs((outputs == 0).sum().item() - num * share) <= deviation
    kept = outputs.detach()[outputs != 0]
    assert kept.unique().numel() == 1
    assert kept[0].item() == pytest.approx(1 / (1 - share), rel=0.01)
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
    assert torch.equal(gradient, outputs)
    # Neighbours, whose bits come from one number, are dropped independently of each other.
    pairs = (outputs.detach()[:, :-1] == 0) & (outputs.detach()[:, 1:] == 0)
    assert abs(pairs.double().mean().item() - share**2) <= 0.005
    assert layer.eval()(inputs) is inputs


@pytest.mark.parametrize("refreshes", [True, False])
def test_batch_norms_see_the_positives_once_more_after_the_step(refreshes: bool) -> None:
    settings = avca.Settings(**SMALL, refreshes_statistics=refreshes)
    network = avca.build(settings, DIMS)
    norms = {"audio_encoder": 2, "video_encoder": 2, "text_projection": 2}  # positives, negatives

    def seen() -> dict[str, int]:
        return {name: int(network[name][1].num_batches_tracked) for name in norms}

    some = avca.steps(settings, network, batch())
    next(some)["total"].backward()
    assert seen() == norms
    assert next(some, None) is None
    assert seen() == {name: count + refreshes for name, count in norms.items()}
