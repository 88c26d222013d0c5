"""AVCA: audio and video attend to each other before both are compared with the text.

Mercea, Riesch, Koepke, Akata: Audio-visual Generalised Zero-shot Learning with Cross-modal
Attention and Language (CVPR 2022, https://arxiv.org/abs/2203.03598).

Encoders make one token each of a clip's audio and video features: ``phi_a``, ``phi_v``. The two
tokens attend to each other, and projections lead into a shared space: ``theta_a``, ``theta_v``. The
text embedding ``w`` of the clip's class is projected to ``theta_w``. From the shared space a
decoder leads back to text embeddings (``rho``), and reconstructions lead back to the tokens
(``phi_rec``). A clip of another class has the same with a minus. With
``tri(x, y, z) = max(0, margin + |x - y| - |x - z|)`` for anchor, positive and negative, and a sum
over the modalities ``m`` = audio and video:

    l_rec = MSE(w, rho_w) + Σ_m MSE(w, rho_m)
    l_ct  = Σ_m tri(rho_w, rho_m, rho_m⁻)
    l_w   = Σ_m [tri(theta_w, theta_m, theta_m⁻) + tri(theta_m, theta_w, theta_w⁻)]
    l_t   = Σ_m [first_triplet_weight · tri(theta_m, theta_w, theta_m⁻)
                 + second_triplet_weight · tri(theta_w, theta_m, theta_w⁻)]
    l_r   = Σ_m [MSE(phi_rec_m, phi_m) + MSE(theta_m, theta_w)]
    loss  = l_rec + l_ct + l_w + l_t + l_r

``l_t`` mixes what ``l_w`` keeps apart: its negative is of the anchor's own kind. A clip belongs to
the class whose ``theta_w`` is nearest to its ``theta_v``, which has seen the audio through the
attention.

What it assumes: one vector for each modality describes a clip, and classes that are near in the
text embedding look and sound alike. What it cannot model: order in time (features are averaged over
the clip, the attention sees two tokens), and classes of which the text embedding says little, such
as names that consist of rare words.

Where the published code does something else than the paper says, a field of `Settings` says so;
unless the field says otherwise, its default is what the published code does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, TypeAlias, cast

from pydantic import Field, model_validator

from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.models._blocks import attend, attention_layer, dropout, linear_blocks
from avca_pipeline.models.defaults import adapt_to_classes, distances
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("mercea2022avca",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip

_ByModality: TypeAlias = "dict[str, torch.Tensor]"


class Settings(ModelSettings):
    """Hyper-parameters of AVCA; the defaults are the published ones for UCF-GZSL, main split."""

    works_on_one_modality: ClassVar[bool] = True

    token_dim: int = Field(default=300, ge=1)
    """Width of the two tokens."""
    embedding_dim: int = Field(default=64, ge=1)
    """Dimension of the shared space."""
    encoder_hidden: int = Field(default=512, ge=0)
    """Width of the hidden layer of the two encoders; 0 gives them a single layer."""
    projection_hidden: int = Field(default=512, ge=0)
    """Width of the hidden layer of the two projections into the shared space; 0 gives them a single
    layer.
    """
    encoder_dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout rate in the encoders and in the attention (``embedding_dropout`` of the published
    code).
    """
    projection_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout rate in the projections of audio and video (``decoder_dropout`` of the published
    code).
    """
    decoder_dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout rate in the decoder, the text projection and the reconstructions
    (``additional_dropout`` of the published code).
    """
    dropout_bits: Literal[16, 53] = 16
    """Number of random bits behind each decision of dropout on a CPU. 53 is torch's own dropout and
    the published behaviour, down to the order of the random numbers; it takes a fifth of a training
    step on a CPU. 16 draws other numbers and meets the dropout rates to within 2**-17.
    """
    batch_norm_momentum: float = Field(default=0.1, gt=0, le=1)
    """Momentum of the last batch norm of each two-layer network. Published behaviour: all other
    batch norms keep 0.1.
    """
    depth: int = Field(default=1, ge=1)
    """Number of attention layers."""
    heads: int = Field(default=3, ge=1)
    """Number of attention heads in each layer."""
    head_dim: int = Field(default=100, ge=1)
    """Width of an attention head."""
    attention_hidden: int = Field(default=64, ge=1)
    """Width of the hidden layer of the feed-forward network in each attention layer."""
    margin: float = Field(default=1.0, ge=0)
    """Margin of all triplet losses."""
    cross_attention: bool = True
    """Whether the two tokens attend to each other. Without it, the outputs of the encoders are
    projected as they are.
    """
    reconstruction: bool = True
    """Whether the loss ``l_rec`` is used, by which the decoder leads back to the text embedding."""
    decoded_triplets: bool = True
    """Whether the loss ``l_ct`` is used, the triplet losses between outputs of the decoder."""
    text_triplets: bool = True
    """Whether the loss ``l_w`` is used, the triplet losses between clips and class embeddings."""
    cross_triplets: bool = True
    """Whether the loss ``l_t`` is used, the triplet losses whose anchor, positive and negative mix
    clips and class embeddings.
    """
    first_triplet_weight: float = Field(default=1.0, ge=0)
    """Weight of the half of ``l_t`` whose anchors are clips: positives are class embeddings,
    negatives are other clips.
    """
    second_triplet_weight: float = Field(default=1.0, ge=0)
    """Weight of the half of ``l_t`` whose anchors are class embeddings: positives are clips,
    negatives are other class embeddings.
    """
    regression: bool = True
    """Whether the loss ``l_r`` is used, which draws clips to their class embedding and reconstructs
    the outputs of the encoders.
    """
    trains_positions: bool = False
    """Whether the optimiser trains the position embeddings. Published behaviour: it does not, and
    they keep their initial values.
    """
    refreshes_statistics: bool = True
    """Whether the positive clips pass through the network once more after each step, in training
    mode. Published behaviour: they do. Batch norms with a momentum of 0.99 remember little else, so
    that this pass decides the statistics that are used at test time.
    """
    scored_embedding: Literal["video", "audio"] = "video"
    """Which clip embedding is compared with the classes. The paper compares that of video
    (``theta_v``).
    """

    def changes_for(self, modality: str) -> dict[str, Any]:
        """Returns the changes for one modality, whose embedding is the one that is scored."""
        return {"modalities": modality, "scored_embedding": modality}

    @model_validator(mode="after")
    def _has_what_it_uses(self) -> Settings:
        if self.scored_embedding not in self.used:
            raise ValueError(
                f"scored_embedding is {self.scored_embedding} but modalities is {self.modalities}; "
                f"set both to {self.modalities}"
            )
        if not (
            self.reconstruction
            or self.decoded_triplets
            or self.text_triplets
            or self.cross_triplets
            or self.regression
        ):
            raise ValueError("all losses are off; turn one on")
        return self

    @property
    def used(self) -> tuple[str, ...]:
        """The modalities, in the order in which most parts are called."""
        return ("audio", "video") if self.modalities == "both" else (self.modalities,)

    @property
    def attends(self) -> bool:
        """Whether there is cross-attention."""
        return self.cross_attention and self.modalities == "both"


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    token, shared = settings.token_dim, settings.embedding_dim

    def new(share: float) -> Callable[[], torch.nn.Module]:
        return functools.partial(dropout, share, settings.dropout_bits)

    def several_layers(dim_in: int, dim_out: int, share: float, hidden: int) -> torch.nn.Sequential:
        momentum = settings.batch_norm_momentum
        return linear_blocks(dim_in, dim_out, new(share), hidden=hidden, last_momentum=momentum)

    def projection() -> torch.nn.Sequential:
        share, hidden = settings.projection_dropout, settings.projection_hidden
        return several_layers(token, shared, share, hidden)

    def encoder(dim: int) -> torch.nn.Sequential:
        return several_layers(dim, token, settings.encoder_dropout, settings.encoder_hidden)

    def one_layer(dim_in: int, dim_out: int) -> torch.nn.Sequential:
        return linear_blocks(dim_in, dim_out, new(settings.decoder_dropout))

    def attention() -> torch.nn.ModuleDict:
        heads, width, hidden = settings.heads, settings.head_dim, settings.attention_hidden
        return attention_layer(token, heads, width, hidden, new(settings.encoder_dropout))

    parts: dict[str, torch.nn.Module] = {}
    dim_of = {"audio": dims.audio, "video": dims.video}
    for modality in settings.used:
        parts[f"{modality}_encoder"] = encoder(dim_of[modality])
    if settings.attends:
        parts["attention"] = nn.ModuleList([attention() for _ in range(settings.depth)])
    parts["text_projection"] = one_layer(dims.text, shared)
    parts["decoder"] = one_layer(shared, dims.text)
    for modality in settings.used:
        parts[f"{modality}_projection"] = projection()
    for modality in settings.used:
        parts[f"{modality}_reconstruction"] = one_layer(shared, token)
    network = nn.ModuleDict(parts)
    if settings.attends:
        network.register_parameter("positions", nn.Parameter(torch.randn(2, token)))
    return network


def trainable(settings: Settings, network: torch.nn.ModuleDict) -> list[torch.nn.Parameter]:
    """Returns all parameters, without the position embeddings unless they are trained."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if name != "positions" or settings.trains_positions
    ]


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the loss terms of the one step on a batch; the optimiser moves before it goes on."""
    yield losses(settings, network, batch)
    after_step(settings, network, batch)  # With the parameters that the optimiser has moved to.


def losses(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> dict[str, torch.Tensor]:
    """Returns the loss terms of a batch, named as in the paper, and their ``total``.

    The order of the calls is the published one: every call updates batch norms and draws dropout.
    """
    mse = torch.nn.functional.mse_loss
    triplet = functools.partial(torch.nn.functional.triplet_margin_loss, margin=settings.margin)

    def through(part: str, inputs: _ByModality, order: tuple[str, ...]) -> _ByModality:
        return {m: network[f"{m}_{part}"](inputs[m]) for m in order}

    used = settings.used
    phi = through("encoder", {"audio": batch.audio, "video": batch.video}, used)
    negatives = {"audio": batch.negative_audio, "video": batch.negative_video}
    phi_neg = through("encoder", negatives, used)
    w = batch.text
    theta_w = network["text_projection"](w)
    theta_w_neg = network["text_projection"](batch.negative_text)
    rho_w = network["decoder"](theta_w)
    with torch.no_grad():  # As published: updates batch norm and has no other use.
        network["decoder"](theta_w_neg)

    token, token_neg = _attend(settings, network, phi), _attend(settings, network, phi_neg)
    theta: _ByModality = {}
    theta_neg: _ByModality = {}
    for m in reversed(used):
        theta[m] = network[f"{m}_projection"](token[m])
        theta_neg[m] = network[f"{m}_projection"](token_neg[m])

    phi_rec = through("reconstruction", theta, used[::-1])
    with torch.no_grad():  # As published: updates batch norms and has no other use.
        through("projection", phi_rec, used)

    rho: _ByModality = {}
    rho_neg: _ByModality = {}
    for m in used:
        rho[m], rho_neg[m] = network["decoder"](theta[m]), network["decoder"](theta_neg[m])

    first, second = settings.first_triplet_weight, settings.second_triplet_weight
    terms = {"rec_w": mse(w, rho_w)} if settings.reconstruction else {}
    for m in used:
        letter = m[0]
        if settings.reconstruction:
            terms[f"rec_{letter}"] = mse(w, rho[m])
        if settings.decoded_triplets:
            terms[f"ct_{letter}"] = triplet(rho_w, rho[m], rho_neg[m])
        if settings.text_triplets:
            terms[f"w_t{letter}"] = triplet(theta_w, theta[m], theta_neg[m])
            terms[f"w_{letter}t"] = triplet(theta[m], theta_w, theta_w_neg)
        if settings.cross_triplets:
            terms[f"t_first_{letter}"] = first * triplet(theta[m], theta_w, theta_neg[m])
            terms[f"t_second_{letter}"] = second * triplet(theta_w, theta[m], theta_w_neg)
        if settings.regression:
            terms[f"r_phi_{letter}"] = mse(phi_rec[m], phi[m])
            terms[f"r_theta_{letter}"] = mse(theta[m], theta_w)
    return terms | {"total": torch.stack(list(terms.values())).sum()}


def after_step(settings: Settings, network: torch.nn.ModuleDict, batch: Batch) -> None:
    """Lets the batch norms see the positives once more, with the parameters after the step."""
    if settings.refreshes_statistics:
        inputs = {"audio": batch.audio, "video": batch.video}
        with torch.no_grad():
            phi = {m: network[f"{m}_encoder"](inputs[m]) for m in settings.used}
            network["text_projection"](batch.text)
            token = _attend(settings, network, phi)
            for m in settings.used:
                network[f"{m}_projection"](token[m])


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_v`` (or ``theta_a``) of clips, ``(clips, embedding_dim)``."""
    inputs = {"audio": audio, "video": video}
    phi = {m: network[f"{m}_encoder"](inputs[m]) for m in settings.used}
    scored = settings.scored_embedding
    token = _attend(settings, network, phi)[scored]
    return cast("torch.Tensor", network[f"{scored}_projection"](token))


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_w`` of classes, ``(classes, embedding_dim)``."""
    return cast("torch.Tensor", network["text_projection"](text))


def _attend(settings: Settings, network: torch.nn.ModuleDict, phi: _ByModality) -> _ByModality:
    """Returns each modality's token after attention, added to its encoding."""
    if not settings.attends:
        return phi
    tokens = torch.stack([phi[m] for m in settings.used], dim=1)
    tokens = tokens + network.get_parameter("positions")
    for layer in cast("torch.nn.ModuleList", network["attention"]):
        tokens = attend(cast("torch.nn.ModuleDict", layer), tokens, settings.heads)
    return {m: phi[m] + tokens[:, index] for index, m in enumerate(settings.used)}
